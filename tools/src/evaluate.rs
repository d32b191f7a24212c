//! `tools evaluate`: the report's measures, through the runtime.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use indicatif::ProgressBar;
use pianola_runtime::corpus::{self, Corpus, Set};
use pianola_runtime::evaluation::{self, Divergences, Evaluation, LossSum};
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
    /// Which notes of each file to use: the first instrument's, or all.
    #[arg(long, default_value = "first", value_name = "first|all")]
    tracks: Tracks,
    /// Songs to measure on.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Segments evaluated together.
const TOGETHER: usize = 16;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let file = ModelFile::open(options.model.as_deref())?;
    let model = file.model()?;
    let (corpus, split, report) = Corpus::open(
        &options.corpus,
        options.tracks,
        options.split.as_deref(),
        options.split_seed,
    )?;
    eprint!("{report}");
    let songs: Vec<_> = corpus.set(&split, options.set).collect();
    let segments: Vec<_> = corpus::segments(songs.iter().copied()).collect();
    ensure!(!segments.is_empty(), "the {} set has no whole segment", options.set.name());

    let bar = ProgressBar::new(segments.len() as u64);
    let loss = segments
        .par_chunks(TOGETHER)
        .map(|segments| {
            bar.inc(segments.len() as u64);
            LossSum::of_segments(&model, segments)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file.refused(error))?
        .into_iter()
        .flatten()
        .fold(LossSum::default(), LossSum::plus);
    bar.finish_and_clear();
    let sampled = evaluation::sample_pieces(&model).map_err(|error| file.refused(error))?;
    let evaluation = Evaluation {
        model: file.name().into(),
        segments: segments.len(),
        notes: loss.notes,
        loss: loss.mean(),
        divergences: Divergences::between(&sampled, segments.iter().copied().flatten()),
    };
    Ok(if options.json { format!("{:#}\n", evaluation.to_json()) } else { evaluation.to_string() })
}
