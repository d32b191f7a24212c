//! `trainer fit`: the training loop.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use indicatif::{ProgressBar, ProgressStyle};
#[cfg(unix)]
use nix::sys::signal::{SigSet, Signal};
use pianola_host::corpus::{self, Corpus, SEGMENT, Set, Song, Split};
use pianola_host::export::pack;
use pianola_host::export::weights::{FloatWeights, RUN_WEIGHTS, Shape};
use pianola_host::files;
use pianola_host::statistics::evaluation::{self, Divergences, LossByPart};
use pianola_runtime::{Model, Note, Precision};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::augmentation::Augmentation;
use crate::checkpoint::{self, Progress};
use crate::curves::{self, LossUnit};
use crate::expressive::Streams;
use crate::lessons::Lessons;
use crate::network::{Dropout, Network, values};
use crate::optimizer::{AdamW, Schedule, clip};
use crate::report::Segments;

/// A kind of network, with the recipe that suits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Both hands, dynamics and real time: the parts of a note are chosen in turn.
    Expressive,
    /// The same, smaller, for boards with 2 MB of flash.
    Small,
    /// The student report's: one hand, and times by regression.
    Report,
}

impl Preset {
    /// Its sizes.
    pub fn shape(self) -> Shape {
        match self {
            Self::Expressive => Shape::EXPRESSIVE,
            Self::Small => Shape::SMALL,
            Self::Report => Shape::REPORT,
        }
    }

    /// The recipe that suits it; docs/results.md has what it was chosen from.
    pub fn recipe(self) -> Recipe {
        let shape = self.shape();
        let expressive = Recipe {
            preset: self,
            seed: 0,
            epochs: 68,
            batch: 64,
            length: 32,
            limit: None,
            learning_rate: 2e-3,
            schedule: Schedule::OneCycle,
            weight_decay: 0.1,
            dropout: 0.5,
            weight_dropout: 0.2,
            clip: 1.0,
            augmentation: Augmentation { transpose_down: 5, transpose_up: 6, tempo: 0.1 },
            hidden: shape.hidden,
            layers: shape.layers,
            mixed: false,
            start: None,
        };
        match self {
            Self::Expressive => expressive,
            Self::Small => Recipe { epochs: 54, batch: 32, dropout: 0.3, ..expressive },
            Self::Report => Recipe {
                epochs: 30,
                length: SEGMENT,
                learning_rate: 1.5e-3,
                weight_decay: 0.01,
                dropout: 0.3,
                weight_dropout: 0.0,
                ..expressive
            },
        }
    }
}

/// How a run learns from its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Kind of network.
    pub preset: Preset,
    /// Seed of initialisation, order, augmentation and dropout.
    pub seed: u64,
    /// Epochs to train.
    pub epochs: usize,
    /// Per update, segments, or songs side by side.
    pub batch: usize,
    /// Notes of each song in an update.
    pub length: usize,
    /// Use only the first so many training segments, or songs.
    pub limit: Option<usize>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Dropout between LSTM layers and before the heads.
    pub dropout: f64,
    /// Dropout of the weights from one hidden state to the next.
    pub weight_dropout: f64,
    /// Limit on the norm of the gradient; 0 for none.
    pub clip: f64,
    /// Transposition and tempo.
    pub augmentation: Augmentation,
    /// Hidden units of each LSTM layer.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Whether products are taken in bfloat16.
    pub mixed: bool,
    /// CRC-32 of the weights that the run starts from, if they are not random.
    pub start: Option<u32>,
}

impl Recipe {
    fn left_out(&self) -> Dropout {
        let units = self.preset != Preset::Report;
        Dropout { outputs: self.dropout, weights: self.weight_dropout, units }
    }
}

