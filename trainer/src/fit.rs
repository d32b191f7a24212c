//! `trainer fit`: the training loop.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
#[cfg(unix)]
use nix::sys::signal::{SigSet, Signal};
use pianola_host::corpus::Set;
use pianola_host::export::pack;
use pianola_host::export::weights::FloatWeights;
use pianola_host::statistics::evaluation::{self, Divergences, LossByPart};
use pianola_host::text::escape_lines;
use pianola_runtime::{Model, Note, Precision};
use rayon::prelude::*;
use serde_json::json;
use tch::{Kind, Tensor};

use crate::checkpoint::{self, Progress};
use crate::curves::{self, LossUnit};
use crate::data;
use crate::folder::{Log, RunFolder, Saved, save};
use crate::network::{Network, values};
use crate::optimizer::{AdamW, clip};
use crate::recipe::{Preset, Recipe};
use crate::run::Run;
use crate::training_data::TrainingData;

/// Starts or resumes a training run, and trains to its end or until Ctrl-C.
///
/// # Errors
/// If the data, the folder or the options do not fit, a file cannot be written, or the loss is no longer finite.
pub fn fit(recipe: &Recipe, run: &Run) -> anyhow::Result<()> {
    let mut training = Training::begin(recipe, run)?;
    training.announce();
    while training.progress.epoch < recipe.epochs && !training.stops_early() {
        let started = Instant::now();
        if !training.train_epoch()? {
            return training.interrupt();
        }
        training.end_epoch(started)?;
    }
    training.conclude();
    Ok(())
}

