//! AVX2, AVX-512, and AVX-512 with VNNI.
//!
//! A lane of 32 bits is a row. Without VNNI, weights are widened to 16 bits and pairs of columns
//! multiplied into their row's lane (`vpmaddwd`). With it, four columns are multiplied at once as
//! bytes (`vpdpbusd`), twice: with the high and with the low halves of the activations.

mod avx2;
mod avx512;
mod avx512_vnni;

pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
pub(crate) use avx512_vnni::Avx512Vnni;

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

/// Makes the [`Kernel`](super::Kernel) of an instruction set from its functions `int8`, `int4`
/// and `float`.
macro_rules! kernel {
    ($(#[$doc:meta])* $kernel:ident: $($feature:tt),+; $arrange_int8:expr, $arrange_int4:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kernel(());

        impl $kernel {
            pub fn detect() -> Option<Self> {
                crate::kernels::x86_64::has!($($feature),+).then_some(Self(()))
            }
        }

        impl crate::kernels::Kernel for $kernel {
            #[inline(always)]
            fn arrange_int8(self, values: &mut [i16]) {
                $arrange_int8(values);
            }

            #[inline(always)]
            fn arrange_int4(self, values: &mut [i16]) {
                $arrange_int4(values);
            }

            #[inline(always)]
            fn int8<const G: usize>(
                self,
                weights: &[[Block; G]],
                activations: Integers,
            ) -> [[i32; ROWS]; G] {
                // SAFETY: `self` exists only where these features do.
                unsafe { int8(weights, activations) }
            }

            #[inline(always)]
            fn int4<const G: usize>(
                self,
                weights: &[[Block; G]],
                activations: Integers,
            ) -> [[i32; ROWS]; G] {
                // SAFETY: `self` exists only where these features do.
                unsafe { int4(weights, activations) }
            }

            #[inline(always)]
            fn float<const G: usize>(
                self,
                weights: &[[FloatColumn; G]],
                values: [&[f32]; 2],
            ) -> [[f32; ROWS]; G] {
                // SAFETY: `self` exists only where these features do.
                unsafe { float(weights, values) }
            }

            #[inline]
            fn run<W: crate::kernels::Work>(self, work: W) -> W::Output {
                $(#[target_feature(enable = $feature)])+
                fn run<W: crate::kernels::Work>(kernel: $kernel, work: W) -> W::Output {
                    work.with(kernel)
                }
                // SAFETY: `self` exists only where these features do.
                unsafe { run(self, work) }
            }
        }
    };
}
use kernel;