/// What a run is given besides its recipe.
pub struct Run<'a> {
    /// The songs.
    pub corpus: &'a Corpus,
    /// The same songs as their first instruments alone.
    pub melodies: &'a Corpus,
    /// Their sets.
    pub split: &'a Split,
    /// Weights to start from, instead of random ones.
    pub start: Option<FloatWeights>,
    /// The run's folder.
    pub folder: PathBuf,
    /// Where libtorch computes.
    pub device: Device,
    /// Stop after so many epochs without a lower validation loss.
    pub patience: Option<usize>,
    /// Go on from the folder's checkpoint.
    pub resume: bool,
    /// In words, for the weights' provenance.
    pub provenance: String,
}

/// Runs or resumes a training run.
pub fn fit(recipe: &Recipe, run: &Run) -> anyhow::Result<()> {
    let shape = Shape { layers: recipe.layers, hidden: recipe.hidden, ..recipe.preset.shape() };
    shape.check()?;
    if let Some(start) = &run.start {
        ensure!(
            start.shape == shape,
            "--from: the weights have other sizes than this run: give it the --preset, --hidden and \
             --layers that they were trained with"
        );
    }
    let mut lessons = lessons(recipe, run)?;

    let files = Files::new(&run.folder);
    prepare_folder(&Saved { recipe: recipe.clone(), data: checksum(run) }, run, &files)?;
    let notes_of =
        |set| run.corpus.set(run.split, set).flat_map(|song| song.notes.iter().copied()).collect();
    let sets = Set::ALL.map(|set| (set, notes_of(set)));
    curves::corpus_histograms(&sets, &files.corpus)?;

    let interrupted = on_interrupt()?;
    tch::manual_seed(recipe.seed as i64);
    let mut network = match &run.start {
        Some(weights) => Network::from_weights(weights, run.device),
        None => Network::new(shape, run.device),
    };
    if recipe.mixed {
        network.compute = Kind::BFloat16;
    }
    let mut optimizer = AdamW::new(network.vector(), recipe.weight_decay);
    let mut progress = if run.resume && files.checkpoint.exists() {
        let (progress, carried) = checkpoint::load(&files.checkpoint, &network, &mut optimizer)?;
        if let Some(carried) = carried {
            lessons.carry(carried);
        }
        progress
    } else {
        Progress::default()
    };
    let stopped = |progress: &Progress| {
        run.patience.is_some_and(|patience| progress.epochs_since_best() >= patience)
    };
    let mut log = Log::open(&files.log, &progress)?;
    let batches = lessons.updates();
    let songs = |set| run.corpus.set(run.split, set).count();
    // The report's network is limited to so many segments, not songs.
    let limit = recipe.limit.filter(|_| recipe.preset != Preset::Report).unwrap_or(usize::MAX);
    say(format_args!(
        "{} parameters; {} training and {} validation songs, {batches} updates an epoch",
        shape.parameters(),
        songs(Set::Train).min(limit),
        songs(Set::Validation)
    ));

    let parts = lessons.parts();
    while progress.epoch < recipe.epochs && !stopped(&progress) {
        lessons.seek(progress.epoch, progress.batch);
        let bar = progress_bar(batches, progress.batch, progress.epoch + 1, recipe.epochs);
        let started = Instant::now();
        for index in progress.batch..batches {
            let rate = recipe.schedule.rate(
                recipe.learning_rate,
                optimizer.updates as usize,
                recipe.epochs * batches,
            );
            // Dropout draws from the update's own seed, so that a resumed run drops the same.
            tch::manual_seed((recipe.seed as i64) ^ (i64::from(optimizer.updates) << 20));
            let losses = lessons.learn(&network, recipe.left_out());
            let losses = update(&network, &mut optimizer, recipe, &losses, rate);
            let total: f64 = losses.iter().sum();
            refuse_divergence(total, progress.epoch + 1)?;
            log.write(&json!({
                "event": "batch", "epoch": progress.epoch + 1, "batch": index + 1,
                "learning_rate": rate, "loss": LossByPart::new(parts, &losses),
            }))?;
            progress.batch_losses.push(losses);
            progress.batch = index + 1;
            progress.updates = optimizer.updates;
            bar.set_message(format!("loss {total:.3}"));
            bar.inc(1);
            if interrupted.load(Ordering::SeqCst) {
                bar.abandon();
                let carried = lessons.carried();
                checkpoint::save(&files.checkpoint, &network, &optimizer, carried, &progress)?;
                say(format_args!(
                    "stopped in epoch {}; `--resume` goes on from {}",
                    progress.epoch + 1,
                    files.checkpoint.display()
                ));
                return Ok(());
            }
        }
        bar.finish_and_clear();

        let train = mean(&progress.batch_losses);
        let held_out = lessons.validate(&network);
        let (train_total, held_out_total) = (train.iter().sum::<f64>(), held_out.iter().sum());
        refuse_divergence(held_out_total, progress.epoch + 1)?;
        progress.epoch += 1;
        let provenance =
            format!("{}; epoch {} of {}", run.provenance, progress.epoch, recipe.epochs);
        let weights = network.to_weights(provenance)?;
        let validation: Vec<Note> = notes_of(Set::Validation);
        let divergences = Divergences::between(&sample(&weights)?, &validation);
        progress.batch = 0;
        progress.batch_losses.clear();
        let better = progress.best.is_none_or(|(best, _)| held_out_total < best);
        if better {
            progress.best = Some((held_out_total, progress.epoch));
            save(&files.weights, &weights.write()?)?;
        }
        // In this order, a crash between two of them leaves nothing that resuming does not mend.
        log.write(&json!({
            "event": "epoch", "epoch": progress.epoch, "best": better,
            "seconds": started.elapsed().as_secs_f64(),
            "train": LossByPart::new(parts, &train), "validation": LossByPart::new(parts, &held_out),
            "jsd": divergences.by_binning().get("corrected"),
        }))?;
        let carried = lessons.carried();
        checkpoint::save(&files.checkpoint, &network, &optimizer, carried, &progress)?;
        let unit = match recipe.preset {
            Preset::Report => LossUnit::Report,
            Preset::Expressive | Preset::Small => LossUnit::Nats,
        };
        log.read().and_then(|log| curves::learning_curves(&log, unit, &files.curves))?;
        say(format_args!(
            "epoch {:>3}: train {train_total:.4}, validation {held_out_total:.4}{}",
            progress.epoch,
            if better { " (best)" } else { "" }
        ));
    }
    if stopped(&progress) {
        let since = progress.epochs_since_best();
        say(format_args!("stopped early: no lower validation loss for {since} epochs"));
    }
    if let Some((loss, epoch)) = progress.best {
        say(format_args!(
            "best validation loss {loss:.4} in epoch {epoch}: {}\nexport it with: \
             cargo run --release -- export {} --quantize int8",
            files.weights.display(),
            run.folder.display()
        ));
    }
    Ok(())
}