/// A run in progress.
struct Training<'a> {
    recipe: &'a Recipe,
    run: &'a Run<'a>,
    folder: RunFolder,
    data: Box<dyn TrainingData + 'a>,
    network: Network,
    optimizer: AdamW,
    progress: Progress,
    log: Log,
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl<'a> Training<'a> {
    /// Prepares the folder and the network, from the checkpoint if the run is resumed.
    fn begin(recipe: &'a Recipe, run: &'a Run) -> anyhow::Result<Self> {
        let shape = recipe.shape();
        shape.check()?;
        if let Some(start) = &run.start {
            ensure!(
                start.shape == shape,
                "--from: the weights have other sizes than this run: give the --preset, --hidden \
                 and --layers that they were trained with"
            );
        }
        let mut data = data::load(recipe, run)?;
        let folder = RunFolder::new(&run.folder);
        let wanted = Saved { recipe: recipe.clone(), data: data::checksum(run) };
        if run.resume {
            folder.check(&wanted)?
        } else {
            folder.create(&wanted)?
        }
        let sets = Set::ALL.map(|set| (set, notes(run, set)));
        curves::corpus_histograms(&sets, &folder.corpus)?;

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
        let mut progress = Progress::default();
        if run.resume && folder.checkpoint.exists() {
            let (saved, carried) = checkpoint::load(&folder.checkpoint, &network, &mut optimizer)?;
            progress = saved;
            if let Some(carried) = carried {
                data.carry(carried);
            }
        }
        let log = Log::open(&folder.log, &progress)?;
        let updates = recipe.epochs * data.updates();
        let bar = progress_bar(updates, progress.updates as usize);
        Ok(Self { recipe, run, folder, data, network, optimizer, progress, log, bar, interrupted })
    }

    fn announce(&self) {
        let songs = |set| self.run.corpus.set(self.run.split, set).count();
        // The limit of the report's network is in segments, not songs.
        let in_songs = self.recipe.preset != Preset::Report;
        let limit = self.recipe.limit.filter(|_| in_songs).unwrap_or(usize::MAX);
        self.say(format_args!(
            "{} parameters; {} training and {} validation songs, {} updates per epoch",
            self.recipe.shape().parameters(),
            songs(Set::Train).min(limit),
            songs(Set::Validation),
            self.data.updates()
        ));
    }

    /// Early stopping.
    fn stops_early(&self) -> bool {
        self.run.patience.is_some_and(|patience| self.progress.epochs_since_best() >= patience)
    }

    /// Runs the remaining updates of the current epoch. Returns false after Ctrl-C.
    fn train_epoch(&mut self) -> anyhow::Result<bool> {
        let epoch = self.progress.epoch + 1;
        self.bar.set_prefix(format!("epoch {epoch}/{}", self.recipe.epochs));
        self.data.seek(self.progress.epoch, self.progress.batch);
        while self.progress.batch < self.data.updates() {
            let rate = self.recipe.schedule.rate(
                self.recipe.learning_rate,
                self.optimizer.updates as usize,
                self.recipe.epochs * self.data.updates(),
            );
            let losses = self.update(rate);
            let total: f64 = losses.iter().sum();
            refuse_divergence(total, epoch)?;
            self.progress.batch += 1;
            self.log.write(&json!({
                "event": "batch", "epoch": epoch, "batch": self.progress.batch,
                "learning_rate": rate, "loss": LossByPart::new(self.data.parts(), &losses),
            }))?;
            self.progress.batch_losses.push(losses);
            self.progress.updates = self.optimizer.updates;
            self.bar.set_message(format!("training loss {total:.3}"));
            self.bar.inc(1);
            if self.interrupted.load(Ordering::SeqCst) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One update with the gradient of the sum of the next batch's losses; returns the losses.
    fn update(&mut self, rate: f64) -> Vec<f64> {
        // Dropout is seeded by the update's number, so that a resumed run drops the same.
        let seed = (self.recipe.seed as i64) ^ (i64::from(self.optimizer.updates) << 20);
        tch::manual_seed(seed);
        let losses = self.data.losses(&self.network, self.recipe.dropout());
        let losses = Tensor::stack(&losses, 0);
        let mut gradient = self.network.gradient(&losses.sum(Kind::Float));
        if self.recipe.clip > 0.0 {
            clip(&mut gradient, self.recipe.clip);
        }
        self.optimizer.step(self.network.vector(), &gradient, rate);
        values(&losses).into_iter().map(f64::from).collect()
    }

    /// Validates, and writes weights, log, checkpoint and curves.
    fn end_epoch(&mut self, started: Instant) -> anyhow::Result<()> {
        self.bar.set_message("validation");
        let parts = self.data.parts();
        let train = mean(&self.progress.batch_losses);
        let validation = self.data.validate(&self.network);
        let (train_total, total) = (train.iter().sum::<f64>(), validation.iter().sum());
        refuse_divergence(total, self.progress.epoch + 1)?;
        self.progress.epoch += 1;
        let epoch = self.progress.epoch;
        let provenance =
            format!("{}; epoch {epoch} of {}", self.run.provenance, self.recipe.epochs);
        let weights = self.network.to_weights(provenance)?;
        let divergences =
            Divergences::between(&sample(&weights)?, &notes(self.run, Set::Validation));
        self.progress.batch = 0;
        self.progress.batch_losses.clear();
        let better = self.progress.best.is_none_or(|(best, _)| total < best);
        if better {
            self.progress.best = Some((total, epoch));
            save(&self.folder.weights, &weights.write()?)?;
        }
        // In this order, so that a run that is killed between two of these steps can be resumed.
        self.log.write(&json!({
            "event": "epoch", "epoch": epoch, "best": better,
            "seconds": started.elapsed().as_secs_f64(),
            "train": LossByPart::new(parts, &train), "validation": LossByPart::new(parts, &validation),
            "jsd": divergences.by_binning().get("corrected"),
        }))?;
        self.save_checkpoint()?;
        let unit = match self.recipe.preset {
            Preset::Report => LossUnit::Report,
            Preset::Expressive | Preset::Small => LossUnit::Nats,
        };
        self.log.read().and_then(|log| curves::learning_curves(&log, unit, &self.folder.curves))?;
        self.say(format_args!(
            "epoch {epoch:>3}: training loss {train_total:.4}, validation loss {total:.4}{}",
            if better { " (best)" } else { "" }
        ));
        Ok(())
    }

    fn save_checkpoint(&self) -> anyhow::Result<()> {
        let (path, carried) = (&self.folder.checkpoint, self.data.carried());
        checkpoint::save(path, &self.network, &self.optimizer, carried, &self.progress)
    }

    /// After Ctrl-C: leaves a checkpoint within the epoch.
    fn interrupt(&self) -> anyhow::Result<()> {
        self.bar.abandon();
        self.save_checkpoint()?;
        self.say(format_args!(
            "stopped in epoch {}; `--resume` continues from {}",
            self.progress.epoch + 1,
            self.folder.checkpoint.display()
        ));
        Ok(())
    }

    fn conclude(&self) {
        self.bar.finish_and_clear();
        if self.stops_early() {
            let since = self.progress.epochs_since_best();
            self.say(format_args!("stopped early: no lower validation loss for {since} epochs"));
        }
        if let Some((loss, epoch)) = self.progress.best {
            self.say(format_args!(
                "lowest validation loss {loss:.4} in epoch {epoch}: {}\nexport it with: \
                 cargo run --release -- export {} --quantize int8",
                self.folder.weights.display(),
                self.run.folder.display()
            ));
        }
    }

    /// Prints a line above the progress bar. A closed standard output is no reason to end a run.
    fn say(&self, line: fmt::Arguments) {
        self.bar.suspend(|| {
            let _ = writeln!(io::stdout(), "{}", escape_lines(&line.to_string()));
        });
    }
}

/// All notes of a set.
fn notes(run: &Run, set: Set) -> Vec<Note> {
    run.corpus.set(run.split, set).flat_map(|song| song.notes.iter().copied()).collect()
}

/// The flag that Ctrl-C raises. A second Ctrl-C ends the program at once.
fn on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130); // the checkpoint of the last epoch stays
        }
        let _ = writeln!(
            io::stderr(),
            "\nstopping after this update; Ctrl-C again stops at once and loses this epoch"
        );
    })?;
    // The handler's thread takes the signal, never this one or those that libtorch starts from it: signals that
    // interrupt oneDNN's LSTM kernels were seen to corrupt the heap.
    #[cfg(unix)]
    SigSet::from(Signal::SIGINT).thread_block()?;
    Ok(interrupted)
}

