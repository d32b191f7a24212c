//! AVX2, AVX-512, and AVX-512 with VNNI.
//!
//! All widen weights to 16 bits and multiply pairs of columns into 32-bit sums (`vpmaddwd` and an
//! addition, or `vpdpwssd`).
//!
//! A block of bytes becomes 16 such numbers, whose rows all meet the same 4 activations: 64 bits,
//! repeated. A block of nibbles gives four times 8 such numbers, pairs of columns 2n and 2n + 1
//! from bits 4n of all its half words, whose rows all meet the same 2 activations: 32 bits, repeated.

mod avx2;
mod avx512;

pub(crate) use avx2::Avx2;
pub(crate) use avx512::{Avx512, Avx512Vnni};

use core::arch::x86_64::{__m128i, _mm_extract_epi32};

use super::QUADS;

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
use has;

/// The blocks of a quad, each `width` columns. Kernels read `QUADS` times as many: this is what
/// makes their pointers sound.
///
/// # Panics
/// If `weights` is shorter, or `values` not a multiple of 16 long.
#[inline(always)]
fn check(weights: &[[u8; 16]], values: &[i16], width: usize) -> usize {
    assert!(values.len().is_multiple_of(16));
    let blocks = values.len() / width;
    assert!(weights.len() >= QUADS * blocks);
    blocks
}

/// The four sums of a quad, out of the register.
#[inline]
#[target_feature(enable = "avx2")]
fn rows(sums: __m128i) -> [i32; 4] {
    [
        _mm_extract_epi32::<0>(sums),
        _mm_extract_epi32::<1>(sums),
        _mm_extract_epi32::<2>(sums),
        _mm_extract_epi32::<3>(sums),
    ]
}
