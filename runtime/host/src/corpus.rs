//! A folder of MIDI files as songs, and its split into training, validation and test sets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use rand_pcg::{Pcg32, rand_core::Rng};

use crate::midi_file::{self, MidiError, Tracks};
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

/// The songs of a folder, by name, and the files that could not be read.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Every readable file that holds notes, sorted by name.
    pub songs: Vec<Song>,
    /// Files left out, each with the reason.
    pub skipped: Vec<(PathBuf, SkipReason)>,
}

/// Why a file of a corpus is left out.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// The file could not be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not the MIDI it should be.
    #[error(transparent)]
    Midi(#[from] MidiError),
}

/// Why a corpus or its split could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A folder or file that cannot be read.
    #[error("{path}: {cause}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// No file of the folder holds a note.
    #[error("{path}: no notes in any .mid file below this folder ({skipped} unreadable)")]
    Empty {
        /// The folder.
        path: PathBuf,
        /// Files that look like MIDI but could not be read.
        skipped: usize,
    },
    /// A split file that does not say what it should.
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
    /// Reads every `.mid` and `.midi` file below `folder`.
    ///
    /// A file that cannot be read is put in [`Corpus::skipped`] and the rest goes on.
    ///
    /// # Errors
    /// [`CorpusError`] if a folder cannot be listed or no file holds a note.
    pub fn read(folder: &Path, tracks: Tracks) -> Result<Self, CorpusError> {
        let mut files = Vec::new();
        list_midi_files(folder, &mut files)?;
        files.sort();
        let mut corpus = Self::default();
        for path in files {
            let notes = fs::read(&path)
                .map_err(SkipReason::from)
                .and_then(|bytes| Ok(midi_file::read(&bytes, tracks)?));
            match notes {
                Ok(notes) => corpus.songs.push(Song {
                    name: name_below(folder, &path),
                    notes: midi_file::to_relative(&notes),
                }),
                Err(reason) => corpus.skipped.push((path, reason)),
            }
        }
        corpus.songs.sort_by(|a, b| a.name.cmp(&b.name));
        if corpus.songs.is_empty() {
            let skipped = corpus.skipped.len();
            return Err(CorpusError::Empty { path: folder.into(), skipped });
        }
        Ok(corpus)
    }

    /// Reads a folder and its split: the given file, or a random one from a seed. What a user
    /// should know of both, such as skipped files, comes as lines of text.
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
        let split = match split {
            Some(path) => Split::read(path)?,
            None => Split::random(&corpus, seed),
        };
        let mut report = corpus.skipped_report();
        let missing = split.missing(&corpus).count();
        if missing > 0 {
            report += &format!("{missing} files of the split are not in {}\n", folder.display());
        }
        Ok((corpus, split, report))
    }

    /// What was left out, a line each and a line that counts them; empty if nothing was.
    pub fn skipped_report(&self) -> String {
        let mut report = String::new();
        for (path, reason) in &self.skipped {
            report += &format!("skipped {}: {reason}\n", path.display());
        }
        if !self.skipped.is_empty() {
            let (skipped, read) = (self.skipped.len(), self.songs.len());
            report += &format!("{skipped} files skipped, {read} read\n");
        }
        report
    }

    /// The songs of one set, in the order of the split.
    pub fn set<'a>(&'a self, split: &'a Split, set: Set) -> impl Iterator<Item = &'a Song> {
        let by_name: BTreeMap<&str, &Song> =
            self.songs.iter().map(|song| (song.name.as_str(), song)).collect();
        split
            .songs
            .iter()
            .filter(move |(_, of)| *of == set)
            .filter_map(move |(name, _)| by_name.get(name.as_str()).copied())
    }
}

/// Cuts songs into consecutive blocks of [`SEGMENT`] notes; each song's tail is dropped.
pub fn segments<'a>(
    songs: impl IntoIterator<Item = &'a Song>,
) -> impl Iterator<Item = &'a [Note; SEGMENT]> {
    songs.into_iter().flat_map(|song| song.notes.as_chunks::<SEGMENT>().0)
}

fn list_midi_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    let io_error = |cause| CorpusError::Io { path: folder.into(), cause };
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        let path = entry.path();
        if entry.file_type().map_err(io_error)?.is_dir() {
            list_midi_files(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("mid") || ext.eq_ignore_ascii_case("midi"))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn name_below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// The three sets of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// What the model learns from.
    Train,
    /// What choices are made on.
    Validation,
    /// What is reported, and nothing is chosen on.
    Test,
}

impl Set {
    /// All sets.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name used in split files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl FromStr for Set {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let named = Self::ALL.into_iter().find(|set| set.name() == name);
        named.ok_or(UnknownName("train, validation or test"))
    }
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

/// Which song belongs to which set.
#[derive(Clone, Debug)]
pub struct Split {
    /// (name, set), in the order in which a set's songs are used.
    pub songs: Vec<(String, Set)>,
}

impl Split {
    /// Splits songs at random, 60 % to train, 20 % to validation and 20 % to test.
    ///
    /// The same names and seed give the same split.
    pub fn random(corpus: &Corpus, seed: u64) -> Self {
        let mut names: Vec<_> = corpus.songs.iter().map(|song| song.name.clone()).collect();
        shuffle(&mut names, &mut Pcg32::new(seed, SPLIT_STREAM));
        let train = names.len() * 6 / 10;
        let validation = names.len() * 2 / 10;
        let songs = names.into_iter().enumerate().map(|(i, name)| match i {
            _ if i < train => (name, Set::Train),
            _ if i < train + validation => (name, Set::Validation),
            _ => (name, Set::Test),
        });
        Self { songs: songs.collect() }
    }

    /// Reads a split file: tab-separated with a header line that names at least the columns
    /// `split` (or `set`) and `file`.
    ///
    /// # Errors
    /// [`CorpusError`] if the file cannot be read or names an unknown set.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| CorpusError::Io { path: path.into(), cause })?;
        let bad = |line: usize, what: String| CorpusError::BadSplit {
            path: path.into(),
            line: line + 1,
            what,
        };
        let mut lines = text.lines().enumerate();
        let columns: Vec<_> = lines.next().map_or("", |(_, line)| line).split('\t').collect();
        let column = |names: [&str; 2]| {
            columns.iter().position(|column| names.contains(column)).ok_or_else(|| {
                bad(0, format!("no column `{}` in the tab-separated header", names[0]))
            })
        };
        let (set_column, file_column) = (column(["split", "set"])?, column(["file", "name"])?);
        let (mut songs, mut seen) = (Vec::new(), BTreeSet::new());
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            let cells: Vec<_> = text.split('\t').collect();
            let (Some(set), Some(file)) = (cells.get(set_column), cells.get(file_column)) else {
                return Err(bad(line, "too few columns".into()));
            };
            let set = set.parse().map_err(|error| bad(line, format!("`{set}`: {error}")))?;
            if !seen.insert(*file) {
                return Err(bad(line, format!("`{file}` stands in the split twice")));
            }
            songs.push((file.to_string(), set));
        }
        Ok(Self { songs })
    }

    /// The names in the split that the corpus does not hold.
    pub fn missing<'a>(&'a self, corpus: &'a Corpus) -> impl Iterator<Item = &'a str> {
        self.songs.iter().map(|(name, _)| name.as_str()).filter(|name| {
            corpus.songs.binary_search_by(|song| song.name.as_str().cmp(name)).is_err()
        })
    }
}

/// PCG stream of the split, apart from those that draw notes.
const SPLIT_STREAM: u64 = 0x5911;

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
