//! The model file's format: limits, names and sizes of its tensors, and its checksum.
//!
//! A model file is a safetensors file. `docs/model-file.md` in the repository describes it in full.

use core::fmt;

/// Rows per block: the number that a kernel multiplies at once.
pub const ROWS: usize = 16;

/// The nibble that represents a weight of 0.
pub const ZERO_POINT: i32 = 8;

/// Version of the model file format that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 2;

/// Most LSTM layers a model file may have.
pub const MAX_LAYERS: usize = 8;

/// Most hidden units of an LSTM layer: 32-bit sums hold the products of twice as many columns.
pub const MAX_HIDDEN: usize = 1024;

/// Widest hidden layer of a head.
pub const MAX_HEAD_HIDDEN: usize = 512;

/// Number of pitch tokens: 128 note numbers and [`BOS`].
pub const PITCHES: usize = 129;

/// Pitch token that starts every sequence (beginning of sequence); never played.
pub const BOS: u8 = 128;

/// Precision of the stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Precision {
    /// Single-precision floats.
    Float,
    /// Signed bytes with a float scale per row.
    Int8,
    /// Four bits with a float scale per row. The heads' output layers, their features and the
    /// report's pitch table stay in bytes, where rounding would be audible.
    Int4,
}

impl Precision {
    /// The name in the file's metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "f32",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// The precision of the heads' output layers.
    pub fn of_outputs(self) -> Self {
        match self {
            Self::Int4 => Self::Int8,
            other => other,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Value of the metadata key `format`.
pub const FORMAT_NAME: &str = "pianola";

/// Columns of a matrix are padded with zeros to a multiple of this.
pub const COLUMN_BLOCK: usize = 16;

/// Gates of an LSTM unit.
pub const GATES: usize = 4;

/// Names of a matrix's tensors.
#[derive(Clone, Copy, Debug)]
pub struct MatrixNames {
    /// The weights, in blocks.
    pub weight: &'static str,
    /// A scale for each row of quantized weights.
    pub scale: &'static str,
    /// A bias for each row.
    pub bias: &'static str,
}

macro_rules! matrix_names {
    ($($name:literal)+) => {
        MatrixNames {
            weight: concat!($($name,)+ ".weight"),
            scale: concat!($($name,)+ ".scale"),
            bias: concat!($($name,)+ ".bias"),
        }
    };
}

/// Names of the LSTM layers' tensors.
pub const LSTM_NAMES: [MatrixNames; MAX_LAYERS] = [
    matrix_names!("lstm.0"),
    matrix_names!("lstm.1"),
    matrix_names!("lstm.2"),
    matrix_names!("lstm.3"),
    matrix_names!("lstm.4"),
    matrix_names!("lstm.5"),
    matrix_names!("lstm.6"),
    matrix_names!("lstm.7"),
];
/// Names of the tensors of the report's regression heads: step and duration, one row each.
pub const TIMES: MatrixNames = matrix_names!("head.times");

/// Names of a head's tensors, and of its width in the metadata.
#[derive(Clone, Copy, Debug)]
pub struct HeadNames {
    /// Metadata key of the hidden layer's width.
    pub width: &'static str,
    /// The hidden layer.
    pub hidden: MatrixNames,
    /// Rows added to the hidden layer, one for each feature.
    pub features: TableNames,
    /// The output layer.
    pub output: MatrixNames,
}

/// Names of a table's tensors.
#[derive(Clone, Copy, Debug)]
pub struct TableNames {
    /// The rows.
    pub rows: &'static str,
    /// Scales of quantized rows.
    pub scale: &'static str,
}

macro_rules! table_names {
    ($($name:literal)+) => {
        TableNames { rows: concat!($($name),+), scale: concat!($($name,)+ ".scale") }
    };
}

macro_rules! head_names {
    ($part:literal) => {
        HeadNames {
            width: concat!($part, "_hidden"),
            hidden: matrix_names!("head." $part ".hidden"),
            features: table_names!("head." $part ".features"),
            output: matrix_names!("head." $part),
        }
    };
}

/// The heads' names, in the order in which the parts of a note are chosen.
pub const HEAD_NAMES: [HeadNames; 4] =
    [head_names!("step"), head_names!("pitch"), head_names!("duration"), head_names!("velocity")];
/// Names of the table of pitch tokens that feeds the first layer.
pub const INPUT_PITCH: TableNames = table_names!("input.pitch");
/// Names of the table of steps.
pub const INPUT_STEP: TableNames = table_names!("input.step");
/// Names of the table of durations.
pub const INPUT_DURATION: TableNames = table_names!("input.duration");
/// Names of the table of velocities.
pub const INPUT_VELOCITY: TableNames = table_names!("input.velocity");

/// CRC-32 (IEEE 802.3) of a file, computed as if its own digits, a part of the file, were zeros.
///
/// `None` if `digits` is not a part of `file`.
pub fn checksum(file: &[u8], digits: &[u8]) -> Option<u32> {
    let start = (digits.as_ptr() as usize).checked_sub(file.as_ptr() as usize)?;
    let (before, after) = (file.get(..start)?, file.get(start + digits.len()..)?);
    let mut crc = crc32fast::Hasher::new();
    crc.update(before);
    digits.iter().for_each(|_| crc.update(b"0"));
    crc.update(after);
    Some(crc.finalize())
}
