//! AVX-512 (F and BW), without VNNI and with it.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::{check, has, rows};
use crate::kernels::{Kernel, QUADS, Sums, Work};

/// Makes a kernel for AVX-512 with these features, that adds products of pairs by `$dot`.
macro_rules! kernel {
    ($(#[$doc:meta])* $kernel:ident: $($feature:tt),+; $dot:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kernel(());

        impl $kernel {
            pub fn detect() -> Option<Self> {
                has!($($feature),+).then_some(Self(()))
            }
        }

        impl Kernel for $kernel {
            #[inline(always)]
            fn int8(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
                #[inline]
                $(#[target_feature(enable = $feature)])+
                fn int8(weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
                    let blocks = check(weights, values, 4);
                    // Of 8 activations, the first 4 for the lower half and the last 4 for the upper.
                    let repeat = _mm512_set_epi64(1, 1, 1, 1, 0, 0, 0, 0);
                    let mut sums = [[_mm512_setzero_si512(); 2]; QUADS];
                    for block in (0..blocks).step_by(4) {
                        for half in 0..2 {
                            // SAFETY: block + 4 <= blocks, a multiple of 4, so 8 activations (16
                            // bytes) follow at each half, and in each of the QUADS quads two more
                            // blocks of 16 weights; see `check`. Loads are unaligned.
                            unsafe {
                                let eight = values.as_ptr().add(4 * (block + 2 * half)).cast();
                                let eight = _mm512_castsi128_si512(_mm_loadu_si128(eight));
                                let activations = _mm512_permutexvar_epi64(repeat, eight);
                                for (quad, sums) in sums.iter_mut().enumerate() {
                                    let at = quad * blocks + block + 2 * half;
                                    let bytes = weights.as_ptr().add(at).cast();
                                    let wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(bytes));
                                    sums[half] = $dot(sums[half], wide, activations);
                                }
                            }
                        }
                    }
                    sums.map(|[even, odd]| {
                        let sum = _mm512_add_epi32(even, odd);
                        let low = _mm512_castsi512_si256(sum);
                        let added = _mm256_hadd_epi32(low, _mm512_extracti64x4_epi64::<1>(sum));
                        let (first, second) = (
                            _mm256_castsi256_si128(added),
                            _mm256_extracti128_si256::<1>(added),
                        );
                        // Each has, for two of the rows, the lower half's sums, then the upper half's.
                        rows(_mm_add_epi32(
                            _mm_unpacklo_epi64(first, second),
                            _mm_unpackhi_epi64(first, second),
                        ))
                    })
                }
                // SAFETY: `self` exists only where these features do.
                unsafe { int8(weights, values) }
            }

            #[inline(always)]
            fn int4(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
                #[inline]
                $(#[target_feature(enable = $feature)])+
                fn int4(weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
                    let blocks = check(weights, values, 8);
                    let nibble = _mm512_set1_epi16(15);
                    let mut sums = [[_mm512_setzero_si512(); 2]; QUADS];
                    for block in (0..blocks).step_by(4) {
                        // The last step may have two blocks instead of four: the rest reads as 0.
                        let mask = if blocks - block >= 4 { 0xffff } else { 0x00ff };
                        // SAFETY: blocks is even, so where the mask is on, so many activations (8
                        // for each block) follow; see `check`. The load is unaligned.
                        let all = unsafe {
                            _mm512_maskz_loadu_epi32(mask, values.as_ptr().add(8 * block).cast())
                        };
                        let activations = [
                            _mm512_shuffle_epi32::<0x00>(all),
                            _mm512_shuffle_epi32::<0x55>(all),
                            _mm512_shuffle_epi32::<0xaa>(all),
                            _mm512_shuffle_epi32::<0xff>(all),
                        ];
                        for (quad, [even, odd]) in sums.iter_mut().enumerate() {
                            // SAFETY: likewise, in each of the QUADS quads so many blocks.
                            let words = unsafe {
                                let at = weights.as_ptr().add(quad * blocks + block);
                                _mm512_maskz_loadu_epi32(mask, at.cast())
                            };
                            let n0 = _mm512_and_si512(words, nibble);
                            let n1 = _mm512_and_si512(_mm512_srli_epi16::<4>(words), nibble);
                            let n2 = _mm512_and_si512(_mm512_srli_epi16::<8>(words), nibble);
                            let n3 = _mm512_srli_epi16::<12>(words);
                            *even = $dot(*even, n0, activations[0]);
                            *odd = $dot(*odd, n1, activations[1]);
                            *even = $dot(*even, n2, activations[2]);
                            *odd = $dot(*odd, n3, activations[3]);
                        }
                    }
                    sums.map(|[even, odd]| {
                        let sum = _mm512_add_epi32(even, odd);
                        let low = _mm512_castsi512_si256(sum);
                        let sum = _mm256_add_epi32(low, _mm512_extracti64x4_epi64::<1>(sum));
                        let low = _mm256_castsi256_si128(sum);
                        rows(_mm_add_epi32(low, _mm256_extracti128_si256::<1>(sum)))
                    })
                }
                // SAFETY: `self` exists only where these features do.
                unsafe { int4(weights, values) }
            }

            #[inline]
            fn run<W: Work>(self, work: W) -> W::Output {
                $(#[target_feature(enable = $feature)])+
                fn run<W: Work>(kernel: $kernel, work: W) -> W::Output {
                    work.with(kernel)
                }
                // SAFETY: `self` exists only where these features do.
                unsafe { run(self, work) }
            }
        }
    };
}

kernel! {
    /// Proof that the machine has AVX-512 F and BW.
    Avx512: "avx512f", "avx512bw";
    |sum, a, b| _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
}

kernel! {
    /// Proof that the machine has AVX-512 F, BW and VNNI.
    Avx512Vnni: "avx512f", "avx512bw", "avx512vnni";
    |sum, a, b| _mm512_dpwssd_epi32(sum, a, b)
}
