//! AVX2: a block is two registers of eight rows.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use crate::kernels::native::kernel;
use crate::kernels::{Block, FloatColumn, Integers, ROWS, ZERO_POINT, arrange_even_odd};

kernel! {
    /// Proof that the machine has AVX2.
    Avx2: "avx2";
    arrange_even_odd, |_| {}
}

#[inline]
#[target_feature(enable = "avx2")]
fn int8<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let mut sums = [[_mm256_setzero_si256(); 2]; G];
    for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<4>().0) {
        let [even, odd] = pairs(values);
        for (sums, block) in sums.iter_mut().zip(blocks) {
            for (sum, words) in sums.iter_mut().zip(halves(block)) {
                let evens = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(words));
                let odds = _mm256_srai_epi16::<8>(words);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(evens, even));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(odds, odd));
            }
        }
    }
    sums.map(|sums| rows(sums))
}

#[inline]
#[target_feature(enable = "avx2")]
fn int4<const G: usize>(weights: &[[Block; G]], activations: Integers) -> [[i32; ROWS]; G] {
    let nibble = _mm256_set1_epi16(15);
    let mut sums = [[_mm256_set1_epi32(-ZERO_POINT * activations.total); 2]; G];
    for (blocks, values) in weights.iter().zip(activations.values.as_chunks::<8>().0) {
        let [low, high] = values.as_chunks::<4>().0 else { continue };
        let ([a0, a1], [a2, a3]) = (pairs(low), pairs(high));
        for (sums, block) in sums.iter_mut().zip(blocks) {
            for (sum, words) in sums.iter_mut().zip(halves(block)) {
                let n0 = _mm256_and_si256(words, nibble);
                let n1 = _mm256_and_si256(_mm256_srli_epi16::<4>(words), nibble);
                let n2 = _mm256_and_si256(_mm256_srli_epi16::<8>(words), nibble);
                let n3 = _mm256_srli_epi16::<12>(words);
                let low = _mm256_add_epi32(_mm256_madd_epi16(n0, a0), _mm256_madd_epi16(n1, a1));
                let high = _mm256_add_epi32(_mm256_madd_epi16(n2, a2), _mm256_madd_epi16(n3, a3));
                *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(low, high));
            }
        }
    }
    sums.map(|sums| rows(sums))
}

#[inline]
#[target_feature(enable = "avx2")]
fn float<const G: usize>(weights: &[[FloatColumn; G]], values: [&[f32]; 2]) -> [[f32; ROWS]; G] {
    let mut groups = [[0.0; ROWS]; G];
    for (group, rows) in groups.iter_mut().enumerate() {
        // For each column modulo 4, the lower and the upper eight rows.
        let mut sums = [[_mm256_setzero_ps(); 2]; 4];
        let mut rest = weights.as_chunks::<4>().0;
        for values in values {
            let values = values.as_chunks::<4>().0;
            let (columns, later) = rest.split_at(values.len());
            for (columns, values) in columns.iter().zip(values) {
                for ((sums, column), value) in sums.iter_mut().zip(columns).zip(values) {
                    let value = _mm256_set1_ps(*value);
                    for (sum, weights) in sums.iter_mut().zip(column[group].as_chunks::<8>().0) {
                        // SAFETY: eight floats are 32 bytes; the load is unaligned.
                        let weights = unsafe { _mm256_loadu_ps(weights.as_ptr().cast()) };
                        *sum = _mm256_add_ps(*sum, _mm256_mul_ps(weights, value));
                    }
                }
            }
            rest = later;
        }
        let [s0, s1, s2, s3] = sums;
        for (half, rows) in rows.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let even = _mm256_add_ps(s0[half], s1[half]);
            let sum = _mm256_add_ps(even, _mm256_add_ps(s2[half], s3[half]));
            // SAFETY: eight floats are 32 bytes; the store is unaligned.
            unsafe { _mm256_storeu_ps(rows.as_mut_ptr(), sum) };
        }
    }
    groups
}

/// Two pairs of activations, each broadcast to all rows.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(values: &[i16; 4]) -> [__m256i; 2] {
    let pair = |first, second| i32::from(first as u16) | i32::from(second) << 16;
    [_mm256_set1_epi32(pair(values[0], values[1])), _mm256_set1_epi32(pair(values[2], values[3]))]
}

/// The words of a block.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(block: &Block) -> [__m256i; 2] {
    let [first, second] = block.as_chunks::<32>().0 else { return [_mm256_setzero_si256(); 2] };
    // SAFETY: each is 32 bytes; the loads are unaligned.
    unsafe {
        [_mm256_loadu_si256(first.as_ptr().cast()), _mm256_loadu_si256(second.as_ptr().cast())]
    }
}

/// Stores the sums from the registers.
#[inline]
#[target_feature(enable = "avx2")]
fn rows(sums: [__m256i; 2]) -> [i32; ROWS] {
    let mut rows = [0; ROWS];
    for (rows, sums) in rows.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
        // SAFETY: `rows` is 32 bytes; the store is unaligned.
        unsafe { _mm256_storeu_si256(rows.as_mut_ptr().cast(), sums) };
    }
    rows
}
