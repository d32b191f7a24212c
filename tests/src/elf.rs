//! Minimal ELF files in the form that a linker produces for the board.

/// Where a program starts in flash.
pub const FLASH: u32 = 0x1000_0000;

/// The smallest ELF file of a program for Arm: a segment for each address and its bytes, all
/// linked to run from RAM.
pub fn elf(segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut add = |bytes: Vec<u8>| file.extend(bytes);
    // An executable for Arm with program headers and no section headers.
    add(halves(&[2, 40]));
    add(words(&[1, FLASH + 1, 52, 0, 0x0500_0400]));
    add(halves(&[52, 32, segments.len() as u16, 40, 0, 0]));
    let mut offset = 52 + 32 * segments.len() as u32;
    for &(address, bytes) in segments {
        let size = bytes.len() as u32;
        let memory = size + 64;
        add(words(&[1, offset, 0x2000_0000, address, size, memory, 7, 4]));
        offset += size;
    }
    segments.iter().for_each(|(_, bytes)| file.extend(*bytes));
    file
}
