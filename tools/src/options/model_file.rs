//! Model files: the bundled one, and others read from disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use pianola_runtime::{Model, ModelError};

use crate::program;

/// The bundled model, aligned to cache lines, where kernels
/// read it fastest.
static BUNDLED: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../models/expressive-int8.safetensors"));

#[repr(align(64))]
struct Aligned<T: ?Sized>(T);

/// Bytes of a cache line.
const LINE: usize = 64;

/// Maximum file size: ten times the largest model that fits the buffers.
const MOST: u64 = 1 << 28;

/// Contents of a model file. The file is read, not mapped: later changes to it, such as another model
/// copied over it, do not affect a performance.
pub enum ModelFile {
    Bundled,
    Read { bytes: AlignedBytes, name: String },
}

/// Bytes aligned to a cache line.
pub struct AlignedBytes {
    bytes: Vec<u8>,
    start: usize,
}

impl AlignedBytes {
    /// Reads to the end, about `length` bytes.
    fn read(mut file: impl Read, length: usize) -> std::io::Result<Self> {
        let mut bytes: Vec<u8> = Vec::with_capacity(length + LINE);
        loop {
            // If a file is longer than announced, its buffer moves, and with it the alignment.
            let start = bytes.as_ptr().align_offset(LINE);
            if bytes.is_empty() {
                bytes.resize(start, 0);
                file.read_to_end(&mut bytes)?;
            }
            if bytes.as_ptr().align_offset(LINE) == start {
                return Ok(Self { bytes, start });
            }
            let mut moved: Vec<u8> = Vec::with_capacity(bytes.len() + LINE);
            let to = moved.as_ptr().align_offset(LINE);
            moved.resize(to, 0);
            moved.extend_from_slice(bytes.get(start..).unwrap_or_default());
            bytes = moved;
        }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl ModelFile {
    /// Opens a model file, or the bundled one.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Bundled) };
        let name = path.display().to_string();
        ensure!(
            !path.is_dir(),
            "{name} is a folder; `{} export {name}` makes a model file of a run",
            program::command()
        );
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let length = file.metadata().map_or(0, |about| about.len());
        ensure!(length < MOST, "{name} is too large to be a model file");
        let bytes = AlignedBytes::read(file.take(MOST), length as usize)
            .with_context(|| format!("cannot read {name}"))?;
        Ok(Self::Read { bytes, name })
    }

    /// Name for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Bundled => "expressive-int8 (bundled)",
            Self::Read { name, .. } => name,
        }
    }

    /// The contents.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bundled => &BUNDLED.0,
            Self::Read { bytes, .. } => bytes.get(),
        }
    }

    /// Checks and views the model.
    pub fn model(&self) -> anyhow::Result<Model<'_>> {
        Model::from_bytes(self.bytes()).map_err(|error| self.refused(error))
    }

    /// Adds the file's name to an error.
    pub fn refused(&self, error: ModelError) -> anyhow::Error {
        let export = match error {
            ModelError::NotAModel => {
                format!("; `{} export` makes one from a trained run", program::command())
            }
            _ => String::new(),
        };
        anyhow::anyhow!("{}: {error}{export}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_length_is_announced_the_bytes_are_whole_and_aligned() -> anyhow::Result<()> {
        let file: Vec<u8> = (0..100_000u32).map(|byte| byte as u8).collect();
        for announced in [0, 1, 1000, file.len(), 2 * file.len()] {
            let read = AlignedBytes::read(&file[..], announced)?;
            assert_eq!(read.get(), file);
            assert_eq!(read.get().as_ptr().align_offset(LINE), 0, "{announced}");
        }
        assert!(AlignedBytes::read(&[][..], 0)?.get().is_empty());
        Ok(())
    }
}
