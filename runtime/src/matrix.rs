//! Weight matrices as they lie in the model file, and their products with activations.
//!
//! Rows stand together in *quads* of four; in an LSTM layer a quad is the four gates of one hidden
//! unit. A quad is a sequence of *blocks*, each a few columns of its four rows: 4 columns as floats
//! or bytes, 8 columns as nibbles. So a block of integers is 16 bytes, one 32-bit word for each row;
//! one pass over a quad, front to back, gives its four sums, and all four rows of a block meet the
//! same activations on every instruction set.

use crate::kernels::{Kernel, QUADS, Sums};

/// Activations of a quantized network are integers of 14 bits: this one stands for 1.
///
/// LSTM outputs lie in (−1, 1), so no range needs to be measured. With 8-bit weights, 32 bits hold
/// the sum of 2,048 products.
pub(crate) const ONE: f32 = 8192.0;

/// Activations that a matrix is multiplied with: as many as it has columns.
#[derive(Clone, Copy)]
pub(crate) enum Activations<'x> {
    /// As they are, for float weights: two vectors, one after the other.
    Float([&'x [f32]; 2]),
    /// Quantized: each stands for itself times `scale`. They are arranged for the kernel that
    /// takes them; `total` is their sum.
    Int { values: &'x [i16], total: i32, scale: f32 },
}

/// Weights in one of the stored precisions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights<'a> {
    /// Single-precision floats, little-endian.
    Float(&'a [[[u8; 4]; 16]]),
    /// Signed bytes; `scale` holds one float per row.
    Int8 { weights: &'a [[u8; 16]], scale: &'a [[u8; 4]] },
    /// Nibbles raised by [`ZERO_POINT`].
    Int4 { weights: &'a [[u8; 16]], scale: &'a [[u8; 4]] },
}

/// What a nibble of weight 0 holds.
const ZERO_POINT: i32 = 8;

/// A matrix in the model file with a bias per row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub weights: Weights<'a>,
    /// Floats, one per row.
    pub bias: &'a [[u8; 4]],
    /// Rows / 16: groups of as many quads as a kernel takes at once.
    pub groups: usize,
    /// Columns, a multiple of 16.
    pub columns: usize,
}

/// Rows that a kernel takes at once.
pub(crate) const GROUP_ROWS: usize = 4 * QUADS;

impl Matrix<'_> {
    /// The sums of a group of rows: weights times activations plus bias.
    #[inline(always)]
    pub fn group<K: Kernel>(
        &self,
        kernel: K,
        group: usize,
        activations: &Activations,
    ) -> Sums<f32> {
        let blocks = |width| {
            let blocks = QUADS * self.columns / width;
            group * blocks..(group + 1) * blocks
        };
        let bias = |quad| floats4(self.bias, group * QUADS + quad);
        let (sums, scale, one) = match (self.weights, *activations) {
            (Weights::Float(weights), Activations::Float(values)) => {
                let sums = kernel.float(&weights[blocks(4)], values);
                return core::array::from_fn(|quad| {
                    let bias = bias(quad);
                    core::array::from_fn(|row| sums[quad][row] + bias[row])
                });
            }
            (Weights::Int8 { weights, scale }, Activations::Int { values, scale: one, .. }) => {
                (kernel.int8(&weights[blocks(4)], values), scale, one)
            }
            (Weights::Int4 { weights, scale }, Activations::Int { values, total, scale: one }) => {
                let raised = kernel.int4(&weights[blocks(8)], values);
                let zero = ZERO_POINT * total;
                (raised.map(|quad| quad.map(|sum| sum.wrapping_sub(zero))), scale, one)
            }
            // A network quantizes its activations exactly if its weights are quantized.
            _ => return Sums::default(),
        };
        core::array::from_fn(|quad| {
            let (scale, bias) = (floats4(scale, group * QUADS + quad), bias(quad));
            core::array::from_fn(|row| sums[quad][row] as f32 * (scale[row] * one) + bias[row])
        })
    }

    /// All rows' sums; of padding rows, as many as `output` has room for.
    #[inline(always)]
    pub fn multiply<K: Kernel>(&self, kernel: K, activations: &Activations, output: &mut [f32]) {
        for (group, output) in output.chunks_mut(GROUP_ROWS).enumerate().take(self.groups) {
            let sums = self.group(kernel, group, activations);
            output.copy_from_slice(&sums.as_flattened()[..output.len()]);
        }
    }
}

/// The `index`-th group of four floats.
#[inline(always)]
pub(crate) fn floats4(floats: &[[u8; 4]], index: usize) -> [f32; 4] {
    core::array::from_fn(|i| f32::from_le_bytes(floats[4 * index + i]))
}