/// What the recipe's kind of network learns from.
fn lessons<'a>(recipe: &Recipe, run: &'a Run) -> anyhow::Result<Box<dyn Lessons + 'a>> {
    let set = |set| run.corpus.set(run.split, set);
    let (batch, augmentation, seed) = (recipe.batch, recipe.augmentation, recipe.seed);
    let limit = recipe.limit.unwrap_or(usize::MAX);
    let lacks = |set: Set, what: &str| {
        let (count, all) = (run.corpus.set(run.split, set).count(), run.corpus.songs.len());
        let set = set.name();
        anyhow!(
            "the {set} set ({count} of {all} songs) has no {what}: more songs, or another \
             --split, are needed"
        )
    };
    if recipe.preset == Preset::Report {
        let training: Vec<_> = corpus::segments(set(Set::Train)).take(limit).collect();
        let validation: Vec<_> = corpus::segments(set(Set::Validation)).copied().collect();
        let whole = format!("whole segment of {SEGMENT} notes");
        ensure!(!training.is_empty(), lacks(Set::Train, &whole));
        ensure!(!validation.is_empty(), lacks(Set::Validation, &whole));
        return Ok(Box::new(Segments::new(training, validation, batch, augmentation, seed)));
    }
    let melodies: BTreeMap<&str, &Song> =
        run.melodies.songs.iter().map(|song| (song.name.as_str(), song)).collect();
    let alone = |song: &'a Song| melodies.get(song.name.as_str()).copied().unwrap_or(song);
    let both = |song: &'a Song| [song, alone(song)].map(|song| song.notes.as_slice());
    let training: Vec<_> = set(Set::Train).map(both).take(limit).collect();
    let validation: Vec<_> = set(Set::Validation).map(|song| song.notes.as_slice()).collect();
    ensure!(!training.is_empty(), lacks(Set::Train, "song"));
    ensure!(!validation.is_empty(), lacks(Set::Validation, "song"));
    let size = (batch, recipe.length);
    Ok(Box::new(Streams::new(training, validation, size, augmentation, seed)))
}

