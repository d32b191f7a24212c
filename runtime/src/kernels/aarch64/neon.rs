//! NEON: a column of a block is a register of bytes.
#![allow(unsafe_code)]

use core::arch::aarch64::*;

use crate::kernels::native::kernel;
use crate::kernels::{Block, FloatColumn, Integers, NIBBLE_BYTES, ROWS, ZERO_POINT};

kernel! {
    /// Proof that the machine has NEON.
    Neon: "neon";
    |_| {}, arrange_nibbles
}

/// Orders activations like the columns once a word's even nibbles, then its odd ones, are unpacked.
fn arrange_nibbles(values: &mut [i16]) {
    for values in values.as_chunks_mut::<8>().0 {
        *values = NIBBLE_BYTES.map(|column| values[column]);
    }
}

/// The portable sums, compiled for NEON.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn float<const G: usize>(
    weights: &[[FloatColumn; G]],
    values: [&[f32]; 2],
) -> [[f32; ROWS]; G] {
    crate::kernels::portable::float(weights, values)
}

#[inline]
#[target_feature(enable = "neon")]
fn int8<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let mut sums = [[vdupq_n_s32(0); 4]; G];
    let values = activations.values.as_chunks::<8>().0;
    for ([first, second], values) in weights.as_chunks::<2>().0.iter().zip(values) {
        let values = load(values);
        for (sums, (first, second)) in sums.iter_mut().zip(first.iter().zip(second)) {
            add(sums, [columns(first), columns(second)], values);
        }
    }
    sums.map(|sums| rows(sums))
}

#[inline]
#[target_feature(enable = "neon")]
fn int4<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    // Subtracted per column, not from the initial sums as elsewhere: LLVM would widen columns that it
    // knows to be positive to 32 bits and multiply there, at twice the cost.
    let zero_point = vdupq_n_s8(ZERO_POINT as i8);
    let mut sums = [[vdupq_n_s32(0); 4]; G];
    for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<8>().0) {
        let values = load(values);
        for (sums, block) in sums.iter_mut().zip(blocks) {
            let mut columns = nibbles(columns(block));
            for column in columns.as_flattened_mut() {
                *column = vsubq_s8(*column, zero_point);
            }
            add(sums, columns, values);
        }
    }
    sums.map(|sums| rows(sums))
}

/// Eight activations.
#[inline]
#[target_feature(enable = "neon")]
fn load(values: &[i16; 8]) -> int16x8_t {
    // SAFETY: `values` is 16 bytes; the load is unaligned.
    unsafe { vld1q_s16(values.as_ptr()) }
}

/// The first, second, third and fourth bytes of a block's words.
#[inline]
#[target_feature(enable = "neon")]
fn columns(block: &Block) -> [int8x16_t; 4] {
    // SAFETY: a block is 64 bytes; the load is unaligned.
    let int8x16x4_t(first, second, third, fourth) = unsafe { vld4q_s8(block.as_ptr().cast()) };
    [first, second, third, fourth]
}

/// The lower and the upper nibbles of all bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn nibbles(bytes: [int8x16_t; 4]) -> [[int8x16_t; 4]; 2] {
    let (mut lower, mut upper) = (bytes, bytes);
    for (lower, upper) in lower.iter_mut().zip(&mut upper) {
        *lower = vandq_s8(*lower, vdupq_n_s8(15));
        *upper = vreinterpretq_s8_u8(vshrq_n_u8::<4>(vreinterpretq_u8_s8(*upper)));
    }
    [lower, upper]
}

/// Adds the products of eight columns with eight activations.
#[inline]
#[target_feature(enable = "neon")]
fn add(sums: &mut [int32x4_t; 4], columns: [[int8x16_t; 4]; 2], values: int16x8_t) {
    let [[c0, c1, c2, c3], [c4, c5, c6, c7]] = columns;
    add_column::<0>(sums, c0, values);
    add_column::<1>(sums, c1, values);
    add_column::<2>(sums, c2, values);
    add_column::<3>(sums, c3, values);
    add_column::<4>(sums, c4, values);
    add_column::<5>(sums, c5, values);
    add_column::<6>(sums, c6, values);
    add_column::<7>(sums, c7, values);
}

/// Adds the products of a column with the activation in one of the lanes.
#[inline]
#[target_feature(enable = "neon")]
fn add_column<const LANE: i32>(sums: &mut [int32x4_t; 4], column: int8x16_t, values: int16x8_t) {
    let (lower, upper) = (vmovl_s8(vget_low_s8(column)), vmovl_high_s8(column));
    sums[0] = vmlal_laneq_s16::<LANE>(sums[0], vget_low_s16(lower), values);
    sums[1] = vmlal_high_laneq_s16::<LANE>(sums[1], lower, values);
    sums[2] = vmlal_laneq_s16::<LANE>(sums[2], vget_low_s16(upper), values);
    sums[3] = vmlal_high_laneq_s16::<LANE>(sums[3], upper, values);
}

/// Stores the sums from the registers.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn rows(sums: [int32x4_t; 4]) -> [i32; ROWS] {
    let mut rows = [0; ROWS];
    for (rows, sums) in rows.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
        // SAFETY: `rows` is 16 bytes; the store is unaligned.
        unsafe { vst1q_s32(rows.as_mut_ptr(), sums) };
    }
    rows
}
