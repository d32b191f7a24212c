//! The MIDI files below a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::CorpusError;
use crate::midi_file::{ReadError, is_midi_name};

/// The MIDI files below a folder, not yet read.
#[derive(Debug)]
pub struct Folder {
    /// The folder itself.
    pub path: PathBuf,
    /// Its MIDI files, sorted.
    pub files: Vec<PathBuf>,
    /// MIDI file names that are not files: pipes, devices and dangling links.
    pub unreadable: Vec<(PathBuf, ReadError)>,
    /// Folders below it that cannot be listed.
    pub unlisted: Vec<(PathBuf, io::Error)>,
}

impl Folder {
    /// Finds every file below a folder that has a MIDI file name ([`is_midi_name`]).
    ///
    /// Links are followed, those to folders last, so that every folder is listed once, and under its
    /// own name if that is below the root. Pipes and devices are never opened.
    ///
    /// # Errors
    /// [`CorpusError::Io`] if the folder itself cannot be listed.
    pub fn list(path: &Path) -> Result<Self, CorpusError> {
        let mut folder = Self {
            path: path.into(),
            files: Vec::new(),
            unreadable: Vec::new(),
            unlisted: Vec::new(),
        };
        let mut links = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut pending = vec![path.to_path_buf()];
        while let Some(next) = pending.pop().or_else(|| links.pop_first()) {
            let listed = fs::canonicalize(&next).and_then(|real| {
                if seen.insert(real) { folder.add(&next, &mut pending, &mut links) } else { Ok(()) }
            });
            match listed {
                Err(cause) if next == path => {
                    return Err(CorpusError::Io { path: next, cause });
                }
                Err(cause) => folder.unlisted.push((next, cause)),
                Ok(()) => {}
            }
        }
        folder.files.sort();
        folder.unreadable.sort_by(|(a, _), (b, _)| a.cmp(b));
        folder.unlisted.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(folder)
    }

    /// Adds the files of one folder, and the folders in it to those to be listed.
    fn add(
        &mut self,
        folder: &Path,
        folders: &mut Vec<PathBuf>,
        links: &mut BTreeSet<PathBuf>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            match fs::metadata(&path) {
                Ok(there) if there.is_dir() => {
                    links.insert(path);
                }
                _ if !is_midi_name(&path) => {}
                Ok(there) if there.is_file() => self.files.push(path),
                Ok(_) => self.unreadable.push((path, ReadError::NotAFile)),
                Err(cause) => self.unreadable.push((path, cause.into())),
            }
        }
        Ok(())
    }
}