/// The flag that Ctrl-C raises.
fn on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130); // asked twice: the last epoch's checkpoint stands
        }
        let _ = writeln!(
            io::stderr(),
            "\nstopping after this update; Ctrl-C again stops at once, and goes back to the last epoch"
        );
    })?;
    // The handler's own thread takes the signal, never this one or those that libtorch starts from
    // it: signals that interrupt oneDNN's LSTM kernels were seen to corrupt the heap.
    #[cfg(unix)]
    SigSet::from(Signal::SIGINT).thread_block()?;
    Ok(interrupted)
}

/// Prints a line, also where nobody reads any more: that is no reason to end a run.
fn say(line: fmt::Arguments) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn refuse_divergence(loss: f64, epoch: usize) -> anyhow::Result<()> {
    ensure!(
        loss.is_finite(),
        "the loss is no longer a number in epoch {epoch}: start again with a lower \
         --learning-rate or --clip; weights and checkpoint are those of the epochs before"
    );
    Ok(())
}

/// What decides a run besides the number of threads: kept in its folder, and held against the
/// options it is resumed with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Saved {
    #[serde(flatten)]
    recipe: Recipe,
    /// CRC-32 of all training and validation songs in their order.
    data: u32,
}

fn checksum(run: &Run) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let sets =
        [(run.corpus, Set::Train), (run.melodies, Set::Train), (run.corpus, Set::Validation)];
    for song in sets.into_iter().flat_map(|(corpus, set)| corpus.set(run.split, set)) {
        crc.update(&(song.notes.len() as u64).to_le_bytes());
        for note in &song.notes {
            crc.update(&[note.pitch, note.velocity]);
            crc.update(&note.step.to_le_bytes());
            crc.update(&note.duration.to_le_bytes());
        }
    }
    crc.finalize()
}

/// The files of a run's folder.
struct Files {
    recipe: PathBuf,
    weights: PathBuf,
    checkpoint: PathBuf,
    log: PathBuf,
    curves: PathBuf,
    corpus: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Self {
        Self {
            recipe: folder.join("recipe.json"),
            weights: folder.join(RUN_WEIGHTS),
            checkpoint: folder.join("checkpoint.safetensors"),
            log: folder.join("log.jsonl"),
            curves: folder.join("curves.svg"),
            corpus: folder.join("corpus.svg"),
        }
    }
}

fn prepare_folder(wanted: &Saved, run: &Run, files: &Files) -> anyhow::Result<()> {
    if run.resume {
        let saved = fs::read_to_string(&files.recipe)
            .with_context(|| format!("cannot read {}", files.recipe.display()))
            .context("no run to resume: start one without --resume")?;
        let saved: Saved = serde_json::from_str(&saved)
            .with_context(|| {
                format!("{} is damaged, or of another version of Pianola", files.recipe.display())
            })
            .context("cannot resume: start a new run with another --out")?;
        let [was, is] = [&saved, wanted].map(|run| serde_json::to_value(&run.recipe));
        let (was, is) = (was?, is?);
        let differing =
            was.as_object().into_iter().flatten().filter(|(name, was)| is[name] != **was);
        let differing: Vec<String> =
            differing.map(|(name, was)| format!("{name}: {was}, not {}", is[name])).collect();
        ensure!(
            differing.is_empty(),
            "the run in {} was started with other options ({}): repeat them, or give another --out",
            run.folder.display(),
            differing.join("; ")
        );
        ensure!(
            saved.data == wanted.data,
            "the corpus, its tracks or its split differ from those {} was started with: repeat them, \
             or give another --out",
            run.folder.display()
        );
        // One that was stopped before its first checkpoint begins again.
        ensure!(
            files.checkpoint.exists() || !files.weights.exists(),
            "{} is missing, so the run cannot go on: give another --out",
            files.checkpoint.display()
        );
        return Ok(());
    }
    ensure!(
        !files.checkpoint.exists(),
        "{} holds a run already: go on with --resume, or give another --out",
        run.folder.display()
    );
    fs::create_dir_all(&run.folder)
        .with_context(|| format!("cannot create {}", run.folder.display()))?;
    save(&files.recipe, serde_json::to_string_pretty(wanted)?.as_bytes())
}

