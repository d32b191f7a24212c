//! AVX2 and AVX-512 with VNNI.
//!
//! Both widen weights to 16 bits and multiply pairs of columns into 32-bit sums
//! (`vpmaddwd`, `vpdpwssd`). A block of 4 rows × 4 columns becomes 16 such numbers, whose rows all
//! meet the same 4 activations: 8 bytes, repeated.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::{Kernel, QUADS, Sums, Work};

/// Whether this machine has a set of features: asked once on hosts that can tell, else decided when
/// compiling.
macro_rules! has {
    ($($feature:tt),+) => {{
        #[cfg(feature = "std")]
        { $(std::arch::is_x86_feature_detected!($feature))&&+ }
        #[cfg(not(feature = "std"))]
        { $(cfg!(target_feature = $feature))&&+ }
    }};
}

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
        let blocks = check(weights, values);
        // SAFETY: `self` exists only where AVX2 does.
        unsafe { int8_avx2(weights, values, blocks) }
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

/// Proof that the machine has AVX-512 F, BW and VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    pub fn detect() -> Option<Self> {
        has!("avx512f", "avx512bw", "avx512vnni").then_some(Self(()))
    }
}

impl Kernel for Avx512Vnni {
    #[inline(always)]
    fn int8(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
        let blocks = check(weights, values);
        // SAFETY: `self` exists only where AVX-512 F, BW and VNNI do.
        unsafe { int8_avx512vnni(weights, values, blocks) }
    }

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        fn run<W: Work>(kernel: Avx512Vnni, work: W) -> W::Output {
            work.with(kernel)
        }
        // SAFETY: `self` exists only where AVX-512 F, BW and VNNI do.
        unsafe { run(self, work) }
    }
}

/// The blocks of a quad. The loops below read `QUADS` times as many, four at a time: this is what
/// makes their pointers sound.
///
/// # Panics
/// If `weights` is shorter, or `values` not a multiple of 16 long.
#[inline(always)]
fn check(weights: &[[u8; 16]], values: &[i16]) -> usize {
    assert!(values.len().is_multiple_of(16));
    let blocks = values.len() / 4;
    assert!(weights.len() >= QUADS * blocks);
    blocks
}

#[inline]
#[target_feature(enable = "avx2")]
fn int8_avx2(weights: &[[u8; 16]], values: &[i16], blocks: usize) -> Sums<i32> {
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
    sums.map(|[even, odd]| pairs(_mm256_add_epi32(even, odd)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn int8_avx512vnni(weights: &[[u8; 16]], values: &[i16], blocks: usize) -> Sums<i32> {
    // Of 8 activations, the first 4 for the lower half and the last 4 for the upper.
    let repeat = _mm512_set_epi64(1, 1, 1, 1, 0, 0, 0, 0);
    let mut sums = [[_mm512_setzero_si512(); 2]; QUADS];
    for block in (0..blocks).step_by(4) {
        for half in 0..2 {
            // SAFETY: block + 4 <= blocks, a multiple of 4, so 8 activations (16 bytes) follow at
            // each half, and in each of the QUADS quads two more blocks of 16 weights; see
            // `check`. Loads are unaligned.
            unsafe {
                let eight = values.as_ptr().add(4 * (block + 2 * half)).cast();
                let eight = _mm512_castsi128_si512(_mm_loadu_si128(eight));
                let activations = _mm512_permutexvar_epi64(repeat, eight);
                for (quad, sums) in sums.iter_mut().enumerate() {
                    let bytes = weights.as_ptr().add(quad * blocks + block + 2 * half).cast();
                    let wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(bytes));
                    sums[half] = _mm512_dpwssd_epi32(sums[half], wide, activations);
                }
            }
        }
    }
    sums.map(|[even, odd]| {
        let sum = _mm512_add_epi32(even, odd);
        let (low, high) = (_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
        pairs(_mm256_add_epi32(low, high))
    })
}

/// Two partial sums for each of four rows, added.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(sums: __m256i) -> [i32; 4] {
    let added = _mm256_hadd_epi32(sums, sums);
    let rows =
        _mm_unpacklo_epi64(_mm256_castsi256_si128(added), _mm256_extracti128_si256::<1>(added));
    [
        _mm_extract_epi32::<0>(rows),
        _mm_extract_epi32::<1>(rows),
        _mm_extract_epi32::<2>(rows),
        _mm_extract_epi32::<3>(rows),
    ]
}
