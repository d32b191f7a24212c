//! `pianola compare`: pieces in `.mid` files beside the songs of a corpus.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use pianola_host::corpus::Set;
use pianola_host::midi_file::Tracks;
use pianola_host::statistics::comparison::Report;
use pianola_runtime::Note;

use crate::commands::listener;
use crate::options::json;
use crate::options::output::{ensure_apart, ensure_writable, write_picture};
use crate::options::songs::{CorpusOptions, Piece, Places, read_pieces};
use crate::picture::measures_picture;

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
    /// Train a classifier to tell the pieces from the songs; report its accuracy (AUC) by groups of measures.
    #[arg(long, help_heading = "Output")]
    listener: bool,
    /// Print JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Draw histograms of both into a .png or .svg file.
    #[arg(
        long,
        value_name = "FILE.png|FILE.svg",
        help_heading = "Output",
        conflicts_with = "listener"
    )]
    picture: Option<PathBuf>,
}

/// Minimum notes in a piece. Excerpts are as long as the shortest piece: excerpts of a few notes say nothing, and
/// comparing all of them takes too long.
const LEAST: usize = 32;

pub fn run(options: &Options) -> anyhow::Result<String> {
    if let Some(picture) = &options.picture {
        ensure_writable(picture, &["png", "svg"])?;
        options.pieces.iter().try_for_each(|path| ensure_apart(picture, path))?;
    }
    let pieces = read_pieces(&options.pieces, options.tracks)?;
    for (Piece { name, notes, .. }, _) in &pieces {
        let notes = notes.len();
        ensure!(notes >= LEAST, "{name} has {notes} notes: give pieces of at least {LEAST}");
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
    let report = Report::of(&samples, &real, &training, &whole);
    if let Some(path) = &options.picture {
        let real: Vec<&[Note]> = real.iter().map(|song| song.notes.as_slice()).collect();
        write_picture(path, &measures_picture::draw(&samples, &real)?, "Sampled and real notes")?;
    }
    if options.json { json::print(&report) } else { Ok(report.to_string()) }
}
