//! The source of a composition (model, seed, primer, sampling), as options of the command line.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use clap::Args;
use pianola_runtime::guard::Filter;
use pianola_runtime::vocabulary::Hands;
use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Model, Note, Start};

use crate::options::controls::Controls;
use crate::options::filter_file::{FilterFile, Originality};
use crate::options::hands::WhichHands;
use crate::options::model_file::ModelFile;
use crate::options::output::ensure_apart;
use crate::options::primer::Primer;
use crate::options::time;
use crate::program::say;

#[derive(Args)]
pub struct Source {
    /// Random seed; the same seed and options give the same bytes [default: random, printed].
    #[arg(long, value_name = "N", help_heading = "Reproducibility")]
    seed: Option<u64>,
    /// Model file [default: the bundled model].
    #[arg(long, value_name = "FILE", help_heading = "Reproducibility")]
    model: Option<PathBuf>,
    /// Length in seconds, or as 1:30; --prime does not count.
    #[arg(long, value_name = "TIME", value_parser = time::length, help_heading = "Music")]
    seconds: Option<f64>,
    #[command(flatten)]
    hands: WhichHands,
    #[command(flatten)]
    primer: Primer,
    #[command(flatten)]
    pub controls: Controls,
    #[command(flatten)]
    originality: Originality,
}

impl Source {
    /// Seconds after the primer in which notes may start, if limited.
    pub fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// The hands to compose for.
    pub fn hands(&self) -> Hands {
        self.hands.get()
    }

    /// The seed; drawn if none is given.
    pub fn seed(&self) -> u64 {
        // 32 bits, so that it is short to type again.
        let drawn = || RandomState::new().hash_one(0) & u64::from(u32::MAX);
        self.seed.unwrap_or_else(drawn)
    }

    /// Prints the seed if it was drawn: before the work, once nothing is left to refuse.
    pub fn say_seed(&self, seed: u64) {
        if self.seed.is_none() {
            say(&format!("seed {seed}"));
        }
    }

    /// Refuses to overwrite an input of the composition.
    pub fn ensure_apart(&self, out: &Path) -> anyhow::Result<()> {
        let files = [self.model.as_ref(), self.primer.file(), self.originality.file()];
        files.into_iter().flatten().try_for_each(|file| ensure_apart(out, file))
    }

    /// Opens the files and calls `compose` with them.
    pub fn open<T>(&self, compose: impl FnOnce(&Opened) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let file = ModelFile::open(self.model.as_deref())?;
        let model = file.model()?;
        let filter_file = self.originality.open(self.model.as_deref())?;
        let filter = filter_file.as_ref().map(FilterFile::filter).transpose()?;
        let primer = self.primer.read(&model, self.hands.get())?;
        compose(&Opened {
            source: self,
            file: &file,
            model: &model,
            filter: filter.as_ref(),
            primer,
        })
    }
}

/// A source with open files.
pub struct Opened<'a> {
    source: &'a Source,
    /// The model's file.
    pub file: &'a ModelFile,
    /// The model.
    pub model: &'a Model<'a>,
    filter: Option<&'a Filter<'a>>,
    /// The primer.
    pub primer: Vec<Note>,
}

impl<'a> Opened<'a> {
    /// A generator for the piece of a seed; it has not observed the primer.
    pub fn generator(&self, seed: u64) -> anyhow::Result<Generator<'a, MAX_LAYERS, MAX_HIDDEN>> {
        let start = Start::new(seed).with_hands(self.source.hands.get());
        let generator = Generator::from_model(self.model, start);
        let mut generator = generator.map_err(|error| self.file.refused(error))?;
        generator.set_filter(self.filter);
        Ok(generator)
    }
}
