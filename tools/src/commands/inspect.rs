//! `pianola inspect`: what a model file holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use safetensors::SafeTensors;

use crate::commands::inspect_piece;
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
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    let file = ModelFile::open(options.file.as_deref())?;
    if inspect_piece::is_midi(file.bytes()) {
        return inspect_piece::report(file.name(), file.bytes());
    }
    let (_, header) = SafeTensors::read_metadata(file.bytes()).with_context(|| {
        format!("{} is neither a .safetensors file nor a .mid file", file.name())
    })?;
    let mut report = format!("{}: {} bytes\n", file.name(), file.bytes().len());
    for (key, value) in header.metadata().iter().flatten().collect::<BTreeMap<_, _>>() {
        report += &format!("  {key}: {value}\n");
    }
    let mut tensors: Vec<_> = header.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let (dtype, shape) = (format!("{:?}", info.dtype), format!("{:?}", info.shape));
        report += &format!("{name:28}{dtype:>6} {shape:24}{:>10} bytes\n", end - start);
    }
    report += &match file.model() {
        Ok(model) => format!("plays here: yes, checksum {:08x} verified\n", model.checksum()),
        Err(error) => format!("plays here: no: {}\n", error.root_cause()),
    };
    Ok(report)
}
