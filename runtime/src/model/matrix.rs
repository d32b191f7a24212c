//! Weight matrices as stored in the model file, and their products with activations.
//!
//! Sixteen rows are interleaved in a *block* of 64 bytes. A block of integers has a 32-bit word for
//! each row, which holds 4 columns as bytes or 8 as nibbles. Each row thus has its own lane in every
//! vector, and all rows of a block use the same activations, on every instruction set. In an LSTM
//! layer, the four gates of sixteen units are adjacent, block by block: one sequential pass gives
//! the 64 sums that sixteen cells need.

use crate::kernels::{Block, FloatColumn, Integers, Kernel, ROWS};

/// Activations of a quantized network are 14-bit integers: this one represents 1.
///
/// LSTM outputs lie in (−1, 1), so no range needs to be calibrated. With weights up to ±127, 32 bits
/// hold the sum of 2,048 products; with extreme weights it wraps, identically on every machine.
pub(crate) const ONE: f32 = 8192.0;

/// Activations that a matrix is multiplied with, one for each column.
#[derive(Clone, Copy)]
pub(crate) enum Activations<'x> {
    /// Unquantized, for float weights: two vectors, one after the other.
    Float([&'x [f32]; 2]),
    /// Quantized: each integer represents its value times `scale`.
    Int { integers: Integers<'x>, scale: f32 },
}

/// Weights in one of the stored precisions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights<'a> {
    /// Single-precision floats.
    Float(&'a [FloatColumn]),
    /// Signed bytes, and a float scale for each row.
    Int8 { blocks: &'a [Block], scale: &'a [[u8; 4]] },
    /// Nibbles, and a float scale for each row.
    Int4 { blocks: &'a [Block], scale: &'a [[u8; 4]] },
}

/// A matrix in the model file with a bias per row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub weights: Weights<'a>,
    /// Floats, one per row.
    pub bias: &'a [[u8; 4]],
    /// Columns, a multiple of 16.
    pub columns: usize,
}

impl Matrix<'_> {
    /// The sums of the `index`-th `G` × 16 rows: weights times activations plus bias. `G` is the number
    /// of adjacent blocks in a group.
    #[inline(always)]
    pub fn rows<K: Kernel, const G: usize>(
        &self,
        kernel: K,
        index: usize,
        activations: &Activations,
        output: &mut [[f32; ROWS]; G],
    ) {
        let output = output.as_flattened_mut().iter_mut();
        let bias = floats::<G>(self.bias, index);
        let mut sums = [[0; ROWS]; G];
        let (scale, one) = match (self.weights, *activations) {
            (Weights::Float(columns), Activations::Float(values)) => {
                let columns = self.part(columns.as_chunks().0, index, 1);
                let sums: [[f32; ROWS]; G] = kernel.float(columns, values);
                for ((output, sum), bias) in output.zip(sums.as_flattened()).zip(bias) {
                    *output = sum + bias;
                }
                return;
            }
            (Weights::Int8 { blocks, scale }, Activations::Int { integers, scale: one }) => {
                let blocks = self.part(blocks.as_chunks().0, index, 4);
                kernel.int8(blocks, integers, &mut sums);
                (scale, one)
            }
            (Weights::Int4 { blocks, scale }, Activations::Int { integers, scale: one }) => {
                let blocks = self.part(blocks.as_chunks().0, index, 8);
                kernel.int4(blocks, integers, &mut sums);
                (scale, one)
            }
            // A network quantizes its activations exactly if its weights are quantized.
            _ => return,
        };
        let scale = floats::<G>(scale, index);
        for (((output, sum), scale), bias) in output.zip(sums.as_flattened()).zip(scale).zip(bias) {
            *output = *sum as f32 * (scale * one) + bias;
        }
    }

    /// The `index`-th group of rows among the blocks, empty past the last one.
    #[inline(always)]
    fn part<'b, T>(&self, blocks: &'b [T], index: usize, width: usize) -> &'b [T] {
        let part = index * self.columns / width..(index + 1) * self.columns / width;
        blocks.get(part).unwrap_or_default()
    }

    /// Bytes in the model file.
    pub fn bytes(&self) -> usize {
        let weights = match self.weights {
            Weights::Float(columns) => size_of_val(columns),
            Weights::Int8 { blocks, scale } | Weights::Int4 { blocks, scale } => {
                size_of_val(blocks) + size_of_val(scale)
            }
        };
        weights + size_of_val(self.bias)
    }

    /// Whether its blocks are word-aligned, as some instruction sets require.
    pub fn is_aligned(&self) -> bool {
        match self.weights {
            Weights::Float(_) => true,
            Weights::Int8 { blocks, .. } | Weights::Int4 { blocks, .. } => {
                blocks.as_ptr().cast::<u32>().is_aligned()
            }
        }
    }

    /// The sums of all rows, for a matrix of groups of one block; padding rows are included as far as
    /// `output` has room. Calls `poll` after every 16 rows.
    ///
    /// Hosts inline it into the code compiled for each instruction set. Boards have one instruction set
    /// and no flash for copies.
    #[cfg_attr(target_arch = "arm", inline(never))]
    #[cfg_attr(not(target_arch = "arm"), inline(always))]
    pub fn multiply<K: Kernel>(
        &self,
        kernel: K,
        activations: &Activations,
        output: &mut [f32],
        poll: &mut dyn FnMut(),
    ) {
        for (index, output) in output.chunks_mut(ROWS).enumerate() {
            let mut sums = [[0.0; ROWS]];
            self.rows(kernel, index, activations, &mut sums);
            output.iter_mut().zip(sums.as_flattened()).for_each(|(output, sum)| *output = *sum);
            poll();
        }
    }
}

/// Word-aligned activations, as some instruction sets require.
#[derive(Clone, Debug)]
#[repr(C, align(4))]
pub(crate) struct Aligned<T>(pub T);

/// The `index`-th `G` × 16 floats; `None` past the end.
#[inline(always)]
pub(crate) fn floats<const G: usize>(
    floats: &[[u8; 4]],
    index: usize,
) -> impl Iterator<Item = f32> {
    let floats = floats.get(index * G * ROWS..(index + 1) * G * ROWS).unwrap_or_default();
    floats.iter().map(|&bytes| f32::from_le_bytes(bytes))
}
