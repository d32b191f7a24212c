//! Songs of a corpus and pieces in files, as options of the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, ensure};
use clap::Args;
use pianola_host::bars::Bars;
use pianola_host::corpus::{Corpus, Folder, Set, Song, Split};
use pianola_host::midi_file::{self, Endings, MidiFile, ReadError, Tracks};
use pianola_runtime::Note;

use crate::program::say;
use crate::progress;

/// A corpus and how it is split.
#[derive(Args)]
#[command(next_help_heading = "Corpus")]
pub struct CorpusOptions {
    /// Folder of MIDI files: .mid, .midi, .kar and .rmi, also as .gz.
    #[arg(long, value_name = "DIR")]
    pub corpus: PathBuf,
    /// Split file: tab-separated columns `split` and `file` [default: a random 60/20/20 split].
    #[arg(long, value_name = "FILE")]
    pub split: Option<PathBuf>,
    /// Seed of the random split.
    #[arg(long, default_value_t = 0, value_name = "N")]
    split_seed: u64,
}

impl CorpusOptions {
    /// Reads the corpus and its split; prints warnings.
    pub fn open(&self, tracks: Tracks) -> anyhow::Result<(Corpus, Split)> {
        let (corpus, split, _) = self.open_with(tracks, |_| ())?;
        Ok((corpus, split))
    }

    /// Reads the corpus and its split, and a second view of each song's file, in the order of
    /// the songs.
    pub fn open_with<T>(
        &self,
        tracks: Tracks,
        view: impl FnMut(&MidiFile) -> T,
    ) -> anyhow::Result<(Corpus, Split, Vec<T>)> {
        let (corpus, views) = read_folder(&self.corpus, tracks, view)?;
        let (split, report) = corpus.split(self.split.as_deref(), self.split_seed)?;
        say(&report);
        Ok((corpus, split, views))
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

/// Positions of a file's notes in time.
pub struct Places {
    /// Onset of each note, in seconds.
    pub onsets: Vec<f64>,
    /// None if the file has no bars.
    pub bars: Option<Bars>,
}

impl Places {
    /// Index of each note that a corpus reads.
    pub fn of(file: &MidiFile, tracks: Tracks) -> Self {
        let notes = file.notes(tracks, Endings::NoteOffs).unwrap_or_default();
        let onsets = notes.iter().map(|note| note.start).collect();
        Self { onsets, bars: file.bars().cloned() }
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

/// Reads a MIDI file; reports repairs.
pub fn read_midi(path: &Path) -> anyhow::Result<MidiFile> {
    let name = || path.display().to_string();
    let file = MidiFile::open(path).map_err(|error| match error {
        ReadError::Io(cause) => Error::new(cause).context(format!("cannot read {}", name())),
        other => Error::new(other).context(name()),
    })?;
    say(&midi_file::warning(path, file.repairs()));
    Ok(file)
}

/// Reads the MIDI files below a folder, each once, and a second view of each; reports files that
/// cannot be read.
fn read_folder<T>(
    path: &Path,
    tracks: Tracks,
    view: impl FnMut(&MidiFile) -> T,
) -> anyhow::Result<(Corpus, Vec<T>)> {
    let folder = Folder::list(path)?;
    let bar = progress::bar("reading", folder.files.len() as u64);
    let read = Corpus::read_with(folder, tracks, view, || bar.inc(1));
    bar.finish_and_clear();
    let (corpus, views) = read?;
    say(&corpus.report());
    Ok((corpus, views))
}

/// Reads files, and all files of folders, each once; reports files in folders that cannot be read.
pub fn read_pieces(paths: &[PathBuf], tracks: Tracks) -> anyhow::Result<Vec<(Piece, Places)>> {
    let mut pieces = Vec::new();
    for path in paths {
        if path.is_dir() {
            let (corpus, places) = read_folder(path, tracks, |file| Places::of(file, tracks))?;
            let songs = corpus.songs.iter().map(|song| Piece::of(path, song));
            pieces.extend(songs.zip(places));
        } else {
            let file = read_midi(path)?;
            let name = path.display().to_string();
            let notes = file.notes(tracks, Endings::NoteOffs).with_context(|| name.clone())?;
            let notes = midi_file::to_relative(&notes);
            let piece = Piece { name, path: path.clone(), notes };
            pieces.push((piece, Places::of(&file, tracks)));
        }
    }
    Ok(pieces)
}
