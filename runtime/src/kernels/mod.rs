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

    /// The same with nibbles, blocks of 4 rows × 8 columns, taken as they are: 0 to 15.
    ///
    /// A block holds a word for each row (see `quantize::word`): of the columns 2n and 2n + 1, the
    /// bits from 4n of its lower and of its upper half.
    fn int4(self, weights: &[[u8; 16]], values: &[i16]) -> Sums<i32>;

    /// Puts activations into the order in which [`int8`](Self::int8) takes them.
    #[inline(always)]
    fn arrange_int8(self, _values: &mut [i16]) {}

    /// Puts activations into the order in which [`int4`](Self::int4) takes them.
    #[inline(always)]
    fn arrange_int4(self, _values: &mut [i16]) {}

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
    Avx512(x86_64::Avx512),
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
            x86_64::Avx512::detect().map(Self::Avx512),
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
            Self::Avx512(kernel) => kernel.run(work),
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
    use std::vec::Vec;

    /// Both products of the same activations, arranged as the kernel wants them.
    struct Multiply<'a>([&'a [[u8; 16]]; 2], &'a [i16]);

    impl Work for Multiply<'_> {
        type Output = [Sums<i32>; 2];
        #[inline(always)]
        fn with<K: Kernel>(self, kernel: K) -> [Sums<i32>; 2] {
            let Self([bytes, nibbles], values) = self;
            let (mut for_bytes, mut for_nibbles) = (values.to_vec(), values.to_vec());
            kernel.arrange_int8(&mut for_bytes);
            kernel.arrange_int4(&mut for_nibbles);
            [kernel.int8(bytes, &for_bytes), kernel.int4(nibbles, &for_nibbles)]
        }
    }

    /// The sums as the definition has them.
    fn expected(values: &[i16], weight: impl Fn(usize, usize, usize) -> i32) -> Sums<i32> {
        core::array::from_fn(|quad| {
            core::array::from_fn(|row| {
                (0..values.len()).fold(0i32, |sum, column| {
                    sum.wrapping_add(weight(quad, row, column) * i32::from(values[column]))
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
                let mut random = |extreme_byte: u8, blocks: usize| -> Vec<[u8; 16]> {
                    let mut byte =
                        || if extreme { extreme_byte } else { (rng.next_u32() >> 24) as u8 };
                    (0..QUADS * blocks).map(|_| core::array::from_fn(|_| byte())).collect()
                };
                let bytes = random(0x81, columns / 4);
                let nibbles = random(0xff, columns / 8);
                let values: Vec<i16> = (0..columns)
                    .map(|_| if extreme { -8192 } else { (rng.next_u32() % 16385) as i16 - 8192 })
                    .collect();
                let expected = [
                    expected(&values, |quad, row, column| {
                        let block = bytes[quad * columns / 4 + column / 4];
                        i32::from(block[4 * row + column % 4] as i8)
                    }),
                    expected(&values, |quad, row, column| {
                        let block = nibbles[quad * columns / 8 + column / 8];
                        let word = u32::from_le_bytes(block.as_chunks().0[row]);
                        (word >> (16 * (column % 2) + 4 * (column % 8 / 2)) & 15) as i32
                    }),
                ];
                let mut kernels = 0;
                for isa in Isa::available() {
                    let sums = isa.run(Multiply([&bytes, &nibbles], &values));
                    assert_eq!(sums, expected, "{isa:?}, {columns} columns");
                    kernels += 1;
                }
                assert!(kernels > 0);
            }
        }
    }
}
