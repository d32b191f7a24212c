//! A folder of MIDI files as songs, and its split into training, validation and test sets.

mod duplicates;
mod folder;
mod split;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rand_pcg::{Pcg32, rand_core::Rng};

pub use duplicates::Duplicates;
pub use folder::Folder;
pub use split::{Set, Split};

use crate::midi_file::{self, Endings, MidiFile, ReadError, Repair, Tracks};
use crate::text::count;
use pianola_runtime::Note;

/// Notes in a segment, the report's unit of training and of loss.
pub const SEGMENT: usize = 64;

/// One piece of a corpus.
#[derive(Clone, Debug)]
pub struct Song {
    /// Path of the file below the corpus folder, with `/` between its parts.
    pub name: String,
    /// Its notes, by onset.
    pub notes: Vec<Note>,
}

/// The songs of a folder, by name, and the problems with the other files.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Every readable file that holds notes, sorted by name.
    pub songs: Vec<Song>,
    /// Songs that are the same music as others.
    pub duplicates: Vec<Duplicates>,
    /// Files left out, each with the reason.
    pub skipped: Vec<(PathBuf, ReadError)>,
    /// Malformed files that were repaired and read.
    pub repaired: Vec<(PathBuf, Vec<Repair>)>,
    /// Folders below the first one that could not be listed.
    pub unlisted: Vec<(PathBuf, io::Error)>,
}

/// Why a corpus or its split could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A folder or file that cannot be read.
    #[error("{path}: {cause}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// No file of the folder holds a note.
    #[error("{path}: no notes in any MIDI file below this folder ({skipped} unreadable)")]
    Empty {
        /// The folder.
        path: PathBuf,
        /// Files that look like MIDI but could not be read.
        skipped: usize,
    },
    /// An invalid split file.
    #[error("{path}, line {line}: {what}")]
    BadSplit {
        /// The split file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Corpus {
    /// Reads every MIDI file below `folder`, as [`Folder::list`] finds them.
    ///
    /// A file that cannot be read is put in [`Corpus::skipped`], and reading continues.
    ///
    /// # Errors
    /// [`CorpusError`] if the folder cannot be listed or no file holds a note.
    pub fn read(folder: &Path, tracks: Tracks) -> Result<Self, CorpusError> {
        let (corpus, _) = Self::read_with(Folder::list(folder)?, tracks, |_| (), || ())?;
        Ok(corpus)
    }

    /// Reads the files of a folder, each once, with another view of each beside its notes. The views
    /// are in the order of [`Corpus::songs`]. `after_each` is called after every file.
    ///
    /// # Errors
    /// [`CorpusError::Empty`] if no file holds a note.
    pub fn read_with<T>(
        folder: Folder,
        tracks: Tracks,
        mut view: impl FnMut(&MidiFile) -> T,
        mut after_each: impl FnMut(),
    ) -> Result<(Self, Vec<T>), CorpusError> {
        let mut corpus =
            Self { skipped: folder.unreadable, unlisted: folder.unlisted, ..Self::default() };
        let mut songs = Vec::new();
        for path in folder.files {
            match read_song(&path, tracks) {
                Ok((file, notes, music)) => {
                    let repairs: Vec<Repair> = file.repairs().collect();
                    let song = Song { name: name_below(&folder.path, &path), notes };
                    songs.push((song, music, view(&file)));
                    if !repairs.is_empty() {
                        corpus.repaired.push((path, repairs));
                    }
                }
                Err(reason) => corpus.skipped.push((path, reason)),
            }
            after_each();
        }
        if songs.is_empty() {
            let skipped = corpus.skipped.len();
            return Err(CorpusError::Empty { path: folder.path, skipped });
        }
        songs.sort_by(|(a, ..), (b, ..)| a.name.cmp(&b.name));
        let music: Vec<_> = songs.iter().map(|(_, music, _)| *music).collect();
        corpus.duplicates = duplicates::find(&music);
        let (songs, views) = songs.into_iter().map(|(song, _, view)| (song, view)).unzip();
        corpus.songs = songs;
        Ok((corpus, views))
    }

    /// Reads a folder and its split: the given file, or a random split from a seed. Returns messages
    /// for the user about both, such as skipped files, as lines of text.
    ///
    /// # Errors
    /// [`CorpusError`] if either cannot be used.
    pub fn open(
        folder: &Path,
        tracks: Tracks,
        split: Option<&Path>,
        seed: u64,
    ) -> Result<(Self, Split, String), CorpusError> {
        let corpus = Self::read(folder, tracks)?;
        let (split, report) = corpus.split(split, seed)?;
        let report = corpus.report() + &report;
        Ok((corpus, split, report))
    }

    /// The split in a file, or a random one from a seed, which keeps duplicates in one set; and
    /// messages for the user about it, as lines of text.
    ///
    /// # Errors
    /// [`CorpusError`] if the file cannot be used.
    pub fn split(&self, file: Option<&Path>, seed: u64) -> Result<(Split, String), CorpusError> {
        let Some(file) = file else {
            return Ok((Split::random(self, seed), duplicates::report_kept(&self.duplicates)));
        };
        let split = Split::read(file)?;
        let mut report = duplicates::report_leaks(self, &split);
        let missing = split.missing(self).count();
        if missing > 0 {
            report += &format!("not in the corpus: {} of the split\n", count(missing, "file"));
        }
        Ok((split, report))
    }

    /// The files left out or repaired, a line each and a line that counts them; empty if none were.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for (path, cause) in &self.unlisted {
            report += &format!("warning: {}: cannot read this folder: {cause}\n", path.display());
        }
        for (path, repairs) in &self.repaired {
            report += &midi_file::warning(path, repairs.iter().copied());
        }
        for (path, reason) in &self.skipped {
            report += &format!("skipped {}: {reason}\n", path.display());
        }
        let [skipped, repaired] = [self.skipped.len(), self.repaired.len()];
        if skipped + repaired > 0 {
            report += &format!("{} skipped, {} read", count(skipped, "file"), self.songs.len());
            if repaired > 0 {
                report += &format!(", {repaired} of them with a warning");
            }
            report.push('\n');
        }
        report
    }

    /// The songs of one set, in the order of the split.
    pub fn set<'a>(&'a self, split: &'a Split, set: Set) -> impl Iterator<Item = &'a Song> {
        self.places(split, set).map(|place| &self.songs[place])
    }

    /// Indices in [`Corpus::songs`] of the songs of one set, in the order of the split.
    pub fn places<'a>(&'a self, split: &'a Split, set: Set) -> impl Iterator<Item = usize> {
        let songs = self.songs.iter().enumerate();
        let by_name: BTreeMap<&str, usize> =
            songs.map(|(place, song)| (song.name.as_str(), place)).collect();
        split
            .songs
            .iter()
            .filter(move |(_, of)| *of == set)
            .filter_map(move |(name, _)| by_name.get(name.as_str()).copied())
    }
}

