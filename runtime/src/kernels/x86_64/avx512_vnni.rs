//! AVX-512 with VNNI: four columns at once.
//!
//! `vpdpbusd` multiplies unsigned with signed bytes: weights are offset to be unsigned, and the
//! initial sums compensate for the offset. Activations are split into high and low halves,
//! 128 · high + low.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::avx512::{float, load, rows};
use crate::kernels::native::kernel;
use crate::kernels::{Block, FloatColumn, Integers, NIBBLE_BYTES, ROWS, ZERO_POINT, arrange_bytes};

kernel! {
    /// Proof that the machine has AVX-512 F, BW and VNNI.
    Avx512Vnni: "avx512f", "avx512bw", "avx512vnni";
    |values| arrange_bytes(values, [0, 1, 2, 3]), |values| arrange_bytes(values, NIBBLE_BYTES)
}

/// Sums of the even and of the odd steps, so that additions need not wait for each other; for each,
/// the sums of high and of low halves.
type Sums<const G: usize> = [[[__m512i; 2]; G]; 2];

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn int8<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let raised = _mm512_set1_epi8(-128);
    let mut sums = start(activations.total.wrapping_mul(128));
    let values = activations.values.as_chunks::<4>().0.as_chunks::<2>().0;
    for (steps, values) in weights.as_chunks::<2>().0.iter().zip(values) {
        for ((blocks, values), sums) in steps.iter().zip(values).zip(&mut sums) {
            let halves = split(values);
            for (block, sums) in blocks.iter().zip(sums) {
                add(sums, _mm512_xor_si512(load(block), raised), halves);
            }
        }
    }
    finish(sums)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn int4<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let nibble = _mm512_set1_epi8(15);
    let mut sums = start(ZERO_POINT * activations.total);
    let [even_sums, odd_sums] = &mut sums;
    let values = activations.values.as_chunks::<4>().0.as_chunks::<2>().0;
    for (blocks, [even, odd]) in weights.iter().zip(values) {
        let (even, odd) = (split(even), split(odd));
        let sums = even_sums.iter_mut().zip(&mut *odd_sums);
        for (block, (even_sums, odd_sums)) in blocks.iter().zip(sums) {
            let words = load(block);
            add(even_sums, _mm512_and_si512(words, nibble), even);
            add(odd_sums, _mm512_and_si512(_mm512_srli_epi16::<4>(words), nibble), odd);
        }
    }
    finish(sums)
}

/// Initial sums that compensate for the offset of the weights.
#[inline]
#[target_feature(enable = "avx512f")]
fn start<const G: usize>(raise: i32) -> Sums<G> {
    let mut sums = [[[_mm512_setzero_si512(); 2]; G]; 2];
    for [_, low] in &mut sums[0] {
        *low = _mm512_set1_epi32(raise.wrapping_neg());
    }
    sums
}

/// The high and the low halves of four activations, broadcast to all rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn split(values: &[i16; 4]) -> [__m512i; 2] {
    let word = |low, high| i32::from(low as u16) | i32::from(high) << 16;
    [_mm512_set1_epi32(word(values[0], values[1])), _mm512_set1_epi32(word(values[2], values[3]))]
}

/// Adds the products of four columns of unsigned bytes with four activations.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add(sums: &mut [__m512i; 2], bytes: __m512i, halves: [__m512i; 2]) {
    for (sum, half) in sums.iter_mut().zip(halves) {
        *sum = _mm512_dpbusd_epi32(*sum, bytes, half);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn finish<const G: usize>([evens, odds]: Sums<G>) -> [[i32; ROWS]; G] {
    core::array::from_fn(|group| {
        let ([high, low], [high2, low2]) = (evens[group], odds[group]);
        let high = _mm512_slli_epi32::<7>(_mm512_add_epi32(high, high2));
        rows(_mm512_add_epi32(high, _mm512_add_epi32(low, low2)))
    })
}
