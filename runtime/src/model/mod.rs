//! A model file, used in place.

pub mod format;

mod error;
mod header;
mod include;
pub(crate) mod matrix;
pub(crate) mod table;

use core::cmp::Ordering;

pub use error::ModelError;
use format::{
    COLUMN_BLOCK, FORMAT_NAME, FORMAT_VERSION, GATES, HEAD_NAMES, HeadNames, INPUT_DURATION,
    INPUT_PITCH, INPUT_STEP, INPUT_VELOCITY, LSTM_NAMES, MAX_HEAD_HIDDEN, MAX_HIDDEN, MAX_LAYERS,
    MatrixNames, PITCHES, Precision, ROWS, TIMES, TableNames, checksum,
};
use header::{Header, Tensor, parse};
use matrix::{Matrix, Weights};
use table::{Features, Table};

use crate::network::history::FEATURES;
use crate::note::vocabulary::{CHOICES, INPUT_CLASSES};

/// A checked view of a model file: nothing is copied, so the bytes may lie in flash or in a
/// memory-mapped file. They should start at a multiple of 64 bytes, as those of
/// [`include_model!`](crate::include_model) do: some kernels are faster then, and those for Cortex-M
/// refuse bytes that do not start at a multiple of 4.
///
/// Every size and index is checked here, once: a file that passes cannot make a generator panic,
/// whatever its weights are.
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

/// The input of the first layer's gates for a note: table rows, which the export computes by
/// multiplying embeddings with the first layer's input weights. All are in the order of the first
/// layer's rows, `[rows, hidden / 16, 4, 16]`.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    /// A row for each pitch token.
    pub pitch: Table<'a>,
    /// The note's other parts.
    pub rest: Rest<'a>,
}

/// The inputs of a note besides its pitch.
#[derive(Clone, Debug)]
pub(crate) enum Rest<'a> {
    /// Step and duration in seconds, each times its gate weights.
    Seconds { step: &'a [[u8; 4]], duration: &'a [[u8; 4]] },
    /// A row for each bin of step, duration and velocity.
    Bins([Table<'a>; 3]),
}

/// The heads, which predict the next note.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to put it elsewhere")]
pub(crate) enum Heads<'a> {
    /// The report's model: the pitch is a choice, times are regressions.
    Report {
        pitch: Head<'a>,
        /// Row 0 is the step, row 1 the duration.
        times: Matrix<'a>,
    },
    /// Expressive: step, pitch, duration and velocity are chosen in turn.
    Expressive([Head<'a>; 4]),
}

/// A head that chooses among bins: a rectified hidden layer of the LSTM's output and of features, and
/// a dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    pub hidden: Matrix<'a>,
    pub features: Option<Features<'a>>,
    pub output: Matrix<'a>,
    /// Bins to choose among.
    pub choices: usize,
}

impl<'a> Heads<'a> {
    fn matrices(&self) -> impl Iterator<Item = &Matrix<'a>> {
        let (heads, times) = match self {
            Self::Report { pitch, times } => (core::slice::from_ref(pitch), Some(times)),
            Self::Expressive(heads) => (heads.as_slice(), None),
        };
        heads.iter().flat_map(|head| [&head.hidden, &head.output]).chain(times)
    }
}

impl<'a> Model<'a> {
    /// Checks a model file and views it.
    ///
    /// The checksum covers the whole file, so this reads every byte once.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with the file.
    pub fn from_bytes(file: &'a [u8]) -> Result<Self, ModelError> {
        Self::checked(file, Header::read(file)?)
    }

