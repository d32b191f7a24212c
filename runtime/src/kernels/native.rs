//! Macros that build kernels from functions that need target features.

/// Whether this machine has a set of features: detected once at run time on hosts, otherwise decided
/// at compile time.
macro_rules! has {
    ($($feature:tt),+) => {{
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        { $(std::arch::is_x86_feature_detected!($feature))&&+ }
        #[cfg(all(feature = "std", target_arch = "aarch64"))]
        { $(std::arch::is_aarch64_feature_detected!($feature))&&+ }
        #[cfg(not(feature = "std"))]
        { $(cfg!(target_feature = $feature))&&+ }
    }};
}
pub(super) use has;

/// Makes the [`Kernel`](super::Kernel) of an instruction set from its functions `int8`, `int4` and
/// `float`.
macro_rules! kernel {
    ($(#[$doc:meta])* $kernel:ident: $($feature:tt),+; $arrange_int8:expr, $arrange_int4:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kernel(());

        impl $kernel {
            pub fn detect() -> Option<Self> {
                crate::kernels::native::has!($($feature),+).then_some(Self(()))
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
                sums: &mut [[i32; ROWS]; G],
            ) {
                // SAFETY: `self` exists only where these features do.
                *sums = unsafe { int8(weights, activations) };
            }

            #[inline(always)]
            fn int4<const G: usize>(
                self,
                weights: &[[Block; G]],
                activations: Integers,
                sums: &mut [[i32; ROWS]; G],
            ) {
                // SAFETY: `self` exists only where these features do.
                *sums = unsafe { int4(weights, activations) };
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
pub(super) use kernel;
