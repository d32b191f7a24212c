//! AVX2.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::{check, has, rows};
use crate::kernels::{Kernel, QUADS, Sums, Work};

/// Proof that the machine has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        has!("avx2").then_some(Self(()))
    }
}

impl Kernel for Avx2 {
    #[inline(always)]
    fn int8(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
        // SAFETY: `self` exists only where AVX2 does.
        unsafe { int8(weights, values) }
    }

    #[inline(always)]
    fn int4(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
        // SAFETY: `self` exists only where AVX2 does.
        unsafe { int4(weights, values) }
    }

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2")]
        fn run<W: Work>(kernel: Avx2, work: W) -> W::Output {
            work.with(kernel)
        }
        // SAFETY: `self` exists only where AVX2 does.
        unsafe { run(self, work) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn int8(weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
    let blocks = check(weights, values, 4);
    let mut sums = [[_mm256_setzero_si256(); 2]; QUADS];
    for block in (0..blocks).step_by(2) {
        for half in 0..2 {
            // SAFETY: block + half < blocks, so 4 activations (8 bytes) follow there, and in each
            // of the QUADS quads one more block of 16 weights; see `check`. Loads are unaligned.
            unsafe {
                let four = values.as_ptr().add(4 * (block + half)).cast::<i64>();
                let activations = _mm256_set1_epi64x(four.read_unaligned());
                for (quad, sums) in sums.iter_mut().enumerate() {
                    let bytes = weights.as_ptr().add(quad * blocks + block + half).cast();
                    let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes));
                    let products = _mm256_madd_epi16(wide, activations);
                    sums[half] = _mm256_add_epi32(sums[half], products);
                }
            }
        }
    }
    sums.map(|[even, odd]| {
        let sum = _mm256_add_epi32(even, odd);
        let added = _mm256_hadd_epi32(sum, sum);
        let (low, high) = (_mm256_castsi256_si128(added), _mm256_extracti128_si256::<1>(added));
        rows(_mm_unpacklo_epi64(low, high))
    })
}

#[inline]
#[target_feature(enable = "avx2")]
fn int4(weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
    let blocks = check(weights, values, 8);
    let nibble = _mm256_set1_epi16(15);
    let mut sums = [_mm256_setzero_si256(); QUADS];
    for block in (0..blocks).step_by(2) {
        // SAFETY: block + 2 <= blocks, an even number, so 16 activations (32 bytes) follow there;
        // see `check`. The load is unaligned.
        let sixteen = unsafe { _mm256_loadu_si256(values.as_ptr().add(8 * block).cast()) };
        let activations = [
            _mm256_shuffle_epi32::<0x00>(sixteen),
            _mm256_shuffle_epi32::<0x55>(sixteen),
            _mm256_shuffle_epi32::<0xaa>(sixteen),
            _mm256_shuffle_epi32::<0xff>(sixteen),
        ];
        for (quad, sum) in sums.iter_mut().enumerate() {
            // SAFETY: likewise, in each of the QUADS quads two more blocks of 16 bytes.
            let words =
                unsafe { _mm256_loadu_si256(weights.as_ptr().add(quad * blocks + block).cast()) };
            let nibbles = [
                _mm256_and_si256(words, nibble),
                _mm256_and_si256(_mm256_srli_epi16::<4>(words), nibble),
                _mm256_and_si256(_mm256_srli_epi16::<8>(words), nibble),
                _mm256_srli_epi16::<12>(words),
            ];
            for (nibbles, activations) in nibbles.into_iter().zip(activations) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(nibbles, activations));
            }
        }
    }
    sums.map(|sum| {
        let (low, high) = (_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        rows(_mm_add_epi32(low, high))
    })
}