    #[inline(never)] // boards have no flash for two copies
    fn checked(file: &'a [u8], header: Header<'a>) -> Result<Self, ModelError> {
        let metadata = |key| header.metadata(key).ok_or(ModelError::BadHeader);
        // Other safetensors files, such as a run's weights, have no such key.
        if header.metadata("format") != Some(FORMAT_NAME.as_bytes()) {
            return Err(ModelError::NotAModel);
        }
        if parse(metadata("version")?) != Some(FORMAT_VERSION as usize) {
            return Err(ModelError::Version);
        }
        match header.end().cmp(&header.data_len()) {
            Ordering::Greater => return Err(ModelError::Truncated),
            Ordering::Less => return Err(ModelError::TrailingBytes),
            Ordering::Equal => {}
        }
        let stored = metadata("crc32")?;
        let checksum = checksum(file, stored).ok_or(ModelError::BadHeader)?;
        if parse_hex(stored) != Some(checksum) {
            return Err(ModelError::Checksum);
        }

        let precision = match metadata("weights")? {
            b"f32" => Precision::Float,
            b"int8" => Precision::Int8,
            b"int4" => Precision::Int4,
            _ => return Err(ModelError::Unsupported),
        };
        let size = |key| parse(metadata(key)?).ok_or(ModelError::BadHeader);
        let (layers, hidden) = (size("layers")?, size("hidden")?);
        // Upper bounds keep every product of sizes far from overflow.
        let fits = (1..=MAX_LAYERS).contains(&layers)
            && (1..=MAX_HIDDEN).contains(&hidden)
            && hidden % COLUMN_BLOCK == 0;
        if metadata("architecture")? != b"lstm" || !fits {
            return Err(ModelError::Unsupported);
        }

        let file = Tensors { header, precision };
        let mut lstm = [None; MAX_LAYERS];
        let named = lstm.iter_mut().zip(&LSTM_NAMES).take(layers);
        for (layer, (matrix, name)) in named.enumerate() {
            let columns = if layer == 0 { hidden } else { 2 * hidden };
            *matrix = Some(file.matrix(name, hidden.div_ceil(ROWS), GATES, columns)?);
        }
        let head = |names: &HeadNames, choices, features| {
            let width = size(names.width)?;
            if !(1..=MAX_HEAD_HIDDEN).contains(&width) {
                return Err(ModelError::Unsupported);
            }
            file.head(names, hidden, width, choices, features)
        };
        let gates = [hidden / ROWS, GATES, ROWS];
        let (heads, input) = match metadata("heads")? {
            b"report" => {
                let outputs = Tensors { header, precision: precision.of_outputs() };
                let times = outputs.matrix(&TIMES, 1, 1, hidden)?;
                let pitch = file.table(&INPUT_PITCH, PITCHES, gates)?;
                let [step, duration] =
                    [&INPUT_STEP, &INPUT_DURATION].map(|names| file.floats(names.rows, &gates));
                let rest = Rest::Seconds { step: step?, duration: duration? };
                let heads = Heads::Report { pitch: head(&HEAD_NAMES[1], PITCHES, None)?, times };
                (heads, Input { pitch, rest })
            }
            b"expressive" => {
                let head = |at: usize| head(&HEAD_NAMES[at], CHOICES[at], Some(FEATURES[at]));
                let heads = [head(0)?, head(1)?, head(2)?, head(3)?];
                let table = |names, part: usize| file.table(names, INPUT_CLASSES[part], gates);
                let pitch = table(&INPUT_PITCH, 1)?;
                let rest = [
                    table(&INPUT_STEP, 0)?,
                    table(&INPUT_DURATION, 2)?,
                    table(&INPUT_VELOCITY, 3)?,
                ];
                (Heads::Expressive(heads), Input { pitch, rest: Rest::Bins(rest) })
            }
            _ => return Err(ModelError::Unsupported),
        };
        Ok(Self { layers, hidden, precision, checksum, input, lstm, heads })
    }

