//! Plain Rust, for every machine.

use super::{Kernel, Sums, Work};

/// The kernel that is always there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    fn int8(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
        let blocks = values.len() / 4;
        core::array::from_fn(|quad| {
            let mut sums = [0i32; 16];
            let weights = &weights[quad * blocks..(quad + 1) * blocks];
            for (weights, values) in weights.iter().zip(values.as_chunks::<4>().0) {
                for lane in 0..16 {
                    let product = i32::from(weights[lane] as i8) * i32::from(values[lane % 4]);
                    sums[lane] = sums[lane].wrapping_add(product);
                }
            }
            fold(sums, i32::wrapping_add)
        })
    }

    #[inline(always)]
    fn int4(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
        let blocks = values.len() / 8;
        core::array::from_fn(|quad| {
            // Of each row, the sums of its even and of its odd columns.
            let mut sums = [0i32; 8];
            let weights = &weights[quad * blocks..(quad + 1) * blocks];
            for (weights, values) in weights.iter().zip(values.as_chunks::<8>().0) {
                let halves = weights.as_chunks::<2>().0;
                for pair in 0..4 {
                    for lane in 0..8 {
                        let nibble = u16::from_le_bytes(halves[lane]) >> (4 * pair) & 15;
                        let product = i32::from(nibble) * i32::from(values[2 * pair + lane % 2]);
                        sums[lane] = sums[lane].wrapping_add(product);
                    }
                }
            }
            core::array::from_fn(|row| sums[2 * row].wrapping_add(sums[2 * row + 1]))
        })
    }

    #[inline(always)]
    fn run<W: Work>(self, work: W) -> W::Output {
        work.with(self)
    }
}

/// The float sums, in their defined order.
#[inline(always)]
pub(super) fn float(weights: &[[[u8; 4]; 16]], values: [&[f32]; 2]) -> Sums<f32> {
    let blocks = (values[0].len() + values[1].len()) / 4;
    core::array::from_fn(|quad| {
        let mut sums = [0f32; 16];
        let mut rest = &weights[quad * blocks..(quad + 1) * blocks];
        for values in values {
            let (weights, later) = rest.split_at(values.len() / 4);
            for (weights, values) in weights.iter().zip(values.as_chunks::<4>().0) {
                for lane in 0..16 {
                    sums[lane] += f32::from_le_bytes(weights[lane]) * values[lane % 4];
                }
            }
            rest = later;
        }
        fold(sums, |a, b| a + b)
    })
}

/// Folds the partial sums of each row: columns (0 + 1) + (2 + 3).
#[inline(always)]
fn fold<T: Copy>(sums: [T; 16], add: impl Fn(T, T) -> T) -> [T; 4] {
    core::array::from_fn(|row| {
        let s = &sums[4 * row..];
        add(add(s[0], s[1]), add(s[2], s[3]))
    })
}
