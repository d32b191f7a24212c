//! Parsers of this crate, for the fuzz targets in `fuzz/`. Not a public interface.

use std::io::Cursor;

use anyhow::anyhow;

use crate::live::controller_map::ControllerMap;
use crate::sound::soundfont::LoadedFont;

/// Parses a controller map.
///
/// # Errors
/// Why it was refused.
pub fn controller_map(text: &str) -> anyhow::Result<()> {
    ControllerMap::parse(text).map(drop).map_err(|(place, cause)| anyhow!("{place:?}: {cause:#}"))
}

/// Parses a SoundFont.
///
/// # Errors
/// Why it was refused.
pub fn soundfont(bytes: &[u8]) -> anyhow::Result<()> {
    LoadedFont::read(Cursor::new(bytes), bytes.len() as u64, "fuzz.sf2".as_ref()).map(drop)
}
