//! Reading the bytes of MIDI files on disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{MAX_BYTES, MidiError, MidiFile};

/// How the names of MIDI files end, in lower case and without the dot; each may be followed by `.gz`.
pub const ENDINGS: [&str; 4] = ["mid", "midi", "kar", "rmi"];

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A pipe, a device or the like among the files of a folder.
    #[error("not a regular file")]
    NotAFile,
    /// The file is not valid MIDI.
    #[error(transparent)]
    Midi(#[from] MidiError),
}

/// Whether a file has the name of a MIDI file.
pub fn is_midi_name(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    let name = name.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.')
        .is_some_and(|(stem, ending)| !stem.is_empty() && ENDINGS.contains(&ending))
}

impl MidiFile {
    /// Reads a file, a pipe or a device, but no more of it than [`MAX_BYTES`].
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read, is larger or is not a whole MIDI file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let mut bytes = Vec::new();
        // Reading one byte past the limit detects that it is exceeded.
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes)?)
    }
}
