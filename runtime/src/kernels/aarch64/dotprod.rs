//! NEON with dot products: four columns at once, for four rows in a register.
//!
//! `sdot` multiplies signed bytes: activations are split into high and low halves, 128 · high + low.
//! The registers do not hold all sums of high halves beside those of low halves, so the former are
//! added to the latter after every 16 columns.
#![allow(unsafe_code)]

use core::arch::aarch64::*;
use core::arch::asm;

use super::neon::{float, nibbles, rows};
use crate::kernels::native::kernel;
use crate::kernels::{Block, FloatColumn, Integers, NIBBLE_BYTES, ROWS, ZERO_POINT, arrange_bytes};

kernel! {
    /// Proof that the machine has NEON with dot products.
    NeonDotprod: "neon", "dotprod";
    |values| arrange_bytes(values, [0, 1, 2, 3]), |values| arrange_bytes(values, NIBBLE_BYTES)
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn int8<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let mut sums = [[vdupq_n_s32(0); 4]; G];
    let values = activations.values.as_chunks::<16>().0;
    for ([b0, b1, b2, b3], values) in weights.as_chunks::<4>().0.iter().zip(values) {
        let values = split(values);
        for (group, sums) in sums.iter_mut().enumerate() {
            let words = [&b0[group], &b1[group], &b2[group], &b3[group]];
            add(sums, [load(words[0]), load(words[1]), load(words[2]), load(words[3])], values);
        }
    }
    sums.map(|sums| rows(sums))
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn int4<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let mut sums = [[vdupq_n_s32(-ZERO_POINT * activations.total); 4]; G];
    let values = activations.values.as_chunks::<16>().0;
    for ([first, second], values) in weights.as_chunks::<2>().0.iter().zip(values) {
        let values = split(values);
        for (sums, (first, second)) in sums.iter_mut().zip(first.iter().zip(second)) {
            let [[w0, w1], [w2, w3]] = [nibbles(load(first)), nibbles(load(second))];
            add(sums, [w0, w1, w2, w3], values);
        }
    }
    sums.map(|sums| rows(sums))
}

/// Sixteen activations: for each four, one lane of high and one of low halves.
#[inline]
#[target_feature(enable = "neon")]
fn split(values: &[i16; 16]) -> [int8x16_t; 2] {
    let values: *const i8 = values.as_ptr().cast();
    // SAFETY: `values` is twice 16 bytes; the loads are unaligned.
    unsafe { [vld1q_s8(values), vld1q_s8(values.add(16))] }
}

/// The words of a block.
#[inline]
#[target_feature(enable = "neon")]
fn load(block: &Block) -> [int8x16_t; 4] {
    // SAFETY: a block is 64 bytes; the load is unaligned.
    let int8x16x4_t(first, second, third, fourth) = unsafe { vld1q_s8_x4(block.as_ptr().cast()) };
    [first, second, third, fourth]
}

/// Adds the products of four times four columns with sixteen activations.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add(sums: &mut [int32x4_t; 4], words: [[int8x16_t; 4]; 4], values: [int8x16_t; 2]) {
    let mut highs = [vdupq_n_s32(0); 4];
    add_four::<0, 1>(sums, &mut highs, words[0], values[0]);
    add_four::<2, 3>(sums, &mut highs, words[1], values[0]);
    add_four::<0, 1>(sums, &mut highs, words[2], values[1]);
    add_four::<2, 3>(sums, &mut highs, words[3], values[1]);
    for (sum, high) in sums.iter_mut().zip(highs) {
        *sum = vaddq_s32(*sum, vshlq_n_s32::<7>(high));
    }
}

/// Adds the products of four columns with the activations in two of the lanes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_four<const HIGH: i32, const LOW: i32>(
    sums: &mut [int32x4_t; 4],
    highs: &mut [int32x4_t; 4],
    words: [int8x16_t; 4],
    values: int8x16_t,
) {
    for ((sum, high), words) in sums.iter_mut().zip(highs).zip(words) {
        *high = dot::<HIGH>(*high, words, values);
        *sum = dot::<LOW>(*sum, words, values);
    }
}

/// Adds the products of four columns of signed bytes with the four in one of the lanes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const LANE: i32>(mut sum: int32x4_t, words: int8x16_t, values: int8x16_t) -> int32x4_t {
    // Its intrinsic, `vdotq_laneq_s32`, is not stable yet.
    // SAFETY: an instruction on three registers, which the machine has: see `target_feature`.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {words:v}.16b, {values:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            words = in(vreg) words,
            values = in(vreg) values,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
