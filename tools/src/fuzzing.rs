//! Parsers of this crate, for the fuzz targets in `fuzz/`. Not a public interface.

use std::io::Cursor;

use anyhow::anyhow;
use pianola_host::midi_file::TimedNote;

use crate::live::controller_map::ControllerMap;
use crate::sound::soundfont::{LoadedFont, SoundFontPlayer};
use crate::sound::strings::Strings;
use crate::sound::{BLOCK, Source};

/// Parses a controller map.
///
/// # Errors
/// Why it was refused.
pub fn controller_map(text: &str) -> anyhow::Result<()> {
    ControllerMap::parse(text).map(drop).map_err(|(place, cause)| anyhow!("{place:?}: {cause:#}"))
}

/// Loads a SoundFont, and plays a chord on it.
///
/// # Errors
/// Why it was refused.
pub fn soundfont(bytes: &[u8]) -> anyhow::Result<()> {
    let font = LoadedFont::read(Cursor::new(bytes), bytes.len() as u64, "fuzz.sf2".as_ref())?;
    let note = |pitch| TimedNote { start: 0.0, end: 0.01, pitch, velocity: 80 };
    let strings = Strings([21, 60, 108].map(note).to_vec());
    let mut block = [[0.0; 2]; BLOCK];
    SoundFontPlayer::new(&font, &strings)?.play(&mut block)
}
