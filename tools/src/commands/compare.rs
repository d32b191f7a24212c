//! `pianola compare`: pieces in `.mid` files beside the songs of a corpus.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use pianola_host::corpus::{Set, Song};
use pianola_host::midi_file::Tracks;
use pianola_host::statistics::report::Report;
use pianola_host::text::count;
use pianola_runtime::Note;

use crate::commands::listener;
use crate::options::json;
use crate::options::output::{self, ensure_apart, ensure_writable, write_picture};
use crate::options::songs::{CorpusOptions, Piece, Places, read_pieces};
use crate::picture::measures_picture;
use crate::program::say;
use crate::progress;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola compare pieces --corpus songs
  pianola compare piece.mid --corpus songs --picture compare.svg
  pianola compare pieces --corpus songs --listener")]
pub struct Options {
    /// Pieces: .mid files or folders of them; 200 or more are also compared in batches of 100.
    #[arg(required = true, value_name = "DIR|FILE.mid")]
    pieces: Vec<PathBuf>,
    #[command(flatten)]
    songs: CorpusOptions,
    /// Tracks to read from each file: the first instrument, or all.
    #[arg(long, default_value = "all", value_name = "first|all")]
    tracks: Tracks,
    /// Set to compare with.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Train a classifier to tell the pieces from the songs; report its AUC by groups of measures.
    #[arg(long, help_heading = "Output")]
    listener: bool,
    /// Print JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Draw histograms of both into a .png or .svg file.
    #[arg(long, value_name = "FILE.png|FILE.svg", value_parser = output::path(), help_heading = "Output",
          conflicts_with = "listener")]
    picture: Option<PathBuf>,
}

/// Minimum notes in a piece. Excerpts are as long as the longest piece: excerpts of a few notes say nothing.
const LEAST: usize = 32;

pub fn run(options: &Options) -> anyhow::Result<String> {
    if let Some(picture) = &options.picture {
        ensure_writable(picture, &["png", "svg"])?;
        options.pieces.iter().try_for_each(|path| ensure_apart(picture, path))?;
    }
    let pieces = read_pieces(&options.pieces, options.tracks)?;
    for (Piece { name, notes, .. }, _) in &pieces {
        let (enough, notes) = (notes.len() >= LEAST, count(notes.len(), "note"));
        ensure!(enough, "{name} has {notes}: give pieces of at least {LEAST}");
    }
    let (corpus, split, places) =
        options.songs.open_with(options.tracks, |file| Places::of(file, options.tracks))?;
    let real = options.songs.set((&corpus, &split), options.set)?;
    let training: Vec<_> = corpus.set(&split, Set::Train).collect();

    let samples: Vec<&[Note]> = pieces.iter().map(|(piece, _)| piece.notes.as_slice()).collect();
    if options.listener {
        let places = corpus.places(&split, options.set).map(|place| &places[place]);
        let real: Vec<_> = real.iter().map(|song| song.notes.as_slice()).zip(places).collect();
        let training: Vec<&[Note]> = training.iter().map(|song| song.notes.as_slice()).collect();
        let report = listener::Report::new(&samples, &real, &training);
        return if options.json { json::print(&report) } else { Ok(report.to_string()) };
    }
    let whole: Vec<_> = corpus.songs.iter().collect();
    let report = report(&samples, [&real, &training, &whole]);
    if let Some(path) = &options.picture {
        let real: Vec<&[Note]> = real.iter().map(|song| song.notes.as_slice()).collect();
        let picture = measures_picture::draw(&samples, &real)?;
        let verb = write_picture(path, &picture, "Sampled and real notes")?;
        say(&format!("{verb} {}", output::name(path)));
    }
    if options.json { json::print(&report) } else { Ok(report.to_string()) }
}

/// Compares sampled pieces with the songs of a set, of the training set and of the whole corpus; shows the progress.
pub fn report(samples: &[&[Note]], songs: [&[&Song]; 3]) -> Report {
    let bar = progress::bar("comparing", Report::steps(samples, songs) as u64);
    let report = Report::of(samples, songs, &mut || bar.inc(1));
    bar.finish_and_clear();
    report
}
