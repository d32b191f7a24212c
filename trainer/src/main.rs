//! Trains Pianola's model with libtorch.

mod augmentation;
mod checkpoint;
mod curves;
mod expressive;
mod fit;
mod lessons;
mod network;
mod optimizer;
mod report;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use pianola_host::corpus::{self, Corpus, Set, Split};
use pianola_host::export::weights::{FloatWeights, HeadShapes};
use pianola_host::midi_file::Tracks;
use pianola_host::statistics::evaluation::{Divergences, Evaluation, LossByPart};
use pianola_runtime::vocabulary::PARTS;
use serde_json::json;
use tch::Device;

use augmentation::Augmentation;
use fit::{Preset, Recipe, Run};
use network::Network;
use optimizer::Schedule;

/// Train Pianola on a folder of MIDI files.
#[derive(Parser)]
#[command(name = "trainer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Learn from a folder of MIDI files.
    Fit(Box<Fit>),
    /// Measure a run's weights in libtorch: the loss on a set of songs.
    Evaluate(Evaluate),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  trainer evaluate runs/mine songs
  trainer evaluate runs/mine songs --set validation --json")]
struct Evaluate {
    /// Folder of a run, or a float .safetensors file.
    run: PathBuf,
    #[command(flatten)]
    corpus: CorpusOptions,
    /// Songs to measure on.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CorpusOptions {
    /// Folder of .mid files; its subfolders are read too.
    corpus: PathBuf,
    /// Tab-separated file with the columns `split` and `file`; without it, songs are split
    /// 60/20/20 by --split-seed.
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Seed of the random split.
    #[arg(long, default_value_t = 0, value_name = "N")]
    split_seed: u64,
    /// Which notes of each file to use.
    ///
    /// `first` takes the first instrument, in piano files nearly always the right hand; `all`
    /// takes both hands [default: `first` for the report's network, else `all`].
    #[arg(long, value_name = "first|all")]
    tracks: Option<Tracks>,
    /// Where libtorch computes.
    #[arg(long, value_enum, default_value_t = DeviceOption::Cpu)]
    device: DeviceOption,
    /// Threads of libtorch [default: one per core]; on one thread of a CPU, a run is repeatable bit for bit.
    #[arg(long, value_name = "N")]
    threads: Option<i32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceOption {
    Cpu,
    Cuda,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  trainer fit songs --out runs/mine
  trainer fit songs --out runs/mine --resume
  trainer fit songs --out runs/small --preset small --mixed")]
struct Fit {
    #[command(flatten)]
    corpus: CorpusOptions,
    /// Folder for weights, checkpoint, log and curves.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Go on from RUN's checkpoint, with the same options.
    #[arg(long)]
    resume: bool,
    /// Kind of network, with the recipe that suits it.
    #[arg(long, value_enum, default_value_t = Preset::Expressive)]
    preset: Preset,
    /// Start from the weights of another run, its folder or their file, instead of random ones: to learn
    /// from much music first, and then from that which it is to play like.
    #[arg(long, value_name = "RUN")]
    from: Option<PathBuf>,
    /// Epochs to train [default: 68; small 54; report 30].
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Per update, songs side by side; of the report's network, segments of 64 notes [default: 64;
    /// small 32].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Notes of each song in an update [default: 32]; the report's network has segments of 64.
    #[arg(long, value_name = "N")]
    length: Option<usize>,
    /// Use only the first N training songs; of the report's network, segments.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Peak learning rate [default: 0.002; report 0.0015].
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// How the learning rate moves over the run [default: one-cycle].
    #[arg(long, value_enum)]
    schedule: Option<Schedule>,
    /// Weight decay (decoupled, as AdamW) [default: 0.1; report 0.01].
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Dropout between LSTM layers and before the heads; unless 0, the expressive network's LSTM also does
    /// not hear a tenth of the notes [default: 0.5; small and report 0.3].
    #[arg(long, value_name = "X")]
    dropout: Option<f64>,
    /// Dropout of the LSTM's weights from one hidden state to the next [default: 0.2; report 0].
    #[arg(long, value_name = "X")]
    weight_dropout: Option<f64>,
    /// Limit on the gradient's norm; 0 for none [default: 1].
    #[arg(long, value_name = "X")]
    clip: Option<f64>,
    /// Transpose each song or segment by up to so many semitones down and up [default: 5 6].
    #[arg(long, num_args = 2, value_names = ["DOWN", "UP"])]
    transpose: Option<Vec<u8>>,
    /// Change the tempo of each by up to this share [default: 0.1].
    #[arg(long, value_name = "X")]
    tempo: Option<f32>,
    /// Stop after N epochs without a lower validation loss.
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Seed of initialisation, order, augmentation and dropout.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Hidden units of each LSTM layer, a multiple of 16 up to 1024 [default: 512; small 256].
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// LSTM layers [default: 3].
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
    /// Take products in bfloat16: three times as fast where the processor has AMX, 1.6 times with AVX-512
    /// alone; no faster on a GPU.
    #[arg(long)]
    mixed: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Fit(options) => fit_command(*options),
        Command::Evaluate(options) => evaluate_command(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl CorpusOptions {
    /// The songs, their sets, and where to compute. Without --tracks, `tracks` are read.
    fn load(&self, tracks: Tracks) -> anyhow::Result<(Corpus, Split, Device)> {
        if let Some(threads) = self.threads {
            ensure!(threads > 0, "--threads must be at least 1");
            tch::set_num_threads(threads);
        }
        let device = match self.device {
            DeviceOption::Cpu => Device::Cpu,
            DeviceOption::Cuda => {
                ensure!(
                    tch::Cuda::is_available(),
                    "this libtorch has no CUDA device: use --device cpu, or a libtorch with CUDA, \
                     preloaded as models/README.md says"
                );
                Device::Cuda(0)
            }
        };
        let (corpus, split, report) =
            Corpus::open(&self.corpus, tracks, self.split.as_deref(), self.split_seed)?;
        eprint!("{report}");
        Ok((corpus, split, device))
    }
}

fn fit_command(options: Fit) -> anyhow::Result<()> {
    let mut recipe = options.recipe();
    for (option, value) in
        [("--batch", recipe.batch), ("--epochs", recipe.epochs), ("--length", recipe.length)]
    {
        ensure!(value > 0, "{option} must be at least 1");
    }
    for (option, value) in [
        ("--dropout", recipe.dropout),
        ("--weight-dropout", recipe.weight_dropout),
        ("--tempo", f64::from(recipe.augmentation.tempo)),
    ] {
        ensure!((0.0..1.0).contains(&value), "{option} must be from 0 to below 1");
    }
    for (option, value) in [
        ("--learning-rate", recipe.learning_rate),
        ("--weight-decay", recipe.weight_decay),
        ("--clip", recipe.clip),
    ] {
        ensure!(value >= 0.0 && value.is_finite(), "{option} must be a number from 0");
    }
    ensure!(options.patience != Some(0), "--patience must be at least 1");
    let report = options.preset == Preset::Report;
    let tracks = options.corpus.tracks.unwrap_or(if report { Tracks::First } else { Tracks::All });
    let (corpus, split, device) = options.corpus.load(tracks)?;
    // Only the expressive network learns right hands apart.
    let apart = !report && tracks == Tracks::All;
    let melodies = if apart {
        Corpus::read(&options.corpus.corpus, Tracks::First)?
    } else {
        Corpus::default()
    };
    let (start, origin) = match &options.from {
        Some(run) => {
            let path = FloatWeights::path(run);
            let name = path.display().to_string();
            let bytes = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
            let weights = FloatWeights::read(&bytes).with_context(|| name)?;
            let origin = format!(", from weights {}", weights.provenance);
            (Some((weights, crc32fast::hash(&bytes))), origin)
        }
        None => (None, String::new()),
    };
    recipe.start = start.as_ref().map(|(_, crc)| *crc);
    let run = Run {
        corpus: &corpus,
        melodies: &melodies,
        split: &split,
        start: start.map(|(weights, _)| weights),
        folder: options.out,
        device,
        patience: options.patience,
        resume: options.resume,
        provenance: format!("trained on {}{origin}", folder_name(&options.corpus.corpus)),
    };
    fit::fit(&recipe, &run)
}

impl Fit {
    /// The preset's recipe, but for what is told otherwise.
    fn recipe(&self) -> Recipe {
        let preset = self.preset.recipe();
        let transpose = match self.transpose.as_deref() {
            Some(&[down, up]) => (down, up),
            _ => (preset.augmentation.transpose_down, preset.augmentation.transpose_up),
        };
        Recipe {
            seed: self.seed,
            epochs: self.epochs.unwrap_or(preset.epochs),
            batch: self.batch.unwrap_or(preset.batch),
            length: self.length.unwrap_or(preset.length),
            limit: self.limit,
            learning_rate: self.learning_rate.unwrap_or(preset.learning_rate),
            schedule: self.schedule.unwrap_or(preset.schedule),
            weight_decay: self.weight_decay.unwrap_or(preset.weight_decay),
            dropout: self.dropout.unwrap_or(preset.dropout),
            weight_dropout: self.weight_dropout.unwrap_or(preset.weight_dropout),
            clip: self.clip.unwrap_or(preset.clip),
            augmentation: Augmentation {
                transpose_down: transpose.0,
                transpose_up: transpose.1,
                tempo: self.tempo.unwrap_or(preset.augmentation.tempo),
            },
            hidden: self.hidden.unwrap_or(preset.hidden),
            layers: self.layers.unwrap_or(preset.layers),
            mixed: self.mixed,
            ..preset
        }
    }
}

/// The last part of a path: what to call a corpus in a file that others will read.
fn folder_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn evaluate_command(options: Evaluate) -> anyhow::Result<()> {
    let path = FloatWeights::path(&options.run);
    let name = path.display().to_string();
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {name}"))?;
    let weights = FloatWeights::read(&bytes).with_context(|| name.clone())?;
    let report = matches!(weights.shape.heads, HeadShapes::Report { .. });
    let tracks = options.corpus.tracks.unwrap_or(if report { Tracks::First } else { Tracks::All });
    let (corpus, split, device) = options.corpus.load(tracks)?;
    let songs = corpus.set(&split, options.set);
    let network = Network::from_weights(&weights, device);
    if !report {
        let songs: Vec<_> = songs.map(|song| song.notes.as_slice()).collect();
        let (corpus, set) = (options.corpus.corpus.display(), options.set.name());
        ensure!(!songs.is_empty(), "{corpus}: the {set} set is empty: give another --set");
        let nats = expressive::evaluate(&network, &songs, expressive::SIDE_BY_SIDE);
        let count = songs.len();
        let json =
            json!({"model": name, "songs": count, "nats_per_note": LossByPart::new(&PARTS, &nats)});
        let parts: Vec<String> =
            PARTS.iter().zip(nats).map(|(part, nats)| format!("{part} {nats:.4}")).collect();
        let total: f64 = nats.iter().sum();
        let text = format!("{name}: {count} songs, {total:.4} nats a note: {}\n", parts.join(", "));
        return say(&if options.json { format!("{json:#}\n") } else { text });
    }
    let segments: Vec<_> = corpus::segments(songs).copied().collect();
    ensure!(
        !segments.is_empty(),
        "{}: no song of the {} set has the {} notes of a segment: give another --set",
        options.corpus.corpus.display(),
        options.set.name(),
        corpus::SEGMENT
    );
    let evaluation = Evaluation {
        model: name,
        segments: segments.len(),
        notes: segments.len() * corpus::SEGMENT,
        loss: report::evaluate(&network, &segments, 128),
        divergences: Divergences::between(&fit::sample(&weights)?, segments.iter().flatten()),
    };
    let report =
        if options.json { format!("{:#}\n", json!(evaluation)) } else { evaluation.to_string() };
    say(&report)
}

fn say(report: &str) -> anyhow::Result<()> {
    io::stdout().write_all(report.as_bytes()).context("cannot write to standard output")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_examples_of_the_help_are_right() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().unwrap().to_string();
            let examples: Vec<_> = help.lines().skip(1).collect();
            assert!((2..=3).contains(&examples.len()), "{help}");
            for example in examples {
                assert!(Cli::try_parse_from(example.split_whitespace()).is_ok(), "{example}");
            }
        }
    }
}
