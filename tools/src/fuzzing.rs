//! Parsers of this crate, for the fuzz targets in `fuzz/`. Not an interface for anything else.

use std::io::Cursor;

use anyhow::anyhow;

use crate::live::controller_map::ControllerMap;
use crate::sound::soundfont::LoadedFont;

/// Reads a controller map.
///
/// # Errors
/// What is wrong with it.
pub fn controller_map(text: &str) -> anyhow::Result<()> {
    ControllerMap::parse(text).map(drop).map_err(|(place, cause)| anyhow!("{place:?}: {cause:#}"))
}

/// Reads a SoundFont.
///
/// # Errors
/// What is wrong with it.
pub fn soundfont(bytes: &[u8]) -> anyhow::Result<()> {
    LoadedFont::read(Cursor::new(bytes), bytes.len() as u64, "fuzz.sf2".as_ref()).map(drop)
}
