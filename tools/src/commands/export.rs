//! `pianola export`: converts trained weights into a model file.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use pianola_host::export::weights::FloatWeights;
use pianola_host::export::{TensorError, pack};
use pianola_host::files::{read_bounded, write_whole};
use pianola_host::text::count;
use pianola_runtime::Precision;

use crate::options::output::{self, ensure_apart, ensure_writable, verb};

/// Largest file of weights that is read, in bytes.
const LARGEST: u64 = 1 << 30;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola export runs/mine
  pianola export runs/mine --quantize int4 --out mine.safetensors")]
pub struct Options {
    /// Training run, or a .safetensors file of float weights (such as a PyTorch state dict).
    run: PathBuf,
    /// Precision of the weights: int4 takes half the space of int8; none keeps 32-bit floats.
    #[arg(long, value_enum, default_value_t = Quantization::Int8)]
    quantize: Quantization,
    /// Model file to write, - for standard output [default: model-PRECISION.safetensors beside the weights].
    #[arg(long, value_name = "FILE", value_parser = output::path())]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Quantization {
    // 32-bit floats, as trained.
    None,
    // Eight bits, one scale per row.
    Int8,
    // Four bits, one scale per row; the output layers keep eight.
    Int4,
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    let source = FloatWeights::path(&options.run);
    let name = || source.display().to_string();
    ensure!(
        !options.run.is_dir() || source.exists(),
        "{} is not a training run: there are no weights in it; `trainer fit` writes them",
        options.run.display()
    );
    let precision = match options.quantize {
        Quantization::None => Precision::Float,
        Quantization::Int8 => Precision::Int8,
        Quantization::Int4 => Precision::Int4,
    };
    let out = options.out.clone().unwrap_or_else(|| {
        let folder = source.parent().unwrap_or(Path::new(""));
        folder.join(format!("model-{precision}.safetensors"))
    });
    ensure_writable(&out, &[])?;
    ensure_apart(&out, &source)?;
    let bytes =
        read_bounded(&source, LARGEST).with_context(|| format!("cannot read {}", name()))?;
    let weights = FloatWeights::read(&bytes).with_context(name)?;
    let packed = pack(&weights, precision).with_context(name)?;
    let verb = verb(&out);
    write_whole(&out, &packed.bytes)
        .with_context(|| format!("cannot write {}", output::name(&out)))?;

    let mut report = String::new();
    if !packed.errors.is_empty() {
        let titles = ["tensor", "relative error", "largest error"];
        report += &format!("{:32}{:>16}{:>16}\n", titles[0], titles[1], titles[2]);
    }
    for TensorError { name, relative, largest } in &packed.errors {
        let percent = 100.0 * relative;
        report += &format!("{name:32}{percent:>15.3}%{largest:>16.6}\n");
    }
    report += &format!(
        "{verb} {}: {precision}, {}, {} bytes, checksum {:08x}\n",
        output::name(&out),
        count(weights.shape.parameters(), "parameter"),
        packed.bytes.len(),
        packed.checksum
    );
    Ok(report)
}
