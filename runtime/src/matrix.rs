//! Weight matrices as they lie in the model file, and their products with activations.
//!
//! A matrix of R rows and K columns is stored as `[R / 4, K / 4, 4, 4]`: a *quad* of four rows
//! holds, for each four columns, the four weights of each row. In an LSTM layer a quad is the four
//! gates of one hidden unit. One pass over a quad's bytes, front to back, gives its four sums, and
//! 16 consecutive weights meet 4 activations on every instruction set.

use crate::kernel;

/// Activations of a quantized network are integers of 14 bits: this one stands for 1.
///
/// LSTM outputs lie in (−1, 1), so no range needs to be measured. With 8-bit weights, 32 bits hold
/// the sum of 2,048 products.
pub(crate) const ONE: f32 = 8192.0;

/// Activations that a matrix is multiplied with.
#[derive(Clone, Copy)]
pub(crate) enum Activations<'x> {
    /// As they are, for float weights.
    Float(&'x [f32]),
    /// Quantized: each stands for itself times `scale`.
    Int { values: &'x [i16], scale: f32 },
}

/// Weights in one of the stored precisions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights<'a> {
    /// Single-precision floats, little-endian.
    Float(&'a [[[u8; 4]; 16]]),
    /// Signed bytes; `scale` holds one float per row.
    Int8 { weights: &'a [[u8; 16]], scale: &'a [[u8; 4]] },
}

/// A matrix in the model file with a bias per row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub weights: Weights<'a>,
    /// Floats, one per row.
    pub bias: &'a [[u8; 4]],
    /// Rows / 4.
    pub quads: usize,
    /// Columns, a multiple of 16.
    pub columns: usize,
}

impl Matrix<'_> {
    /// The four sums of a quad of rows: weights times activations plus bias.
    ///
    /// `parts` are the activations in the order of the columns; together they have as many.
    #[inline(always)]
    pub fn quad(&self, quad: usize, parts: &[Activations]) -> [f32; 4] {
        let blocks = self.columns / 4;
        let range = quad * blocks..(quad + 1) * blocks;
        let bias = floats4(self.bias, quad);
        match self.weights {
            Weights::Float(weights) => {
                let mut sums = [0.0; 16];
                let mut rest = &weights[range];
                for part in parts {
                    let Activations::Float(values) = part else { continue };
                    let (now, later) = rest.split_at(values.len() / 4);
                    kernel::accumulate_float(&mut sums, now, values);
                    rest = later;
                }
                let sums = kernel::fold(sums, |a, b| a + b);
                core::array::from_fn(|row| sums[row] + bias[row])
            }
            Weights::Int8 { weights, scale } => {
                let mut sums = [0; 16];
                let mut rest = &weights[range];
                let mut activation_scale = 0.0;
                for part in parts {
                    let Activations::Int { values, scale } = part else { continue };
                    let (now, later) = rest.split_at(values.len() / 4);
                    kernel::accumulate_int8(&mut sums, now, values);
                    rest = later;
                    activation_scale = *scale;
                }
                let sums = kernel::fold(sums, i32::wrapping_add);
                let scale = floats4(scale, quad);
                core::array::from_fn(|row| {
                    sums[row] as f32 * (scale[row] * activation_scale) + bias[row]
                })
            }
        }
    }
}

impl Matrix<'_> {
    /// All rows' sums; of a last quad that is not full, as many as `output` has room for.
    pub fn multiply(&self, parts: &[Activations], output: &mut [f32]) {
        for (quad, output) in output.chunks_mut(4).enumerate().take(self.quads) {
            output.copy_from_slice(&self.quad(quad, parts)[..output.len()]);
        }
    }
}

/// The `index`-th group of four floats.
#[inline(always)]
pub(crate) fn floats4(floats: &[[u8; 4]], index: usize) -> [f32; 4] {
    core::array::from_fn(|i| f32::from_le_bytes(floats[4 * index + i]))
}
