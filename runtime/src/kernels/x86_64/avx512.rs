//! AVX-512 F and BW: a block is a register.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use crate::kernels::native::kernel;
use crate::kernels::{Block, FloatColumn, Integers, ROWS, ZERO_POINT, arrange_even_odd};

kernel! {
    /// Proof that the machine has AVX-512 F and BW.
    Avx512: "avx512f", "avx512bw";
    arrange_even_odd, |_| {}
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn int8<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let mut sums = [_mm512_setzero_si512(); G];
    for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<4>().0) {
        let [even, odd] = pairs(values);
        for (sum, block) in sums.iter_mut().zip(blocks) {
            let words = load(block);
            let evens = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(words));
            let odds = _mm512_srai_epi16::<8>(words);
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(evens, even));
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(odds, odd));
        }
    }
    sums.map(|sum| rows(sum))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn int4<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let nibble = _mm512_set1_epi16(15);
    let mut sums = [_mm512_set1_epi32(-ZERO_POINT * activations.total); G];
    for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<8>().0) {
        let [low, high] = values.as_chunks::<4>().0 else { continue };
        let ([a0, a1], [a2, a3]) = (pairs(low), pairs(high));
        for (sum, block) in sums.iter_mut().zip(blocks) {
            let words = load(block);
            let n0 = _mm512_and_si512(words, nibble);
            let n1 = _mm512_and_si512(_mm512_srli_epi16::<4>(words), nibble);
            let n2 = _mm512_and_si512(_mm512_srli_epi16::<8>(words), nibble);
            let n3 = _mm512_srli_epi16::<12>(words);
            let low = _mm512_add_epi32(_mm512_madd_epi16(n0, a0), _mm512_madd_epi16(n1, a1));
            let high = _mm512_add_epi32(_mm512_madd_epi16(n2, a2), _mm512_madd_epi16(n3, a3));
            *sum = _mm512_add_epi32(*sum, _mm512_add_epi32(low, high));
        }
    }
    sums.map(|sum| rows(sum))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn float<const G: usize>(
    weights: &[[FloatColumn; G]],
    values: [&[f32]; 2],
) -> [[f32; ROWS]; G] {
    // For each group, one sum for each column modulo 4.
    let mut sums = [[_mm512_setzero_ps(); 4]; G];
    let mut rest = weights.as_chunks::<4>().0;
    for values in values {
        let values = values.as_chunks::<4>().0;
        let (columns, later) = rest.split_at(values.len());
        for (columns, values) in columns.iter().zip(values) {
            for (at, (column, value)) in columns.iter().zip(values).enumerate() {
                let value = _mm512_set1_ps(*value);
                for (sums, weights) in sums.iter_mut().zip(column) {
                    // SAFETY: a column is 64 bytes; the load is unaligned.
                    let weights = unsafe { _mm512_loadu_ps(weights.as_ptr().cast()) };
                    sums[at] = _mm512_add_ps(sums[at], _mm512_mul_ps(weights, value));
                }
            }
        }
        rest = later;
    }
    sums.map(|[s0, s1, s2, s3]| {
        let sum = _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3));
        let mut rows = [0.0; ROWS];
        // SAFETY: `rows` is 64 bytes; the store is unaligned.
        unsafe { _mm512_storeu_ps(rows.as_mut_ptr(), sum) };
        rows
    })
}

/// Two pairs of activations, each broadcast to all rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn pairs(values: &[i16; 4]) -> [__m512i; 2] {
    let pair = |first, second| i32::from(first as u16) | i32::from(second) << 16;
    [_mm512_set1_epi32(pair(values[0], values[1])), _mm512_set1_epi32(pair(values[2], values[3]))]
}

/// The words of a block.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(block: &Block) -> __m512i {
    // The hardware prefetcher follows a stream within a page; this also crosses pages, while cells
    // are computed.
    const AHEAD: usize = 4096;
    // SAFETY: a prefetch may name any address. A block is 64 bytes; the load is unaligned.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(AHEAD).cast());
        _mm512_loadu_si512(block.as_ptr().cast())
    }
}

/// Stores the sums from the register.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn rows(sums: __m512i) -> [i32; ROWS] {
    let mut rows = [0; ROWS];
    // SAFETY: `rows` is 64 bytes; the store is unaligned.
    unsafe { _mm512_storeu_si512(rows.as_mut_ptr().cast(), sums) };
    rows
}
