//! The inner loops, one file per instruction set behind one trait.
//!
//! A kernel multiplies quads of rows with activations. Integer sums are exact and wrap, so every
//! kernel gives the same bits, in whatever order it adds. For float weights the order *is* the
//! definition: 16 partial sums, one for each row of the quad and each column modulo 4, folded at
//! the end; compilers may vectorise that, and may not change it.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// Quads that a kernel works on at once: so many rows share each load of activations.
pub(crate) const QUADS: usize = 4;

/// Sums of [`QUADS`] quads: of each, one for each of its rows.
pub(crate) type Sums<T> = [[T; 4]; QUADS];

/// The products of one instruction set.
pub(crate) trait Kernel: Copy {
    /// Multiplies [`QUADS`] consecutive quads of 8-bit weights with activations.
    ///
    /// `weights` holds, for each quad, as many blocks of 4 rows × 4 columns as `values` has groups
    /// of 4; `values` is a multiple of 16 long.
    fn int8(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32>;

    /// The same with float weights, in the one defined order. The activations are two vectors, one
    /// after the other.
    #[inline(always)]
    fn float(self, weights: &[[[u8; 4]; 16]], values: [&[f32]; 2]) -> Sums<f32> {
        portable::float(weights, values)
    }

    /// Runs `work` compiled for this instruction set.
    fn run<W: Work>(self, work: W) -> W::Output;
}

/// Something to be compiled once for each instruction set.
pub(crate) trait Work {
    /// What it gives.
    type Output;
    /// Does it; implementations are `#[inline(always)]`, so that they take on the instruction set
    /// of the function that [`Kernel::run`] calls them from.
    fn with<K: Kernel>(self, kernel: K) -> Self::Output;
}

/// The instruction set a network runs on. All of them compute the same bits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isa {
    Portable(portable::Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86_64::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86_64::Avx512Vnni),
}

impl Isa {
    /// All that this machine has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let candidates = [
            #[cfg(target_arch = "x86_64")]
            x86_64::Avx512Vnni::detect().map(Self::Avx512Vnni),
            #[cfg(target_arch = "x86_64")]
            x86_64::Avx2::detect().map(Self::Avx2),
            Some(Self::Portable(portable::Portable)),
        ];
        candidates.into_iter().flatten()
    }

    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable(portable::Portable))
    }

    /// Runs work on this instruction set.
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Portable(kernel) => kernel.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => kernel.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(kernel) => kernel.run(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::Pcg32;
    use rand_pcg::rand_core::Rng;

    struct Multiply<'a>(&'a [[u8; 16]], &'a [i16]);

    impl Work for Multiply<'_> {
        type Output = Sums<i32>;
        #[inline(always)]
        fn with<K: Kernel>(self, kernel: K) -> Sums<i32> {
            kernel.int8(self.0, self.1)
        }
    }

    /// The sums as the definition has them.
    fn expected(weights: &[[u8; 16]], values: &[i16]) -> Sums<i32> {
        let blocks = values.len() / 4;
        core::array::from_fn(|quad| {
            core::array::from_fn(|row| {
                (0..values.len()).fold(0i32, |sum, column| {
                    let block = weights[quad * blocks + column / 4];
                    let weight = i32::from(block[4 * row + column % 4] as i8);
                    sum.wrapping_add(weight * i32::from(values[column]))
                })
            })
        })
    }

    #[test]
    fn every_kernel_gives_the_exact_sums() {
        let mut rng = Pcg32::new(1, 1);
        let all = [16, 32, 48, 304, 512, 1024, 2048];
        for &columns in if cfg!(miri) { &all[..3] } else { &all[..] } {
            for extreme in [false, true] {
                let mut byte = || (rng.next_u32() >> 24) as u8;
                let weights: std::vec::Vec<[u8; 16]> = (0..QUADS * columns / 4)
                    .map(|_| core::array::from_fn(|_| if extreme { 0x81 } else { byte() }))
                    .collect();
                let values: std::vec::Vec<i16> = (0..columns)
                    .map(|_| if extreme { -8192 } else { (rng.next_u32() >> 18) as i16 - 8192 })
                    .collect();
                let expected = expected(&weights, &values);
                let mut kernels = 0;
                for isa in Isa::available() {
                    let sums = isa.run(Multiply(&weights, &values));
                    assert_eq!(sums, expected, "{isa:?}, {columns} columns");
                    kernels += 1;
                }
                assert!(kernels > 0);
            }
        }
    }
}
