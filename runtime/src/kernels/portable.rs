//! Plain Rust, for every machine.

use super::{Block, FloatColumn, Integers, Kernel, ROWS, Work, ZERO_POINT};

/// The kernel that is always available.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Portable {
    pub fn detect() -> Option<Self> {
        Some(Self)
    }
}

impl Kernel for Portable {
    #[inline(always)]
    fn arrange_int8(self, _: &mut [i16]) {}

    #[inline(always)]
    fn arrange_int4(self, _: &mut [i16]) {}

    #[inline(always)]
    fn int8<const G: usize>(
        self,
        weights: &[[Block; G]],
        activations: Integers,
        sums: &mut [[i32; ROWS]; G],
    ) {
        *sums = [[0; ROWS]; G];
        for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<4>().0) {
            for (sums, block) in sums.iter_mut().zip(blocks) {
                for (sum, columns) in sums.iter_mut().zip(block.as_chunks::<4>().0) {
                    for (&weight, &value) in columns.iter().zip(values) {
                        let product = i32::from(weight as i8) * i32::from(value);
                        *sum = sum.wrapping_add(product);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn int4<const G: usize>(
        self,
        weights: &[[Block; G]],
        activations: Integers,
        sums: &mut [[i32; ROWS]; G],
    ) {
        *sums = [[-ZERO_POINT * activations.total; ROWS]; G];
        for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<8>().0) {
            for (sums, block) in sums.iter_mut().zip(blocks) {
                for (sum, word) in sums.iter_mut().zip(block.as_chunks::<4>().0) {
                    let word = u32::from_le_bytes(*word);
                    for (pair, values) in values.as_chunks::<2>().0.iter().enumerate() {
                        let even = (word >> (4 * pair) & 15) as i32;
                        let odd = (word >> (4 * pair + 16) & 15) as i32;
                        *sum += even * i32::from(values[0]) + odd * i32::from(values[1]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn run<W: Work>(self, work: W) -> W::Output {
        work.with(self)
    }
}

/// The float sums, in their defined order.
#[inline(always)]
pub(super) fn float<const G: usize>(
    weights: &[[FloatColumn; G]],
    values: [&[f32]; 2],
) -> [[f32; ROWS]; G] {
    let mut groups = [[0.0; ROWS]; G];
    for (group, folded) in groups.iter_mut().enumerate() {
        let mut sums = [[0f32; ROWS]; 4];
        let mut rest = weights.as_chunks::<4>().0;
        for values in values {
            let values = values.as_chunks::<4>().0;
            let (columns, later) = rest.split_at_checked(values.len()).unwrap_or_default();
            for (columns, values) in columns.iter().zip(values) {
                for ((sums, column), value) in sums.iter_mut().zip(columns).zip(values) {
                    for (sum, weight) in sums.iter_mut().zip(&column[group]) {
                        *sum += f32::from_le_bytes(*weight) * value;
                    }
                }
            }
            rest = later;
        }
        for row in 0..ROWS {
            folded[row] = (sums[0][row] + sums[1][row]) + (sums[2][row] + sums[3][row]);
        }
    }
    groups
}
