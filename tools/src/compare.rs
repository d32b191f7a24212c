//! `tools compare`: pieces in `.mid` files beside the songs of a corpus.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_runtime::Note;
use pianola_runtime::comparison::Report;
use pianola_runtime::corpus::{Corpus, Set};
use pianola_runtime::midi_file::{self, Tracks};

use crate::measures_picture;
use crate::model_file::ensure_apart;

#[derive(Args)]
pub struct Options {
    /// The pieces: .mid files, and folders of them.
    #[arg(required = true, value_name = "DIR|FILE.mid")]
    pieces: Vec<PathBuf>,
    /// Folder of .mid files to compare with.
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
    /// Tab-separated file with the columns `split` and `file` [default: a random split].
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Seed of the random split.
    #[arg(long, default_value_t = 0, value_name = "N")]
    split_seed: u64,
    /// Which notes of each file to use, pieces and songs: the first instrument's, or all.
    #[arg(long, default_value = "all", value_name = "first|all")]
    tracks: Tracks,
    /// Songs to compare with.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the histograms of both into an SVG file.
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    let mut pieces = Vec::new();
    for path in &options.pieces {
        if let Some(picture) = &options.picture {
            ensure_apart(picture, path)?;
        }
        read_pieces(path, options.tracks, &mut pieces)?;
    }
    let (corpus, split, report) = Corpus::open(
        &options.corpus,
        options.tracks,
        options.split.as_deref(),
        options.split_seed,
    )?;
    eprint!("{report}");
    let songs = |set| corpus.set(&split, set).collect::<Vec<_>>();
    let (real, training) = (songs(options.set), songs(Set::Train));
    ensure!(!real.is_empty(), "the {} set has no songs", options.set.name());

    let samples: Vec<&[Note]> = pieces.iter().map(Vec::as_slice).collect();
    let whole: Vec<_> = corpus.songs.iter().collect();
    let report = Report::of(&samples, &real, &training, &whole);
    if let Some(path) = &options.picture {
        let real: Vec<&[Note]> = real.iter().map(|song| song.notes.as_slice()).collect();
        measures_picture::draw(path, &samples, &real)?;
    }
    Ok(if options.json { format!("{:#}\n", report.to_json()) } else { report.to_string() })
}

/// Adds the piece in a file, or all pieces below a folder; says which of those cannot be read.
fn read_pieces(path: &Path, tracks: Tracks, pieces: &mut Vec<Vec<Note>>) -> anyhow::Result<()> {
    if path.is_dir() {
        let folder = Corpus::read(path, tracks)?;
        for (path, reason) in folder.skipped {
            eprintln!("skipped {}: {reason}", path.display());
        }
        pieces.extend(folder.songs.into_iter().map(|song| song.notes));
    } else {
        let name = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", name()))?;
        let timed = midi_file::read(&bytes, tracks).with_context(name)?;
        pieces.push(midi_file::to_relative(&timed));
    }
    Ok(())
}
