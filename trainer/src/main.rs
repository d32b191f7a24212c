//! Trains Pianola's model with libtorch.

mod augmentation;
mod checkpoint;
mod curves;
mod data;
mod expressive;
mod fit;
mod folder;
mod network;
mod optimizer;
mod recipe;
mod report;
mod run;
mod training_data;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use pianola_host::corpus::{self, Corpus, Folder, Set, Song, Split};
use pianola_host::export::weights::{FloatWeights, HeadShapes};
use pianola_host::midi_file::{Endings, MidiFile, Tracks, to_relative};
use pianola_host::statistics::evaluation::{Divergences, Evaluation, LossByPart};
use pianola_host::text::{causes, escape_lines};
use pianola_runtime::Note;
use pianola_runtime::vocabulary::PARTS;
use serde_json::json;
use tch::Device;

use augmentation::Augmentation;
use network::Network;
use optimizer::Schedule;
use recipe::{Preset, Recipe};
use run::Run;

/// Train Pianola models on a folder of MIDI files.
// Values of options have plain comments, not doc comments: with descriptions of values, the command `help` gives each
// option a paragraph.
#[derive(Parser)]
#[command(name = "trainer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model on a folder of MIDI files.
    Fit(Box<Fit>),
    /// Evaluate a run's weights on held-out songs in libtorch: loss by part.
    Evaluate(Evaluate),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  trainer evaluate runs/mine songs
  trainer evaluate runs/mine songs --set validation --json")]
