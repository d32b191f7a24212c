//! `tools evaluate`: how well a model foretells real music, and how its own compares.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use indicatif::ProgressBar;
use pianola_runtime::Model;
use pianola_runtime::corpus::{self, Corpus, Set, Song, Split};
use pianola_runtime::evaluation::{self, Divergences, Evaluation, LossSum, Nll};
use pianola_runtime::midi_file::Tracks;
use rayon::prelude::*;

use crate::model_file::ModelFile;

#[derive(Args)]
pub struct Options {
    /// Model file [default: the bundled one].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Folder of .mid files.
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
    /// Tab-separated file with the columns `split` and `file` [default: a random split].
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Seed of the random split.
    #[arg(long, default_value_t = 0, value_name = "N")]
    split_seed: u64,
    /// Which notes of each file to use: the first instrument's, or all [default: those that the kind
    /// of model knows].
    #[arg(long, value_name = "first|all")]
    tracks: Option<Tracks>,
    /// Songs to measure on.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Segments or songs evaluated together.
const TOGETHER: usize = 16;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let file = ModelFile::open(options.model.as_deref())?;
    let model = file.model()?;
    let known = if model.is_expressive() { Tracks::All } else { Tracks::First };
    let (corpus, split, report) = Corpus::open(
        &options.corpus,
        options.tracks.unwrap_or(known),
        options.split.as_deref(),
        options.split_seed,
    )?;
    eprint!("{report}");
    if model.is_expressive() {
        let songs: Vec<&Song> = corpus.set(&split, options.set).collect();
        let nll = nll(&file, &model, &songs)?;
        return Ok(format!("{:.4?} {}\n", nll.mean(), nll.notes));
    }
    let evaluation = report_model(&file, &model, &corpus, &split, options.set)?;
    Ok(if options.json { format!("{:#}\n", evaluation.to_json()) } else { evaluation.to_string() })
}

/// How well an expressive model foretells songs.
fn nll(file: &ModelFile, model: &Model, songs: &[&Song]) -> anyhow::Result<Nll> {
    // Songs of like lengths stay together longest; the longest start first.
    let mut songs = songs.to_vec();
    songs.sort_by_key(|song| std::cmp::Reverse(song.notes.len()));
    let bar = ProgressBar::new(songs.len() as u64);
    let sums = songs
        .par_chunks(TOGETHER)
        .map(|songs| {
            let marked: Vec<(&[_], &[bool])> =
                songs.iter().map(|song| (song.notes.as_slice(), [].as_slice())).collect();
            let [nll, _] = Nll::of_songs(model, &marked).map_err(|error| file.refused(error))?;
            bar.inc(songs.len() as u64);
            Ok(nll)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    bar.finish_and_clear();
    Ok(sums.into_iter().fold(Nll::default(), Nll::plus))
}

/// The report's measures, for its model.
fn report_model(
    file: &ModelFile,
    model: &Model,
    corpus: &Corpus,
    split: &Split,
    set: Set,
) -> anyhow::Result<Evaluation> {
    let songs: Vec<_> = corpus.set(split, set).collect();
    let segments: Vec<_> = corpus::segments(songs.iter().copied()).collect();
    ensure!(!segments.is_empty(), "the {} set has no whole segment", set.name());

    let bar = ProgressBar::new(segments.len() as u64);
    let loss = segments
        .par_chunks(TOGETHER)
        .map(|segments| {
            bar.inc(segments.len() as u64);
            LossSum::of_segments(model, segments)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file.refused(error))?
        .into_iter()
        .flatten()
        .fold(LossSum::default(), LossSum::plus);
    bar.finish_and_clear();
    let sampled = evaluation::sample_pieces(model).map_err(|error| file.refused(error))?;
    Ok(Evaluation {
        model: file.name().into(),
        segments: segments.len(),
        notes: loss.notes,
        loss: loss.mean(),
        divergences: Divergences::between(&sampled, segments.iter().copied().flatten()),
    })
}
