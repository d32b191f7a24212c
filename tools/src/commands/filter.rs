//! `pianola filter`: builds an originality filter from a corpus.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use pianola_host::corpus::Set;
use pianola_host::files::write_whole;
use pianola_host::midi_file::Tracks;
use pianola_host::originality::filter;
use pianola_host::text::count;
use pianola_runtime::guard::{Filter, LENGTHS};

use crate::options::output::{self, ensure_apart, ensure_writable, verb};
use crate::options::songs::CorpusOptions;
use crate::progress;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola filter --corpus songs --out songs.filter
  pianola generate --model mine.safetensors --filter songs.filter --original 12")]
pub struct Options {
    #[command(flatten)]
    songs: CorpusOptions,
    /// Set whose passages to block.
    #[arg(long, default_value = "train", value_name = "train|validation|test")]
    set: Set,
    /// Tracks to read from each file: the first instrument, or all.
    #[arg(long, default_value = "all", value_name = "first|all")]
    tracks: Tracks,
    /// Notes in a passage.
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = notes, help_heading = "Output")]
    notes: usize,
    /// Filter file to write, - for standard output.
    #[arg(long, value_name = "FILE", value_parser = output::path(), help_heading = "Output")]
    out: PathBuf,
}

fn notes(text: &str) -> Result<usize, String> {
    let notes = text.parse().ok().filter(|notes| LENGTHS.contains(notes));
    notes.ok_or_else(|| format!("expected {} to {}", LENGTHS.start(), LENGTHS.end()))
}

/// Random passages that measure the filter's false-positive rate.
const DRAWN: u64 = 1_000_000;

pub fn run(options: &Options) -> anyhow::Result<String> {
    ensure_writable(&options.out, &[])?;
    if let Some(split) = &options.songs.split {
        ensure_apart(&options.out, split)?;
    }
    let (corpus, split) = options.songs.open(options.tracks)?;
    for song in &corpus.songs {
        ensure_apart(&options.out, &options.songs.corpus.join(&song.name))?;
    }
    let songs = options.songs.set((&corpus, &split), options.set)?;
    let name = || options.songs.corpus.display().to_string();
    let build = || filter::build(songs.iter().copied(), options.notes);
    let bytes = progress::during("building the filter", build).with_context(name)?;
    let filter = Filter::from_bytes(&bytes).context("the new filter")?;
    let wrong = progress::during("measuring the filter", || {
        filter::false_positives(&filter, &filter::keys(songs, options.notes), DRAWN)
    });
    let verb = verb(&options.out);
    write_whole(&options.out, &bytes)
        .with_context(|| format!("cannot write {}", output::name(&options.out)))?;
    Ok(format!(
        "{verb} {}: {} of {}, {} bytes, {:.2} bits each; \
         of others it claims {:.3} %\n",
        output::name(&options.out),
        count(filter.windows() as usize, "passage"),
        count(filter.notes(), "note"),
        bytes.len(),
        8.0 * bytes.len() as f64 / f64::from(filter.windows()),
        100.0 * wrong
    ))
}
