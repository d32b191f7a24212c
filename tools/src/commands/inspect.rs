//! `pianola inspect`: prints what a model file or a `.mid` file contains.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use pianola_host::text::escape;
use safetensors::SafeTensors;
use serde::Serialize;

use crate::commands::inspect_piece;
use crate::options::json;
use crate::options::model_file::ModelFile;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola inspect
  pianola inspect mine.safetensors
  pianola inspect piece.mid")]
pub struct Options {
    /// Model file, other .safetensors file or .mid file [default: the bundled model].
    file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Contents of a file; `--json` prints them.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    bytes: usize,
    metadata: BTreeMap<&'a str, &'a str>,
    tensors: Vec<Tensor<'a>>,
    /// CRC-32 in hexadecimal, if the model can be opened.
    checksum: Option<String>,
    /// Otherwise, the reason.
    refused: Option<String>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    bytes: usize,
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    let file = ModelFile::open(options.file.as_deref())?;
    if inspect_piece::is_midi(file.bytes()) {
        let report = inspect_piece::Report::new(file.name(), file.bytes())?;
        return if options.json { json::print(&report) } else { Ok(report.to_string()) };
    }
    let (_, header) = SafeTensors::read_metadata(file.bytes()).with_context(|| {
        format!("{} is neither a .safetensors file nor a .mid file", file.name())
    })?;
    let tensors = header.tensors();
    let mut tensors: Vec<_> = tensors.iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let model = file.model();
    let metadata = header.metadata().iter().flatten();
    let report = Report {
        file: file.name(),
        bytes: file.bytes().len(),
        metadata: metadata.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        tensors: tensors
            .iter()
            .map(|(name, info)| Tensor {
                name,
                dtype: format!("{:?}", info.dtype),
                shape: &info.shape,
                bytes: info.data_offsets.1 - info.data_offsets.0,
            })
            .collect(),
        checksum: model.as_ref().ok().map(|model| format!("{:08x}", model.checksum())),
        refused: model.as_ref().err().map(|error| error.root_cause().to_string()),
    };
    if options.json { json::print(&report) } else { Ok(report.to_string()) }
}

impl fmt::Display for Report<'_> {
    /// Text from the file is escaped, so that it cannot control the terminal.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}: {} bytes", escape(self.file), self.bytes)?;
        for (key, value) in &self.metadata {
            writeln!(f, "  {}: {}", escape(key), escape(value))?;
        }
        for Tensor { name, dtype, shape, bytes } in &self.tensors {
            let (name, shape) = (escape(name), format!("{shape:?}"));
            writeln!(f, "{name:28}{dtype:>6} {shape:24}{bytes:>10} bytes")?;
        }
        if let Some(checksum) = &self.checksum {
            writeln!(f, "plays here: yes, checksum {checksum} verified")?;
        }
        if let Some(cause) = &self.refused {
            writeln!(f, "plays here: no: {}", escape(cause))?;
        }
        Ok(())
    }
}
