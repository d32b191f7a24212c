//! A model file, used in place.

use core::cmp::Ordering;
use core::fmt;

use crate::header::{Header, Tensor};
use crate::kernels::ROWS;
use crate::matrix::{Matrix, Weights};

/// Version of the model file format that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 2;

/// Most LSTM layers a model file may have.
pub const MAX_LAYERS: usize = 8;

/// Most hidden units of an LSTM layer: 32-bit sums hold the products of twice as many columns.
pub const MAX_HIDDEN: usize = 1024;

/// Widest hidden layer of a pitch head.
pub const MAX_PITCH_HIDDEN: usize = 512;

/// Number of pitch tokens: 128 note numbers and [`BOS`].
pub const PITCHES: usize = 129;

/// Pitch token that starts every sequence; it is heard, never played.
pub const BOS: u8 = 128;

/// Why a file is refused as a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file ends before what its header announces.
    #[error("the model file is cut short")]
    Truncated,
    /// There are bytes behind the last tensor.
    #[error("the model file has bytes behind its end")]
    TrailingBytes,
    /// The file does not start with the header of a model file.
    #[error("not a Pianola model file; `tools export` makes one from a trained run")]
    NotAModel,
    /// The header is not the JSON a safetensors header is.
    #[error("the model file's header is damaged")]
    BadHeader,
    /// The file was written by another version of this program.
    #[error("the model file has another format version; export it again with this version")]
    Version,
    /// The bytes are not those that were written.
    #[error("the model file is damaged: its checksum does not match")]
    Checksum,
    /// Layers, heads or precision that this version does not know.
    #[error("the model file holds an architecture that this version does not play")]
    Unsupported,
    /// A tensor is missing or its size or type does not fit the others.
    #[error("the model file's tensor `{0}` is missing or has the wrong size or type")]
    Tensor(&'static str),
    /// The model has more layers or hidden units than the generator has room for.
    #[error("the model is larger than the buffers of this generator")]
    TooLarge,
    /// The model does not lie on whole words, as this board's kernel needs it.
    #[error("the model does not start at a multiple of 4 bytes")]
    Misaligned,
}

impl ModelError {
    /// The cause in a few words, for boards, which do not format text.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Truncated => "cut short",
            Self::TrailingBytes => "bytes behind its end",
            Self::NotAModel => "no model here",
            Self::BadHeader => "damaged header",
            Self::Version => "another format version",
            Self::Checksum => "damaged",
            Self::Unsupported => "unknown architecture",
            Self::Tensor(name) => name,
            Self::TooLarge => "too large",
            Self::Misaligned => "not on whole words",
        }
    }
}

/// Precision of the stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single-precision floats.
    Float,
    /// Signed bytes with a float scale per row.
    Int8,
    /// Four bits with a float scale per row. The pitch table and the heads' last layers stay in
    /// bytes: there rounding is heard.
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

    /// That of the heads' last layers.
    pub(crate) fn of_outputs(self) -> Self {
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

/// A checked view of a model file: nothing is copied, so the bytes may lie in flash or in a
/// memory-mapped file. They should start at a multiple of 64 bytes: some kernels are faster then,
/// and Cortex-M takes none that does not start at a multiple of 4.
///
/// Every index that playing takes is checked here once; a file that passes cannot make the player
/// panic, whatever its weights are.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) precision: Precision,
    /// Checksum of the file, from its metadata.
    checksum: u32,
    pub(crate) input: Input<'a>,
    pub(crate) lstm: [Option<Matrix<'a>>; MAX_LAYERS],
    pub(crate) heads: Heads<'a>,
}

/// What the first layer adds to its gates for the note heard: a row of a table, made by
/// multiplying the pitch embedding with the first layer's input weights at export, plus step and
/// duration times their columns.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    /// Gate contributions of each pitch token, `[PITCHES, hidden / 16, 4, 16]`: in the order of the
    /// first layer's rows.
    pub pitch: Table<'a>,
    /// Gate weights of the step, likewise.
    pub step: &'a [[u8; 4]],
    /// Gate weights of the duration, likewise.
    pub duration: &'a [[u8; 4]],
}

#[derive(Clone, Debug)]
pub(crate) enum Table<'a> {
    Float(&'a [[u8; 4]]),
    /// Signed bytes and a scale for each pitch token.
    Int8 {
        values: &'a [u8],
        scale: &'a [[u8; 4]],
    },
}

/// The report's heads: pitch through a hidden layer, step and duration by regression.
#[derive(Clone, Debug)]
pub(crate) struct Heads<'a> {
    pub pitch_hidden: Matrix<'a>,
    pub pitch: Matrix<'a>,
    /// Row 0 is the step, row 1 the duration.
    pub times: Matrix<'a>,
}