    /// Checks and views the model file at the start of a region of flash. Its header gives its length;
    /// bytes after its end are ignored.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with the file. Erased flash is [`ModelError::NotAModel`].
    pub fn in_region(region: &'a [u8]) -> Result<Self, ModelError> {
        let (header, spare) = Header::read(region)?.split_spare().ok_or(ModelError::Truncated)?;
        let file = region.get(..region.len() - spare.len()).ok_or(ModelError::Truncated)?;
        Self::checked(file, header)
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

    /// Whether it predicts distributions of all parts of a note, including times and velocities; other
    /// models predict a distribution of pitches only.
    pub fn is_expressive(&self) -> bool {
        matches!(self.heads, Heads::Expressive(_))
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix<'a>> {
        self.lstm.iter().flatten().chain(self.heads.matrices())
    }

    /// Whether all weights are word-aligned.
    pub(crate) fn is_aligned(&self) -> bool {
        self.matrices().all(Matrix::is_aligned)
    }

    /// Bytes of the file that are read for one note: all matrices, and the rows of the input tables.
    /// The few feature rows, which depend on the note, are not counted.
    pub fn bytes_per_note(&self) -> usize {
        let matrices: usize = self.matrices().map(Matrix::bytes).sum();
        let rest = match &self.input.rest {
            Rest::Seconds { step, duration } => size_of_val(*step) + size_of_val(*duration),
            Rest::Bins(tables) => tables.iter().map(Table::bytes_per_row).sum(),
        };
        matrices + self.input.pitch.bytes_per_row() + rest
    }

    /// CRC-32 of the file, which identifies it: two files with the same checksum play the same notes.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }
}

/// Tensors of a file whose matrices have one precision.
#[derive(Clone, Copy)]
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
        let tensor: Tensor = self.header.tensor(name).ok_or(wrong)?;
        let size = shape.iter().product::<usize>() * width;
        let fits = tensor.dtype == dtype
            && tensor.shape.get(..tensor.rank) == Some(shape)
            && tensor.data.len() == size;
        if fits { Ok(tensor.data) } else { Err(wrong) }
    }

    fn floats(&self, name: &'static str, shape: &[usize]) -> Result<&'a [[u8; 4]], ModelError> {
        Ok(self.bytes(name, F32, shape)?.as_chunks().0)
    }

    /// A matrix of `groups` groups of rows, each of `together` adjacent blocks.
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

    /// A table whose rows have the given shape and a scale each, in bytes or, as `U8`, in nibbles.
    fn table(
        &self,
        names: &TableNames,
        rows: usize,
        [chunks, gates, units]: [usize; 3],
    ) -> Result<Table<'a>, ModelError> {
        let width = chunks * gates * units;
        let shape = [rows, chunks, gates, units];
        if self.precision == Precision::Float {
            return Ok(Table::Float { values: self.floats(names.rows, &shape)?, width });
        }
        let scale = self.floats(names.scale, &[rows])?;
        let nibbles = [rows, chunks, gates, units / 2];
        Ok(match self.bytes(names.rows, U8, &nibbles) {
            Ok(values) => Table::Int4 { values, scale, width },
            Err(_) => Table::Int8 { values: self.bytes(names.rows, I8, &shape)?, scale, width },
        })
    }

    /// A head with its number of feature rows.
    fn head(
        &self,
        names: &HeadNames,
        hidden: usize,
        width: usize,
        choices: usize,
        features: Option<usize>,
    ) -> Result<Head<'a>, ModelError> {
        let outputs = Self { precision: self.precision.of_outputs(), ..*self };
        let columns = width.next_multiple_of(COLUMN_BLOCK);
        Ok(Head {
            hidden: self.matrix(&names.hidden, width.div_ceil(ROWS), 1, hidden)?,
            features: features
                .map(|rows| self.features(&names.features, rows, columns))
                .transpose()?,
            output: outputs.matrix(&names.output, choices.div_ceil(ROWS), 1, columns)?,
            choices,
        })
    }

    fn features(
        &self,
        names: &TableNames,
        rows: usize,
        width: usize,
    ) -> Result<Features<'a>, ModelError> {
        Ok(match self.precision {
            Precision::Float => {
                Features::Float { values: self.floats(names.rows, &[rows, width])?, width }
            }
            Precision::Int8 | Precision::Int4 => Features::Int8 {
                values: self.bytes(names.rows, I8, &[rows, width])?,
                scale: self.floats(names.scale, &[width])?,
            },
        })
    }
}

/// Names of element types, with their bytes.
const F32: (&[u8], usize) = (b"F32", 4);
const I8: (&[u8], usize) = (b"I8", 1);
const U8: (&[u8], usize) = (b"U8", 1);

/// A number of eight lower-case hexadecimal digits.
fn parse_hex(digits: &[u8]) -> Option<u32> {
    let digits: &[u8; 8] = digits.try_into().ok()?;
    digits.iter().try_fold(0, |number, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u32::from(digit))
    })
}
