//! Model files: the bundled one, and others mapped from disk.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, ensure};
use memmap2::Mmap;
use pianola_runtime::{Model, ModelError};

use crate::program;

/// The bundled model, for those who only want to listen; on a boundary of cache lines, where kernels
/// read it fastest.
static BUNDLED: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../models/expressive-int8.safetensors"));

#[repr(align(64))]
struct Aligned<T: ?Sized>(T);

/// The bytes of a model file.
pub enum ModelFile {
    Bundled,
    Mapped { map: Mmap, name: String },
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
        // SAFETY: the map is only read. Another program that shortens the file while it is mapped
        // could end this process with a bus error, as it could any program that maps a file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.with_context(|| format!("cannot read {name}"))?;
        Ok(Self::Mapped { map, name })
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Bundled => "expressive-int8 (bundled)",
            Self::Mapped { name, .. } => name,
        }
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bundled => &BUNDLED.0,
            Self::Mapped { map, .. } => map,
        }
    }

    /// Checks and views the model.
    pub fn model(&self) -> anyhow::Result<Model<'_>> {
        Model::from_bytes(self.bytes()).map_err(|error| self.refused(error))
    }

    /// Says which file was refused and why.
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
