//! What music is made up from, as options of the command line.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use pianola_runtime::guard::Filter;
use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Model, Note, Start};

use crate::options::controls::Controls;
use crate::options::filter_file::{FilterFile, Originality};
use crate::options::hands::WhichHands;
use crate::options::model_file::ModelFile;
use crate::options::output::ensure_apart;
use crate::options::primer::Primer;

#[derive(Args)]
pub struct Source {
    /// Model file [default: the bundled one].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Seconds of music besides those of --prime: stop before the first note after them.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    #[command(flatten)]
    pub controls: Controls,
    #[command(flatten)]
    originality: Originality,
    /// The same seed makes the same piece, everywhere [default: drawn, and printed].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    hands: WhichHands,
    #[command(flatten)]
    primer: Primer,
}

impl Source {
    /// Seconds after the primer in which notes may start, if there is a limit.
    pub fn seconds(&self) -> anyhow::Result<Option<f64>> {
        let valid = self.seconds.is_none_or(|seconds| seconds > 0.0 && seconds.is_finite());
        ensure!(valid, "--seconds must be a number above 0");
        Ok(self.seconds)
    }

    /// The seed, drawn and printed if none is given.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| {
            // 32 bits, so that it is short to type again.
            let seed = RandomState::new().hash_one(0) & u64::from(u32::MAX);
            eprintln!("seed {seed}");
            seed
        })
    }

    /// Refuses to write over what the music is made up from.
    pub fn ensure_apart(&self, out: &Path) -> anyhow::Result<()> {
        let files = [self.model.as_ref(), self.primer.file(), self.originality.file()];
        files.into_iter().flatten().try_for_each(|file| ensure_apart(out, file))
    }

    /// Opens the files, and has music made up from what is in them.
    pub fn open<T>(&self, make_up: impl FnOnce(&Opened) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let file = ModelFile::open(self.model.as_deref())?;
        let model = file.model()?;
        let filter_file = self.originality.open(self.model.as_deref())?;
        let filter = filter_file.as_ref().map(FilterFile::filter).transpose()?;
        let primer = self.primer.read(&model, self.hands.told())?;
        make_up(&Opened {
            source: self,
            file: &file,
            model: &model,
            filter: filter.as_ref(),
            primer,
        })
    }
}

/// A source whose files are open.
pub struct Opened<'a> {
    source: &'a Source,
    file: &'a ModelFile,
    /// What makes it up.
    pub model: &'a Model<'a>,
    filter: Option<&'a Filter<'a>>,
    /// Notes that a piece opens with.
    pub primer: Vec<Note>,
}

impl<'a> Opened<'a> {
    /// What makes up the piece of a seed; it has not heard the primer.
    pub fn generator(&self, seed: u64) -> anyhow::Result<Generator<'a, MAX_LAYERS, MAX_HIDDEN>> {
        let start = Start::new(seed).with_hands(self.source.hands.told());
        let generator = Generator::from_model(self.model, start);
        let mut generator = generator.map_err(|error| self.file.refused(error))?;
        generator.set_filter(self.filter);
        Ok(generator)
    }
}