impl<'a> Model<'a> {
    /// Checks a model file and views it.
    ///
    /// The checksum covers the whole file, so this reads every byte once.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with the file.
    pub fn from_bytes(file: &'a [u8]) -> Result<Self, ModelError> {
        let header = Header::read(file)?;
        // Other safetensors files, such as a run's weights, have no such key.
        if header.metadata("format").ok() != Some(FORMAT_NAME.as_bytes()) {
            return Err(ModelError::NotAModel);
        }
        if parse(header.metadata("version")?) != Some(FORMAT_VERSION as usize) {
            return Err(ModelError::Version);
        }
        match header.end()?.cmp(&header.data_len()) {
            Ordering::Greater => return Err(ModelError::Truncated),
            Ordering::Less => return Err(ModelError::TrailingBytes),
            Ordering::Equal => {}
        }
        let stored = header.metadata("crc32")?;
        let checksum = checksum(file, stored).ok_or(ModelError::BadHeader)?;
        if parse_hex(stored) != Some(checksum) {
            return Err(ModelError::Checksum);
        }

        let known =
            header.metadata("architecture")? == b"lstm" && header.metadata("heads")? == b"report";
        let precision = match header.metadata("weights")? {
            b"f32" => Precision::Float,
            b"int8" => Precision::Int8,
            b"int4" => Precision::Int4,
            _ => return Err(ModelError::Unsupported),
        };
        let size = |key| parse(header.metadata(key)?).ok_or(ModelError::BadHeader);
        let (layers, hidden) = (size("layers")?, size("hidden")?);
        let pitch_hidden = size("pitch_hidden")?;
        // Upper bounds keep every product of sizes far from overflow.
        let fits = (1..=MAX_LAYERS).contains(&layers)
            && (1..=MAX_HIDDEN).contains(&hidden)
            && (1..=MAX_PITCH_HIDDEN).contains(&pitch_hidden)
            && hidden % COLUMN_BLOCK == 0;
        if !known || !fits {
            return Err(ModelError::Unsupported);
        }

        let file = Tensors { header, precision };
        let outputs = Tensors { header, precision: precision.of_outputs() };
        let mut lstm = [None; MAX_LAYERS];
        let named = lstm.iter_mut().zip(&LSTM_NAMES).take(layers);
        for (layer, (matrix, name)) in named.enumerate() {
            let columns = if layer == 0 { hidden } else { 2 * hidden };
            *matrix = Some(file.matrix(name, hidden.div_ceil(ROWS), GATES, columns)?);
        }
        let heads = Heads {
            pitch_hidden: file.matrix(&PITCH_HIDDEN, pitch_hidden.div_ceil(ROWS), 1, hidden)?,
            pitch: {
                let columns = pitch_hidden.next_multiple_of(COLUMN_BLOCK);
                outputs.matrix(&PITCH, PITCHES.div_ceil(ROWS), 1, columns)?
            },
            times: outputs.matrix(&TIMES, 1, 1, hidden)?,
        };
        let input = Input {
            pitch: file.table(hidden)?,
            step: file.floats(INPUT_STEP, &[hidden / ROWS, 4, ROWS])?,
            duration: file.floats(INPUT_DURATION, &[hidden / ROWS, 4, ROWS])?,
        };
        Ok(Self { layers, hidden, precision, checksum, input, lstm, heads })
    }

    /// Checks and views the model file that starts a region of flash: its header says where it ends,
    /// and what lies behind it does not matter.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with the file. Erased flash is [`ModelError::NotAModel`].
    pub fn in_region(region: &'a [u8]) -> Result<Self, ModelError> {
        let header = Header::read(region)?;
        let spare = header.data_len().checked_sub(header.end()?).ok_or(ModelError::Truncated)?;
        let file = region.get(..region.len() - spare).ok_or(ModelError::Truncated)?;
        Self::from_bytes(file)
    }

    /// Number of LSTM layers.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Hidden units of each LSTM layer.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Precision of the weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix<'a>> {
        let heads = [&self.heads.pitch_hidden, &self.heads.pitch, &self.heads.times];
        self.lstm.iter().flatten().chain(heads)
    }

    /// Whether all weights lie on whole words.
    pub(crate) fn is_aligned(&self) -> bool {
        self.matrices().all(Matrix::is_aligned)
    }

    /// Bytes of the file that one note takes: all matrices, and one row of the pitch table.
    pub fn bytes_per_note(&self) -> usize {
        let matrices: usize = self.matrices().map(Matrix::bytes).sum();
        let row = match self.input.pitch {
            Table::Float(values) => values.as_flattened().len() / PITCHES,
            Table::Int8 { values, .. } => values.len() / PITCHES + size_of::<f32>(),
        };
        let times = (self.input.step.len() + self.input.duration.len()) * size_of::<f32>();
        matrices + row + times
    }

    /// CRC-32 of the file, which names it: two files of one checksum play the same notes.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }
}

/// Value of the metadata key `format`.
pub(crate) const FORMAT_NAME: &str = "pianola";

/// Columns of a matrix are padded with zeros to a multiple of this.
pub(crate) const COLUMN_BLOCK: usize = 16;

/// Gates of an LSTM unit.
pub(crate) const GATES: usize = 4;

/// Names of a matrix's tensors.
pub(crate) struct MatrixNames {
    pub weight: &'static str,
    pub scale: &'static str,
    pub bias: &'static str,
}

