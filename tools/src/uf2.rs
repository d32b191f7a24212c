//! UF2 files (<https://github.com/microsoft/uf2>), as the boot drive of an RP2350 accepts them.

use std::collections::BTreeMap;

/// Family ID of Arm programs for the RP2350.
pub const RP2350_ARM_S: u32 = 0xe48b_ff59;

/// Bytes of flash per block: the RP2350's boot ROM writes whole pages, and accepts no other size.
const PAGE: usize = 256;

/// Bytes of a block, and of its payload field.
const BLOCK: usize = 512;
const DATA: usize = 476;

/// Magic numbers at the start and the end of a block.
const MAGIC: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const END: u32 = 0x0ab1_6f30;

/// Flag: the family ID replaces the file size.
const HAS_FAMILY: u32 = 0x2000;

/// Value of erased flash, and of bytes in a page that were not set.
const ERASED: u8 = 0xff;

/// Contents of flash.
#[derive(Default)]
pub struct Image {
    /// Pages by address, a multiple of [`PAGE`].
    pages: BTreeMap<usize, [u8; PAGE]>,
}

impl Image {
    /// Writes bytes at an address.
    pub fn put(&mut self, address: u32, mut bytes: &[u8]) {
        let mut address = address as usize;
        while !bytes.is_empty() {
            let start = address % PAGE;
            let (now, later) = bytes.split_at(bytes.len().min(PAGE - start));
            let page = self.pages.entry(address - start).or_insert([ERASED; PAGE]);
            page[start..start + now.len()].copy_from_slice(now);
            address += now.len();
            bytes = later;
        }
    }

    /// The file: a block for each written page, in ascending order.
    ///
    /// The boot ROM collects blocks of one family and one total, in any order, erases each sector
    /// of 4 KiB when its first page arrives, and restarts the board when it has all blocks of the
    /// total. Omitted pages do no harm, unlike with the RP2040.
    ///
    /// There is no extra block of family "absolute" before the others, which `picotool` adds for
    /// erratum RP2350-E10: early boot ROMs need it only if flash holds a partition table, which
    /// would move the model away from its address anyway, and it makes them erase the last sector
    /// of flash.
    pub fn to_uf2(&self, family: u32) -> Vec<u8> {
        let mut file = Vec::with_capacity(self.pages.len() * BLOCK);
        for (number, (address, page)) in self.pages.iter().enumerate() {
            let numbers = [address, &PAGE, &number, &self.pages.len()].map(|&number| number as u32);
            let [address, size, number, total] = numbers;
            for word in [MAGIC[0], MAGIC[1], HAS_FAMILY, address, size, number, total, family] {
                file.extend(word.to_le_bytes());
            }
            file.extend(page);
            file.extend([0; DATA - PAGE]);
            file.extend(END.to_le_bytes());
        }
        file
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn word(block: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(block[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_block_is_laid_out_as_specified() {
        let mut image = Image::default();
        image.put(0x1000_0000, &[7; 256]);
        let file = image.to_uf2(RP2350_ARM_S);
        assert_eq!(file.len(), 512);
        assert_eq!(file[..8], *b"UF2\nWQ\x5d\x9e");
        let header: Vec<u32> = (8..32).step_by(4).map(|at| word(&file, at)).collect();
        assert_eq!(header, [0x2000, 0x1000_0000, 256, 0, 1, 0xe48b_ff59]);
        assert_eq!(file[32..288], [7; 256]);
        assert_eq!(file[288..508], [0; 220]);
        assert_eq!(word(&file, 508), 0x0ab1_6f30);
    }

    #[test]
    fn bytes_share_pages_and_gaps_are_left_out() {
        let mut image = Image::default();
        image.put(0x1002_0000, &[3; 257]);
        image.put(0x1000_00fe, &[1; 4]);
        image.put(0x1000_0102, &[2; 1]);
        let file = image.to_uf2(RP2350_ARM_S);
        let (blocks, rest) = file.as_chunks::<512>();
        assert!(rest.is_empty());
        let addresses: Vec<u32> = blocks.iter().map(|block| word(block, 12)).collect();
        assert_eq!(addresses, [0x1000_0000, 0x1000_0100, 0x1002_0000, 0x1002_0100]);
        for (number, block) in blocks.iter().enumerate() {
            assert_eq!([word(block, 20), word(block, 24)], [number as u32, 4]);
        }
        assert_eq!(blocks[0][32 + 0xfd..288], [0xff, 1, 1]);
        assert_eq!(blocks[1][32..36], [1, 1, 2, 0xff]);
        assert_eq!(blocks[3][32..34], [3, 0xff]);
    }

    #[test]
    fn nothing_makes_an_empty_file() {
        let mut image = Image::default();
        image.put(0x1000_0000, &[]);
        assert!(image.to_uf2(RP2350_ARM_S).is_empty());
    }
}