struct Evaluate {
    /// Folder of a run, or a .safetensors file of float weights.
    run: PathBuf,
    #[command(flatten)]
    corpus: CorpusOptions,
    /// Set to evaluate on.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CorpusOptions {
    /// Folder of MIDI files: .mid, .midi, .kar and .rmi, also as .gz.
    corpus: PathBuf,
    /// Split file: tab-separated columns `split` and `file` [default: a random 60/20/20 split].
    #[arg(long, value_name = "FILE", help_heading = "Corpus")]
    split: Option<PathBuf>,
    /// Seed of the random split.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Corpus")]
    split_seed: u64,
    /// Tracks to read from each file: the first instrument, in piano files nearly always the right hand, or all
    /// [default: all; report: first].
    #[arg(long, value_name = "first|all", help_heading = "Corpus")]
    tracks: Option<Tracks>,
    /// Device of libtorch.
    #[arg(long, value_enum, default_value_t = DeviceOption::Cpu, help_heading = "Machine")]
    device: DeviceOption,
    /// CPU threads of libtorch [default: one per core]. With one thread on a CPU, runs are bit-reproducible.
    #[arg(long, value_name = "N", help_heading = "Machine")]
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
    /// Folder of the run: weights, checkpoint, log and curves.
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    out: PathBuf,
    /// Resume from RUN's checkpoint; takes the same options.
    #[arg(long, help_heading = "Run")]
    resume: bool,
    /// Architecture and default hyperparameters: expressive (both hands, dynamics), small (the same for boards with
    /// 2 MB of flash), or report (the student report's network).
    #[arg(long, value_enum, default_value_t = Preset::Expressive, help_heading = "Run")]
    preset: Preset,
    /// Fine-tune the weights of another run: its folder or a .safetensors file.
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    from: Option<PathBuf>,
    /// Number of epochs [default: 68; small: 54; report: 30].
    #[arg(long, value_name = "N", help_heading = "Training")]
    epochs: Option<usize>,
    /// Batch size: songs in parallel; report: segments of 64 notes [default: 64; small: 32].
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch: Option<usize>,
    /// Notes per song and update, the length of truncated backpropagation [default: 32; report: always 64].
    #[arg(long, value_name = "N", help_heading = "Training")]
    length: Option<usize>,
    /// Use only the first N training songs; report: segments.
    #[arg(long, value_name = "N", help_heading = "Training")]
    limit: Option<usize>,
    /// Peak learning rate [default: 0.002; report: 0.0015].
    #[arg(long, value_name = "X", help_heading = "Training")]
    learning_rate: Option<f64>,
    /// Learning-rate schedule [default: one-cycle].
    #[arg(long, value_enum, help_heading = "Training")]
    schedule: Option<Schedule>,
    /// Decoupled weight decay of AdamW [default: 0.1; report: 0.01].
    #[arg(long, value_name = "X", help_heading = "Training")]
    weight_decay: Option<f64>,
    /// Dropout between LSTM layers and before the heads; unless 0, the expressive network also drops a tenth of its
    /// input notes [default: 0.5; small, report: 0.3].
    #[arg(long, value_name = "X", help_heading = "Training")]
    dropout: Option<f64>,
    /// Dropout of the recurrent weights, DropConnect [default: 0.2; report: 0].
    #[arg(long, value_name = "X", help_heading = "Training")]
    weight_dropout: Option<f64>,
    /// Gradient clipping: limit on the norm, 0 for none [default: 1].
    #[arg(long, value_name = "X", help_heading = "Training")]
    clip: Option<f64>,
    /// Largest transposition down and up, in semitones [default: 5 6].
    #[arg(long, num_args = 2, value_names = ["DOWN", "UP"], help_heading = "Augmentation")]
    transpose: Option<Vec<u8>>,
    /// Largest relative change of tempo [default: 0.1].
    #[arg(long, value_name = "X", help_heading = "Augmentation")]
    tempo: Option<f32>,
    /// Early stopping after N epochs without a lower validation loss [default: off].
    #[arg(long, value_name = "N", help_heading = "Training")]
    patience: Option<usize>,
    /// Random seed of initialization, order, augmentation and dropout.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Run")]
    seed: u64,
    /// Hidden units of each LSTM layer, a multiple of 16 up to 1024 [default: 512; small: 256].
    #[arg(long, value_name = "N", help_heading = "Network")]
    hidden: Option<usize>,
    /// LSTM layers [default: 3].
    #[arg(long, value_name = "N", help_heading = "Network")]
    layers: Option<usize>,
    /// bfloat16 mixed precision: faster on processors with AMX or AVX-512, no faster on a GPU.
    #[arg(long, help_heading = "Training")]
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
            warn(&format!("error: {}\n", causes(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

impl CorpusOptions {
    /// Reads the corpus and its split, and selects the device. `tracks` is the default of --tracks.
    fn load(&self, tracks: Tracks) -> anyhow::Result<(Corpus, Split, Device)> {
        let (corpus, split, device, _) = self.load_with(tracks, |_| ())?;
        Ok((corpus, split, device))
    }

    /// The same, with another view of each song's file, in the order of the songs.
    fn load_with<T>(
        &self,
        tracks: Tracks,
        view: impl FnMut(&MidiFile) -> T,
    ) -> anyhow::Result<(Corpus, Split, Device, Vec<T>)> {
        if let Some(threads) = self.threads {
            ensure!(threads > 0, "--threads must be at least 1");
            tch::set_num_threads(threads);
        }
        let device = match self.device {
            DeviceOption::Cpu => Device::Cpu,
            DeviceOption::Cuda => {
                ensure!(
                    tch::Cuda::is_available(),
                    "libtorch finds no CUDA device: use --device cpu, or preload a libtorch with CUDA as \
                     models/README.md says"
                );
                Device::Cuda(0)
            }
        };
        let folder = Folder::list(&self.corpus)?;
        let bar = reading_bar(folder.files.len());
        let read = Corpus::read_with(folder, tracks, view, || bar.inc(1));
        bar.finish_and_clear();
        let (corpus, views) = read?;
        warn(&corpus.report());
        let (split, report) = corpus.split(self.split.as_deref(), self.split_seed)?;
        warn(&report);
        Ok((corpus, split, device, views))
    }
}

/// A progress bar over the files of a corpus, on a terminal only.
fn reading_bar(files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("reading {bar:40} {percent:>3} %, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files as u64).with_style(style)
}

/// The notes of a file's first instrument.
fn melody(file: &MidiFile) -> Vec<Note> {
    let notes = file.notes(Tracks::First, Endings::NoteOffs).unwrap_or_default();
    to_relative(&notes)
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
    // Only the expressive network is trained on right hands alone too.
    let apart = !report && tracks == Tracks::All;
    let (corpus, split, device, melodies) =
        options.corpus.load_with(tracks, |file| apart.then(|| melody(file)))?;
    let named = corpus.songs.iter().zip(melodies);
    let songs =
        named.filter_map(|(song, melody)| Some(Song { name: song.name.clone(), notes: melody? }));
    let melodies = Corpus { songs: songs.collect(), ..Corpus::default() };
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
    /// The preset's recipe with the hyperparameters given as options.
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

/// The last part of a path, as the name of a corpus in published metadata.
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
        ensure!(!songs.is_empty(), "{corpus}: the {set} set is empty: choose another --set");
        let nats = expressive::evaluate(&network, &songs, expressive::EVALUATION_STREAMS);
        let count = songs.len();
        let json =
            json!({"model": name, "songs": count, "nats_per_note": LossByPart::new(&PARTS, &nats)});
        let parts: Vec<String> =
            PARTS.iter().zip(nats).map(|(part, nats)| format!("{part} {nats:.4}")).collect();
        let total: f64 = nats.iter().sum();
        let text =
            format!("{name}: {count} songs, {total:.4} nats per note: {}\n", parts.join(", "));
        return say(&if options.json { format!("{json:#}\n") } else { text });
    }
    let segments: Vec<_> = corpus::segments(songs).copied().collect();
    ensure!(
        !segments.is_empty(),
        "{}: no song of the {} set has the {} notes of a segment: choose another --set",
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
    let text =
        if options.json { format!("{:#}\n", json!(evaluation)) } else { evaluation.to_string() };
    say(&text)
}

/// Prints to standard error; names in the text cannot control the terminal. A failed write to standard error
/// does not stop the run.
fn warn(text: &str) {
    let _ = io::stderr().write_all(escape_lines(text).as_bytes());
}

/// Prints to standard output; names in the text cannot control the terminal.
fn say(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(escape_lines(text).as_bytes()).context("cannot write to standard output")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_examples_parse() {
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
