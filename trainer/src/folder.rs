//! The folder of a run: its files, its recipe, and its log.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use pianola_host::export::weights::RUN_WEIGHTS;
use pianola_host::files;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Progress;
use crate::recipe::Recipe;

/// Everything that determines a run besides the number of threads. The folder holds it as `recipe.json`; a resumed run
/// must have the same.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Hyperparameters.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// CRC-32 of all training and validation songs in their order.
    pub data: u32,
}

/// The files of a run's folder.
pub struct RunFolder {
    path: PathBuf,
    recipe: PathBuf,
    /// Weights with the lowest validation loss so far.
    pub weights: PathBuf,
    /// State to resume from.
    pub checkpoint: PathBuf,
    /// One JSON object per update and per epoch.
    pub log: PathBuf,
    /// Learning curves.
    pub curves: PathBuf,
    /// Histograms of the corpus.
    pub corpus: PathBuf,
}

impl RunFolder {
    /// The paths in a folder, which need not exist.
    pub fn new(folder: &Path) -> Self {
        Self {
            path: folder.into(),
            recipe: folder.join("recipe.json"),
            weights: folder.join(RUN_WEIGHTS),
            checkpoint: folder.join("checkpoint.safetensors"),
            log: folder.join("log.jsonl"),
            curves: folder.join("curves.svg"),
            corpus: folder.join("corpus.svg"),
        }
    }

    /// Creates the folder of a new run and writes its recipe.
    ///
    /// # Errors
    /// If the folder holds a run already, or cannot be written.
    pub fn create(&self, wanted: &Saved) -> anyhow::Result<()> {
        ensure!(
            !self.checkpoint.exists(),
            "{} contains a run already: resume it with --resume, or give another --out",
            self.path.display()
        );
        fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot create {}", self.path.display()))?;
        save(&self.recipe, serde_json::to_string_pretty(wanted)?.as_bytes())
    }

    /// Checks that the folder holds a run with the same recipe and the same data.
    ///
    /// # Errors
    /// If it does not; the message names the options that differ.
    pub fn check(&self, wanted: &Saved) -> anyhow::Result<()> {
        let saved = fs::read_to_string(&self.recipe)
            .with_context(|| format!("cannot read {}", self.recipe.display()))
            .context("no run to resume: start one without --resume")?;
        let saved: Saved = serde_json::from_str(&saved)
            .with_context(|| {
                format!("{} is damaged, or of another version of Pianola", self.recipe.display())
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
            self.path.display(),
            differing.join("; ")
        );
        ensure!(
            saved.data == wanted.data,
            "the corpus, its tracks or its split differ from those {} was started with: repeat them, \
             or give another --out",
            self.path.display()
        );
        // A run that was interrupted before its first checkpoint starts again.
        ensure!(
            self.checkpoint.exists() || !self.weights.exists(),
            "{} is missing, so the run cannot be resumed: give another --out",
            self.checkpoint.display()
        );
        Ok(())
    }
}

/// Writes a file of a run, whole or not at all.
pub fn save(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    files::write_whole(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The log of a run: one JSON object per line.
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens a log. Drops the entries after the checkpoint's progress, which a killed run may have left.
    pub fn open(path: &Path, progress: &Progress) -> anyhow::Result<Self> {
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
                    // The entry of an epoch comes after those of its updates.
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

    /// The whole log so far.
    pub fn read(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))
    }

    /// Appends an entry.
    pub fn write(&mut self, entry: &serde_json::Value) -> anyhow::Result<()> {
        writeln!(self.file, "{entry}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
