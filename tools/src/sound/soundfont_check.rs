//! Refuses SoundFonts that `rustysynth` would need much more memory or time for than their size justifies.

use std::io::{Read, Seek, SeekFrom};

use anyhow::ensure;
use rustysynth::SoundFont;

/// Most pairs of a preset's zone and an instrument's zone that a key press has to look at. Large pianos have some
/// thousands: 88 keys, 20 velocities, 2 microphones.
const MOST_ZONE_PAIRS: usize = 1 << 18;

/// Bytes of a header: 4 of type, 4 of little-endian length.
const HEAD: u64 = 8;

/// Refuses a file of `end` bytes before it is loaded, if
/// - a chunk is larger than the rest of the file: `rustysynth` allocates what a chunk announces before it reads it;
/// - indices of zones go back: `rustysynth` copies what lies between an index and the next, so that
///   0, 60000, 0, 60000, ... would take gigabytes.
///
/// Walks as `rustysynth` does: after 12 bytes come lists; a list has a header, 4 bytes of type, and chunks.
pub fn check_chunks(file: &mut (impl Read + Seek), end: u64) -> anyhow::Result<()> {
    let mut at = file.seek(SeekFrom::Start(12))?;
    let mut list_end = at;
    while end.saturating_sub(at) >= HEAD {
        let mut head = [0; HEAD as usize];
        file.read_exact(&mut head)?;
        let is_list = at >= list_end;
        at += HEAD;
        let [a, b, c, d, length @ ..] = head;
        let (kind, length) = ([a, b, c, d], u64::from(u32::from_le_bytes(length)));
        ensure!(length <= end - at, "damaged: a part of it is larger than the file");
        if is_list {
            ensure!(length >= 4, "damaged: a list without a type");
            list_end = at + length;
            at = file.seek(SeekFrom::Start(at + 4))?;
            continue;
        }
        match &kind {
            // `rustysynth` assumes that these two have 4 bytes, whatever they announce.
            b"ifil" | b"iver" => ensure!(length == 4, "damaged: its version is not 4 bytes long"),
            b"phdr" => check_order(file, length, 38, 24)?,
            b"inst" => check_order(file, length, 22, 20)?,
            b"pbag" | b"ibag" => check_order(file, length, 4, 0)?,
            _ => {}
        }
        at = file.seek(SeekFrom::Start(at + length))?;
    }
    Ok(())
}

/// Refuses a table of `length` bytes whose index, 2 bytes at `place` of each record, goes back.
fn check_order(
    file: &mut impl Read,
    length: u64,
    record: usize,
    place: usize,
) -> anyhow::Result<()> {
    let mut table = Vec::new();
    file.take(length).read_to_end(&mut table)?;
    let index = |record: &[u8]| u16::from_le_bytes([record[place], record[place + 1]]);
    let ordered = table.chunks_exact(record).map(index).is_sorted();
    ensure!(ordered, "damaged: its zones overlap");
    Ok(())
}

/// Refuses a loaded SoundFont in which a key press searches more than [`MOST_ZONE_PAIRS`] pairs of zones.
pub fn check_presets(font: &SoundFont) -> anyhow::Result<()> {
    let zones = |instrument: usize| {
        font.get_instruments().get(instrument).map_or(0, |found| found.get_regions().len())
    };
    for preset in font.get_presets() {
        let pairs: usize =
            preset.get_regions().iter().map(|region| zones(region.get_instrument_id())).sum();
        ensure!(pairs <= MOST_ZONE_PAIRS, "too many zones ({pairs})");
    }
    Ok(())
}