/// One update down the gradient of the sum of a batch's losses; returns them.
fn update(
    network: &Network,
    optimizer: &mut AdamW,
    recipe: &Recipe,
    losses: &[Tensor],
    rate: f64,
) -> Vec<f64> {
    let losses = Tensor::stack(losses, 0);
    let mut gradient = network.gradient(&losses.sum(Kind::Float));
    if recipe.clip > 0.0 {
        clip(&mut gradient, recipe.clip);
    }
    optimizer.step(network.vector(), &gradient, rate);
    values(&losses).into_iter().map(f64::from).collect()
}

/// Means over batches, each of which counts alike, however many notes it has, as in the report.
fn mean(losses: &[Vec<f64>]) -> Vec<f64> {
    let parts = losses.first().map_or(0, Vec::len);
    let mean = |part: usize| {
        losses.iter().map(|loss| loss[part]).sum::<f64>() / losses.len().max(1) as f64
    };
    (0..parts).map(mean).collect()
}

/// Plays the divergences' pieces with the network as it is, through the runtime.
pub fn sample(weights: &FloatWeights) -> anyhow::Result<Vec<Note>> {
    let packed = pack(weights, Precision::Float)?;
    let model = Model::from_bytes(&packed.bytes)?;
    // On all cores, some pieces on each: where a GPU trains, an epoch takes no more than some seconds.
    const TOGETHER: u64 = 5;
    let firsts: Vec<u64> = (0..evaluation::PIECES).step_by(TOGETHER as usize).collect();
    let pieces = firsts
        .into_par_iter()
        .map(|first| {
            let end = evaluation::PIECES.min(first + TOGETHER);
            evaluation::sample_pieces(&model, first..end)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(pieces.concat())
}

/// Writes a file of the run.
fn save(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    files::write_whole(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn progress_bar(batches: usize, done: usize, epoch: usize, epochs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} ({eta} left)")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(batches as u64).with_style(style);
    bar.set_prefix(format!("epoch {epoch}/{epochs}"));
    bar.set_position(done as u64);
    bar
}

/// The run's log: one JSON object a line.
struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens the log, dropping what a killed run logged after its last checkpoint.
    fn open(path: &Path, progress: &Progress) -> anyhow::Result<Self> {
        let old = match fs::read_to_string(path) {
            Ok(text) if progress.updates > 0 => text,
            _ => String::new(),
        };
        let kept: String = old
            .lines()
            .filter(|line| {
                let number = |entry: &serde_json::Value, key: &str| {
                    entry[key].as_u64().map(|number| number as usize)
                };
                serde_json::from_str(line).is_ok_and(|entry: serde_json::Value| {
                    let epoch = number(&entry, "epoch").unwrap_or(0);
                    // An epoch's entry comes after all its batches.
                    let batch = number(&entry, "batch").unwrap_or(usize::MAX);
                    epoch <= progress.epoch
                        || (epoch == progress.epoch + 1 && batch <= progress.batch)
                })
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        save(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file, path: path.into() })
    }

    fn read(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))
    }

    fn write(&mut self, entry: &serde_json::Value) -> anyhow::Result<()> {
        writeln!(self.file, "{entry}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
