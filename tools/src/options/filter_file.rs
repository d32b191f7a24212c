//! Originality filters, as options of the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::files::read_bounded;
use pianola_runtime::guard::{Filter, FilterError};

use crate::program;

/// Largest filter file that is read, in bytes.
const LARGEST: u64 = 256 << 20;

#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub struct Originality {
    /// Never play N notes in a row that occur in the training songs, in any key or tempo.
    #[arg(long, value_name = "N")]
    original: Option<usize>,
    /// Originality filter file [default: that of the bundled models].
    #[arg(long, value_name = "FILE", requires = "original")]
    filter: Option<PathBuf>,
}

impl Originality {
    /// The path, if a filter is requested.
    pub fn file(&self) -> Option<&PathBuf> {
        self.filter.as_ref()
    }

    /// Opens the filter for a model, if one is requested.
    pub fn open(&self, model: Option<&Path>) -> anyhow::Result<Option<FilterFile>> {
        let Some(notes) = self.original else { return Ok(None) };
        let bytes = match &self.filter {
            Some(path) => {
                let name = path.display().to_string();
                let bytes =
                    read_bounded(path, LARGEST).with_context(|| format!("cannot read {name}"))?;
                Bytes::Read { bytes, name }
            }
            None => {
                ensure!(
                    model.is_none(),
                    "--original with --model needs --filter: `{} filter` makes it from the training songs; \
                     models/expressive.filter is that of the bundled models",
                    program::command()
                );
                Bytes::Bundled
            }
        };
        Ok(Some(FilterFile { bytes, notes }))
    }
}

/// An originality filter in memory, and the length of the passages to block.
pub struct FilterFile {
    bytes: Bytes,
    notes: usize,
}

enum Bytes {
    Bundled,
    Read { bytes: Vec<u8>, name: String },
}

impl FilterFile {
    /// The filter, if it supports passages of that length.
    pub fn filter(&self) -> anyhow::Result<Filter<'_>> {
        let (bytes, name) = match &self.bytes {
            Bytes::Bundled => (BUNDLED, "the bundled filter"),
            Bytes::Read { bytes, name } => (bytes.as_slice(), name.as_str()),
        };
        let filter = Filter::from_bytes(bytes).map_err(|error| {
            let made = match error {
                FilterError::NotAFilter => {
                    format!("; `{} filter` makes one from a corpus", program::command())
                }
                _ => String::new(),
            };
            anyhow::anyhow!("{name}: {error}{made}")
        })?;
        let (notes, known) = (self.notes, filter.notes());
        ensure!(
            notes >= known,
            "--original {notes}: {name} knows passages of {known} notes, so it takes {known} or more"
        );
        Ok(filter)
    }
}

/// The bundled filter, built from the training songs of the bundled model.
const BUNDLED: &[u8] = include_bytes!("../../../models/expressive.filter");