/// Reads one file of a corpus: its notes and the hashes of its music.
fn read_song(
    path: &Path,
    tracks: Tracks,
) -> Result<(MidiFile, Vec<Note>, duplicates::Music), ReadError> {
    let file = MidiFile::open(path)?;
    let all = file.notes(Tracks::All, Endings::NoteOffs)?;
    let music = duplicates::Music::of(&all);
    let notes = match tracks {
        Tracks::All => midi_file::to_relative(&all),
        Tracks::First => midi_file::to_relative(&file.notes(tracks, Endings::NoteOffs)?),
    };
    Ok((file, notes, music))
}

/// Cuts songs into consecutive blocks of [`SEGMENT`] notes; each song's tail is dropped.
pub fn segments<'a>(
    songs: impl IntoIterator<Item = &'a Song>,
) -> impl Iterator<Item = &'a [Note; SEGMENT]> {
    songs.into_iter().flat_map(|song| song.notes.as_chunks::<SEGMENT>().0)
}

fn name_below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

impl FromStr for Tracks {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "first" => Ok(Self::First),
            "all" => Ok(Self::All),
            _ => Err(UnknownName("first or all")),
        }
    }
}

/// A name that is none of the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct UnknownName(&'static str);

/// Shuffles in place (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T], rng: &mut Pcg32) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(rng, i as u32 + 1) as usize);
    }
}

/// Uniform in 0 to below `bound`, by multiply and shift: the bias is below `bound` / 2³².
pub fn below(rng: &mut Pcg32, bound: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(bound)) >> 32) as u32
}