macro_rules! matrix_names {
    ($name:literal) => {
        MatrixNames {
            weight: concat!($name, ".weight"),
            scale: concat!($name, ".scale"),
            bias: concat!($name, ".bias"),
        }
    };
}

pub(crate) const LSTM_NAMES: [MatrixNames; MAX_LAYERS] = [
    matrix_names!("lstm.0"),
    matrix_names!("lstm.1"),
    matrix_names!("lstm.2"),
    matrix_names!("lstm.3"),
    matrix_names!("lstm.4"),
    matrix_names!("lstm.5"),
    matrix_names!("lstm.6"),
    matrix_names!("lstm.7"),
];
pub(crate) const PITCH_HIDDEN: MatrixNames = matrix_names!("head.pitch.hidden");
pub(crate) const PITCH: MatrixNames = matrix_names!("head.pitch");
pub(crate) const TIMES: MatrixNames = matrix_names!("head.times");
pub(crate) const INPUT_PITCH: &str = "input.pitch";
pub(crate) const INPUT_PITCH_SCALE: &str = "input.pitch.scale";
pub(crate) const INPUT_STEP: &str = "input.step";
pub(crate) const INPUT_DURATION: &str = "input.duration";

/// Tensors of a file whose matrices have one precision.
struct Tensors<'a> {
    header: Header<'a>,
    precision: Precision,
}

impl<'a> Tensors<'a> {
    /// The bytes of a tensor of exactly this type and shape.
    fn bytes(
        &self,
        name: &'static str,
        (dtype, width): (&[u8], usize),
        shape: &[usize],
    ) -> Result<&'a [u8], ModelError> {
        let wrong = ModelError::Tensor(name);
        let tensor: Tensor = self.header.tensor(name)?.ok_or(wrong)?;
        let size = shape.iter().product::<usize>() * width;
        let fits = tensor.dtype == dtype
            && tensor.shape.get(..tensor.rank) == Some(shape)
            && tensor.data.len() == size;
        if fits { Ok(tensor.data) } else { Err(wrong) }
    }

    fn floats(&self, name: &'static str, shape: &[usize]) -> Result<&'a [[u8; 4]], ModelError> {
        Ok(self.bytes(name, F32, shape)?.as_chunks().0)
    }

    /// A matrix of `groups` groups of rows, in which `together` blocks stand together.
    fn matrix(
        &self,
        names: &MatrixNames,
        groups: usize,
        together: usize,
        columns: usize,
    ) -> Result<Matrix<'a>, ModelError> {
        let scale = || self.floats(names.scale, &[groups, together, ROWS]);
        let weights = match self.precision {
            Precision::Float => {
                let weights = self.bytes(names.weight, F32, &[groups, columns, together * ROWS])?;
                Weights::Float(weights.as_chunks().0.as_chunks().0)
            }
            Precision::Int8 => {
                let weights =
                    self.bytes(names.weight, I8, &[groups, columns / 4, together * ROWS, 4])?;
                Weights::Int8 { blocks: weights.as_chunks().0, scale: scale()? }
            }
            Precision::Int4 => {
                let weights =
                    self.bytes(names.weight, U8, &[groups, columns / 8, together * ROWS, 4])?;
                Weights::Int4 { blocks: weights.as_chunks().0, scale: scale()? }
            }
        };
        Ok(Matrix { weights, bias: self.floats(names.bias, &[groups, together, ROWS])?, columns })
    }

    fn table(&self, hidden: usize) -> Result<Table<'a>, ModelError> {
        let shape = [PITCHES, hidden / ROWS, 4, ROWS];
        Ok(match self.precision {
            Precision::Float => Table::Float(self.floats(INPUT_PITCH, &shape)?),
            Precision::Int8 | Precision::Int4 => Table::Int8 {
                values: self.bytes(INPUT_PITCH, I8, &shape)?,
                scale: self.floats(INPUT_PITCH_SCALE, &[PITCHES])?,
            },
        })
    }
}

/// Names of element types, with their bytes.
const F32: (&[u8], usize) = (b"F32", 4);
const I8: (&[u8], usize) = (b"I8", 1);
const U8: (&[u8], usize) = (b"U8", 1);

fn parse(digits: &[u8]) -> Option<usize> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn parse_hex(digits: &[u8]) -> Option<u32> {
    let lowercase = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    (digits.len() == 8 && lowercase)
        .then(|| u32::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok())
        .flatten()
}

/// CRC-32 (IEEE 802.3) of a file, computed as if its own digits, a part of the file, were zeros.
///
/// `None` if `digits` is not a part of `file`.
pub(crate) fn checksum(file: &[u8], digits: &[u8]) -> Option<u32> {
    let start = (digits.as_ptr() as usize).checked_sub(file.as_ptr() as usize)?;
    let (before, after) = (file.get(..start)?, file.get(start + digits.len()..)?);
    let mut crc = crc32fast::Hasher::new();
    crc.update(before);
    digits.iter().for_each(|_| crc.update(b"0"));
    crc.update(after);
    Some(crc.finalize())
}
