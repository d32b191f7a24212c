//! Songs of a corpus and pieces in files, as the tools are told of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::corpus::{Corpus, Set, Song, Split};
use pianola_host::midi_file::{self, Tracks};
use pianola_runtime::Note;

/// A corpus and how it is split.
#[derive(Args)]
pub struct CorpusOptions {
    /// Folder of .mid files.
    #[arg(long, value_name = "DIR")]
    pub corpus: PathBuf,
    /// Split file: tab-separated columns `split` and `file` [default: a random split].
    #[arg(long, value_name = "FILE")]
    pub split: Option<PathBuf>,
    /// Seed of the random split.
    #[arg(long, default_value_t = 0, value_name = "N")]
    split_seed: u64,
}

impl CorpusOptions {
    /// Reads the corpus and its split; says what a user should know of them.
    pub fn open(&self, tracks: Tracks) -> anyhow::Result<(Corpus, Split)> {
        let (corpus, split, report) =
            Corpus::open(&self.corpus, tracks, self.split.as_deref(), self.split_seed)?;
        if !report.is_empty() {
            crate::program::say(&report);
        }
        Ok((corpus, split))
    }

    /// The songs of a set, which must have some.
    pub fn set<'c>(
        &self,
        (corpus, split): (&'c Corpus, &'c Split),
        set: Set,
    ) -> anyhow::Result<Vec<&'c Song>> {
        let songs: Vec<_> = corpus.set(split, set).collect();
        let (name, set) = (self.corpus.display(), set.name());
        ensure!(!songs.is_empty(), "{name}: the {set} set is empty: give another --set");
        Ok(songs)
    }
}

/// A piece in a file.
pub struct Piece {
    pub name: String,
    pub path: PathBuf,
    pub notes: Vec<Note>,
}

impl Piece {
    /// A song of a corpus in a folder.
    pub fn of(folder: &Path, song: &Song) -> Self {
        Self { name: song.name.clone(), path: folder.join(&song.name), notes: song.notes.clone() }
    }
}

/// The notes of a file.
pub fn read_piece(path: &Path, tracks: Tracks) -> anyhow::Result<Vec<Note>> {
    let name = || path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", name()))?;
    let timed = midi_file::read(&bytes, tracks).with_context(name)?;
    Ok(midi_file::to_relative(&timed))
}

/// Reads files, and all files of folders; says which of the latter cannot be read.
pub fn read_pieces(paths: &[PathBuf], tracks: Tracks) -> anyhow::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for path in paths {
        if path.is_dir() {
            let folder = Corpus::read(path, tracks)?;
            let skipped = folder.skipped_report();
            if !skipped.is_empty() {
                crate::program::say(&skipped);
            }
            pieces.extend(folder.songs.iter().map(|song| Piece::of(path, song)));
        } else {
            let notes = read_piece(path, tracks)?;
            pieces.push(Piece { name: path.display().to_string(), path: path.clone(), notes });
        }
    }
    Ok(pieces)
}
