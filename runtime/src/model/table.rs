//! Tables whose rows are added up: the LSTM's input for a note, and the weights of a head's
//! features.

use crate::kernels::ROWS;
use crate::model::matrix::floats;

/// Rows that are added to the gates of the first layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table<'a> {
    /// Single-precision floats.
    Float { values: &'a [[u8; 4]], width: usize },
    /// Signed bytes, and a scale for each row.
    Int8 { values: &'a [u8], scale: &'a [[u8; 4]], width: usize },
    /// Pairs of nibbles, each raised by 8, the even column's the lower; and a scale for each row.
    Int4 { values: &'a [u8], scale: &'a [[u8; 4]], width: usize },
}

impl Table<'_> {
    /// The `chunk`-th `G` × 16 values of a row.
    #[inline(always)]
    pub fn read<const G: usize>(&self, row: usize, chunk: usize) -> [[f32; ROWS]; G] {
        let mut read = [[0.0; ROWS]; G];
        let values = read.as_flattened_mut();
        let width = values.len();
        let at = |row_width: usize| row * row_width / width + chunk;
        match *self {
            Self::Float { values: table, width } => {
                values
                    .iter_mut()
                    .zip(floats::<G>(table, at(width)))
                    .for_each(|(to, from)| *to = from);
            }
            Self::Int8 { values: table, scale, width: row_width } => {
                let scale = factor(scale, row);
                let bytes = table.get(at(row_width) * width..(at(row_width) + 1) * width);
                for (value, &byte) in values.iter_mut().zip(bytes.unwrap_or_default()) {
                    *value = f32::from(byte as i8) * scale;
                }
            }
            Self::Int4 { values: table, scale, width: row_width } => {
                let scale = factor(scale, row);
                let half = width / 2;
                let bytes = table.get(at(row_width) * half..(at(row_width) + 1) * half);
                let pairs = values.as_chunks_mut::<2>().0.iter_mut();
                for (pair, &byte) in pairs.zip(bytes.unwrap_or_default()) {
                    *pair = [byte & 15, byte >> 4].map(|nibble| (f32::from(nibble) - 8.0) * scale);
                }
            }
        }
        read
    }

    /// Bytes read for a row.
    pub fn bytes_per_row(&self) -> usize {
        match self {
            Self::Float { width, .. } => 4 * width,
            Self::Int8 { width, .. } => width + 4,
            Self::Int4 { width, .. } => width / 2 + 4,
        }
    }
}

/// The scale of a row.
fn factor(scale: &[[u8; 4]], row: usize) -> f32 {
    scale.get(row).map_or(0.0, |&scale| f32::from_le_bytes(scale))
}

/// Rows that are added to the hidden layer of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Features<'a> {
    /// Single-precision floats.
    Float { values: &'a [[u8; 4]], width: usize },
    /// Signed bytes, and a scale for each column: sums of rows are sums of integers.
    Int8 { values: &'a [u8], scale: &'a [[u8; 4]] },
}

impl Features<'_> {
    /// Adds a row to sums, one for each column. For rows of bytes, the sums are integers that a float
    /// holds exactly: [`scale`](Self::scale) has yet to be applied.
    #[inline(always)]
    pub fn add(&self, row: usize, sums: &mut [f32]) {
        match self {
            Self::Float { values, width } => {
                let row = values.get(row * width..(row + 1) * width).unwrap_or_default();
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += f32::from_le_bytes(value);
                }
            }
            Self::Int8 { values, scale } => {
                let row = values.get(row * scale.len()..(row + 1) * scale.len());
                for (sum, &value) in sums.iter_mut().zip(row.unwrap_or_default()) {
                    *sum += f32::from(value as i8);
                }
            }
        }
    }

    /// Scales sums of rows to their values.
    #[inline(always)]
    pub fn scale(&self, sums: &mut [f32]) {
        if let Self::Int8 { scale, .. } = self {
            for (sum, &scale) in sums.iter_mut().zip(*scale) {
                *sum *= f32::from_le_bytes(scale);
            }
        }
    }
}