fn refuse_divergence(loss: f64, epoch: usize) -> anyhow::Result<()> {
    ensure!(
        loss.is_finite(),
        "the loss diverged in epoch {epoch}: start again with a lower --learning-rate or --clip; \
         weights and checkpoint of the previous epochs are kept"
    );
    Ok(())
}

/// Means over batches. Batches have equal weights, whatever their number of notes, as in the report.
fn mean(losses: &[Vec<f64>]) -> Vec<f64> {
    let parts = losses.first().map_or(0, Vec::len);
    let mean = |part: usize| {
        losses.iter().map(|loss| loss[part]).sum::<f64>() / losses.len().max(1) as f64
    };
    (0..parts).map(mean).collect()
}

/// Samples the pieces for the divergences from the current weights, through the runtime.
pub fn sample(weights: &FloatWeights) -> anyhow::Result<Vec<Note>> {
    let packed = pack(weights, Precision::Float)?;
    let model = Model::from_bytes(&packed.bytes)?;
    // On all cores, some pieces on each: an epoch on a GPU takes only seconds.
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

/// A bar over all updates of the run, so that the time left is that of the run.
fn progress_bar(updates: usize, done: usize) -> ProgressBar {
    const TEMPLATE: &str = "{prefix} {bar:40} {percent:>3} %, {eta} left, {msg}";
    let style =
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(updates as u64).with_style(style);
    bar.set_position(done as u64);
    bar.reset_eta();
    bar
}
