//! `pianola bench`: time per note on this machine.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::text::count;
use pianola_runtime::{
    Generator, Hands, Isa, MAX_HIDDEN, MAX_LAYERS, Model, ModelError, Network, Pair, Sampling,
};
use serde::Serialize;

use crate::options::json;
use crate::options::model_file::ModelFile;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola bench
  pianola bench --model mine.safetensors --threads 2")]
pub struct Options {
    /// Model file [default: the bundled model].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Notes to time.
    #[arg(long, default_value_t = 5000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    notes: u32,
    /// Instruction set [default: the fastest available].
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
    /// Threads per note.
    #[arg(long, default_value_t = 1, value_name = "1|2",
          value_parser = clap::value_parser!(u8).range(1..=2))]
    threads: u8,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Notes and readings alternate in this many rounds, so that both run under the same conditions.
const TURNS: u32 = 10;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let isa = match &options.isa {
        Some(name) => find_isa(name)?,
        None => Isa::best(),
    };
    let file = ModelFile::open(options.model.as_deref())?;
    let model = file.model()?;
    let bytes = file.bytes().get(..model.bytes_per_note()).context("the file is too short")?;
    let measured = if model.layers() <= 3 && model.hidden() <= 512 {
        measure::<3, 512>(options, isa, &model, bytes)
    } else {
        measure::<MAX_LAYERS, MAX_HIDDEN>(options, isa, &model, bytes)
    };
    let (mut notes, mut readings, paired) = measured.map_err(|error| file.refused(error))?;
    let [median, p99] = [0.5, 0.99].map(|share| quantile(&mut notes, share));
    let limit = quantile(&mut readings, 0.5);
    let fraction = limit / median;

    let threads = match options.threads {
        1 => "1 thread".to_string(),
        threads => format!("{threads} threads (in {paired} of {TURNS} turns, where it pays)"),
    };
    if options.json {
        return json::print(&Report {
            model: file.name(),
            precision: model.precision().name(),
            isa: isa.name(),
            threads: options.threads,
            paired_turns: paired,
            turns: TURNS,
            notes: notes.len(),
            microseconds: Microseconds { median, p99 },
            notes_per_second: 1e6 / median,
            weight_bytes: bytes.len(),
            bandwidth: Bandwidth {
                microseconds: limit,
                gigabytes_per_second: bytes.len() as f64 / limit / 1e3,
                fraction,
            },
        });
    }
    Ok(format!(
        "{}: {} on {}, {threads}, {}\n\
             a note takes          {median:9.1} µs (median; p99 {p99:.1} µs), {:.0} a second\n\
             reading its weights   {limit:9.1} µs ({} bytes, {:.1} GB/s): {:.0} % of that speed\n",
        file.name(),
        model.precision(),
        isa.name(),
        count(notes.len(), "note"),
        1e6 / median,
        bytes.len(),
        bytes.len() as f64 / limit / 1e3,
        100.0 * fraction,
    ))
}

/// The report of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    precision: &'a str,
    isa: &'a str,
    threads: u8,
    /// Rounds in which two threads played, and all rounds.
    paired_turns: u32,
    turns: u32,
    notes: usize,
    microseconds: Microseconds,
    notes_per_second: f64,
    weight_bytes: usize,
    bandwidth: Bandwidth,
}

/// Time per note.
#[derive(Serialize)]
struct Microseconds {
    median: f64,
    p99: f64,
}

/// Time to read the weights, and its share of a note's time.
#[derive(Serialize)]
struct Bandwidth {
    microseconds: f64,
    gigabytes_per_second: f64,
    fraction: f64,
}

/// Microseconds of each note, and of each reading of `bytes`; and the number of rounds in which two
/// threads played, which they do only where that is faster.
fn measure<const LAYERS: usize, const HIDDEN: usize>(
    options: &Options,
    isa: Isa,
    model: &Model,
    bytes: &[u8],
) -> Result<(Vec<f64>, Vec<f64>, u32), ModelError> {
    let mut generator =
        Generator::from_network(Network::<LAYERS, HIDDEN>::on(isa, model, Hands::Both)?, 1);
    let sampling = Sampling::default();
    let each = options.notes.div_ceil(TURNS);
    let (mut notes, mut readings, mut paired) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        // The first few notes warm the caches.
        if options.threads == 1 {
            time(each / 10 + 1, || generator.next_note(&sampling));
            notes.extend(time(each, || generator.next_note(&sampling)));
        } else {
            std::thread::scope(|scope| {
                let mut pair = Pair::new(scope, generator.clone());
                time(each / 10 + 1, || pair.next_note(&sampling));
                notes.extend(time(each, || pair.next_note(&sampling)));
                paired += u32::from(pair.is_paired());
            });
        }
        time(each / 10 + 1, || isa.read(black_box(bytes)));
        readings.extend(time(each, || isa.read(black_box(bytes))));
    }
    Ok((notes, readings, paired))
}

fn find_isa(name: &str) -> anyhow::Result<Isa> {
    let found = Isa::available().find(|isa| isa.name() == name);
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    ensure!(found.is_some(), "--isa {name} is not on this machine, which has {}", names.join(", "));
    Ok(found.unwrap_or(Isa::PORTABLE))
}

/// Microseconds of each of `count` calls.
fn time<T>(count: u32, mut call: impl FnMut() -> T) -> Vec<f64> {
    (0..count)
        .map(|_| {
            let start = Instant::now();
            black_box(call());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect()
}

/// The quantile `share` of the values, of which there is at least one.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    let at = ((values.len() - 1) as f64 * share) as usize;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}
