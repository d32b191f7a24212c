//! The inner loops, one file per instruction set behind one trait.
//!
//! A kernel multiplies 16 or 64 rows of weights with activations, block by block (see `matrix`).
//! Integer sums are exact and wrap, so every kernel gives the same bits in any order of additions.
//! For float weights the order *is* the definition: four partial sums for each row, one for each
//! column modulo 4, folded at the end; compilers may vectorise that, but must not reorder it.

#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
mod aarch64;
#[cfg(all(target_arch = "arm", feature = "cortex-m-dsp"))]
mod cortex_m;
#[allow(unused_imports, unused_macros, reason = "not every target has such a kernel")]
mod native;
#[cfg_attr(all(target_arch = "arm", feature = "cortex-m-dsp"), allow(dead_code))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use crate::math::{sigmoid, tanh};
pub(crate) use crate::model::format::{ROWS, ZERO_POINT};

/// A block of integer weights: a 32-bit word for each row, which holds 4 columns as signed bytes or
/// 8 columns as nibbles raised by 8. The nibbles of columns 2n and 2n + 1 are at bit 4n of the
/// word's lower and upper half.
pub(crate) type Block = [u8; 4 * ROWS];

/// A column of float weights, one little-endian float for each row.
pub(crate) type FloatColumn = [[u8; 4]; ROWS];

/// Activations in the layout of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers<'x> {
    /// A multiple of 16 of them, in the kernel's own order.
    pub values: &'x [i16],
    /// Their sum.
    pub total: i32,
}

/// The products of one instruction set.
pub(crate) trait Kernel: Copy {
    /// Puts activations, up to 8192 either way, into the order in which [`int8`](Self::int8) takes
    /// them.
    fn arrange_int8(self, values: &mut [i16]);

    /// Puts activations, up to 8192 either way, into the order in which [`int4`](Self::int4) takes
    /// them.
    fn arrange_int4(self, values: &mut [i16]);

    /// Multiplies `G` × 16 rows of signed bytes with activations: `G` blocks for each 4 activations.
    fn int8<const G: usize>(
        self,
        weights: &[[Block; G]],
        activations: Integers,
        sums: &mut [[i32; ROWS]; G],
    );

    /// Multiplies `G` × 16 rows of nibbles, less 8 each, with activations: `G` blocks for each 8
    /// activations.
    fn int4<const G: usize>(
        self,
        weights: &[[Block; G]],
        activations: Integers,
        sums: &mut [[i32; ROWS]; G],
    );

    /// Multiplies `G` × 16 rows of floats with activations, in the one defined order. The
    /// activations are two vectors, one after the other, each a multiple of 4 long.
    #[inline(always)]
    fn float<const G: usize>(
        self,
        weights: &[[FloatColumn; G]],
        values: [&[f32]; 2],
    ) -> [[f32; ROWS]; G] {
        portable::float(weights, values)
    }

    /// Updates sixteen LSTM cells: from their gates, in PyTorch's order (input, forget, candidate,
    /// output), before the activation functions, their new state and output.
    #[inline(always)]
    fn cells(
        self,
        [i, f, g, o]: &[[f32; ROWS]; 4],
        state: &mut [f32; ROWS],
        output: &mut [f32; ROWS],
    ) {
        // Function by function, so that compilers vectorise each.
        let (i, f, g, o) = (i.map(sigmoid), f.map(sigmoid), g.map(tanh), o.map(sigmoid));
        for unit in 0..ROWS {
            state[unit] = f[unit] * state[unit] + i[unit] * g[unit];
        }
        let squashed = state.map(tanh);
        for unit in 0..ROWS {
            output[unit] = o[unit] * squashed[unit];
        }
    }

    /// Runs `work` compiled for this instruction set.
    fn run<W: Work>(self, work: W) -> W::Output;
}

/// Work that is compiled once for each instruction set.
pub(crate) trait Work {
    /// Its result.
    type Output;
    /// Does the work. Implementations are `#[inline(always)]`, so that they are compiled with the
    /// target features of the function in which [`Kernel::run`] calls them.
    fn with<K: Kernel>(self, kernel: K) -> Self::Output;
}

/// An instruction set that a network can run on. All of them compute the same bits.
#[derive(Clone, Copy, Debug)]
pub struct Isa(Choice);

/// Makes [`Choice`] from a line for each instruction set, the fastest first.
macro_rules! choices {
    ($($(#[$cfg:meta])? $choice:ident: $kernel:ty, $name:literal;)+) => {
        /// The instruction set; the payload proves that the machine has it.
        #[derive(Clone, Copy, Debug)]
        enum Choice {
            $($(#[$cfg])? $choice($kernel),)+
        }

        impl Choice {
            fn available() -> impl Iterator<Item = Self> {
                let candidates = [$($(#[$cfg])? <$kernel>::detect().map(Self::$choice),)+];
                candidates.into_iter().flatten()
            }

            fn name(self) -> &'static str {
                match self {
                    $($(#[$cfg])? Self::$choice(_) => $name,)+
                }
            }

            #[inline]
            fn run<W: Work>(self, work: W) -> W::Output {
                match self {
                    $($(#[$cfg])? Self::$choice(kernel) => kernel.run(work),)+
                }
            }
        }
    };
}

choices! {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni: x86_64::Avx512Vnni, "avx512-vnni";
    #[cfg(target_arch = "x86_64")]
    Avx512: x86_64::Avx512, "avx512";
    #[cfg(target_arch = "x86_64")]
    Avx2: x86_64::Avx2, "avx2";
    #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
    NeonDotprod: aarch64::NeonDotprod, "neon-dotprod";
    #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
    Neon: aarch64::Neon, "neon";
    #[cfg(all(target_arch = "arm", feature = "cortex-m-dsp"))]
    CortexM: cortex_m::CortexM, "cortex-m-dsp";
    // Boards have no flash for a second copy of everything.
    #[cfg(not(all(target_arch = "arm", feature = "cortex-m-dsp")))]
    Portable: portable::Portable, "portable";
}

impl Isa {
    /// Portable Rust, on every machine; not with the feature `cortex-m-dsp` on Arm, whose firmware has
    /// room for one kernel.
    #[cfg(not(all(target_arch = "arm", feature = "cortex-m-dsp")))]
    pub const PORTABLE: Self = Self(Choice::Portable(portable::Portable));

    #[cfg(not(all(target_arch = "arm", feature = "cortex-m-dsp")))]
    const LAST: Self = Self::PORTABLE;
    #[cfg(all(target_arch = "arm", feature = "cortex-m-dsp"))]
    const LAST: Self = Self(Choice::CortexM(cortex_m::CortexM));

    /// The instruction sets of this machine, fastest first: detected at run time with `std`, chosen at
    /// compile time without.
    pub fn available() -> impl Iterator<Item = Self> {
        Choice::available().map(Self)
    }

    /// The fastest instruction set of this machine.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::LAST)
    }

    /// Name in lower case.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Reads all bytes as fast as this instruction set can, and folds them into a number: the memory
    /// bandwidth, which bounds a network's speed.
    pub fn read(self, bytes: &[u8]) -> u64 {
        self.run(Read(bytes))
    }

    /// Whether its loops require word-aligned weights.
    pub(crate) fn needs_whole_words(self) -> bool {
        cfg!(all(target_arch = "arm", feature = "cortex-m-dsp"))
    }

    /// Runs work on this instruction set.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        self.0.run(work)
    }
}

/// Folds bytes, 512 at a time, in enough registers to keep the memory busy.
struct Read<'b>(&'b [u8]);

impl Work for Read<'_> {
    type Output = u64;

    #[inline(always)]
    fn with<K: Kernel>(self, _: K) -> u64 {
        let mut folded = [0u64; 64];
        for chunk in self.0.as_chunks::<8>().0.as_chunks::<64>().0 {
            for (folded, bytes) in folded.iter_mut().zip(chunk) {
                *folded ^= u64::from_le_bytes(*bytes);
            }
        }
        folded.into_iter().fold(0, |all, part| all ^ part)
    }
}

/// Swaps the middle two of each four activations: the order of kernels that separate the even and
/// the odd bytes of a word, sign-extended to 16 bits.
#[allow(dead_code, reason = "not every target has such a kernel")]
#[inline(always)]
fn arrange_even_odd(values: &mut [i16]) {
    values.as_chunks_mut::<4>().0.iter_mut().for_each(|four| four.swap(1, 2));
}

/// Splits activations into signed bytes, 128 · high + low, for kernels that multiply bytes. For each
/// group of `order.len()` activations, the high bytes of the columns in `order` come first, then
/// their low bytes, four by four.
#[allow(dead_code, reason = "not every target has such a kernel")]
#[inline(always)]
fn arrange_bytes<const WIDTH: usize>(values: &mut [i16], order: [usize; WIDTH]) {
    for values in values.as_chunks_mut::<WIDTH>().0 {
        let old = *values;
        let fours = values.as_chunks_mut::<4>().0.iter_mut().zip(order.as_chunks::<4>().0);
        for (new, order) in fours {
            let high = order.map(|column| (old[column] >> 7) as u8);
            let low = order.map(|column| (old[column] & 127) as u8);
            *new = [[high[0], high[1]], [high[2], high[3]], [low[0], low[1]], [low[2], low[3]]]
                .map(i16::from_le_bytes);
        }
    }
}

/// Order of the columns of a word of nibbles when its even nibbles, then its odd ones, are unpacked
/// to bytes.
#[allow(dead_code, reason = "not every target has such a kernel")]
const NIBBLE_BYTES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::Pcg32;
    use rand_pcg::rand_core::Rng;
    use std::vec::Vec;

    /// Both products with the same activations.
    struct Multiply<'a, const G: usize>([&'a [[Block; G]]; 2], &'a [i16]);

    impl<const G: usize> Work for Multiply<'_, G> {
        type Output = [[[i32; ROWS]; G]; 2];
        #[inline(always)]
        fn with<K: Kernel>(self, kernel: K) -> Self::Output {
            let Self([bytes, nibbles], values) = self;
            let total = values.iter().map(|&value| i32::from(value)).sum();
            let (mut for_bytes, mut for_nibbles) = (values.to_vec(), values.to_vec());
            kernel.arrange_int8(&mut for_bytes);
            kernel.arrange_int4(&mut for_nibbles);
            let mut sums = [[[1; ROWS]; G]; 2];
            let [of_bytes, of_nibbles] = &mut sums;
            kernel.int8(bytes, Integers { values: &for_bytes, total }, of_bytes);
            kernel.int4(nibbles, Integers { values: &for_nibbles, total }, of_nibbles);
            sums
        }
    }

    /// The sums according to the definition.
    fn expected<const G: usize>(
        values: &[i16],
        weight: impl Fn(usize, usize, usize) -> i32,
    ) -> [[i32; ROWS]; G] {
        core::array::from_fn(|group| {
            core::array::from_fn(|row| {
                let products = (0..values.len())
                    .map(|column| weight(group, row, column) * i32::from(values[column]));
                products.fold(0, i32::wrapping_add)
            })
        })
    }

    fn gives_the_exact_sums<const G: usize>() {
        let mut rng = Pcg32::new(1, 1);
        let all = [16, 32, 48, 304, 512, 1024, 2048];
        for &columns in if cfg!(miri) { &all[..3] } else { &all[..] } {
            // The sums of the last one wrap.
            for extreme in [None, Some(8192), Some(-8192)] {
                let mut random = |extreme_byte: u8, blocks: usize| -> Vec<[Block; G]> {
                    let mut byte = || match extreme {
                        Some(_) => extreme_byte,
                        None => (rng.next_u32() >> 24) as u8,
                    };
                    let mut block = || core::array::from_fn(|_| byte());
                    (0..blocks).map(|_| core::array::from_fn(|_| block())).collect()
                };
                let bytes = random(0x80, columns / 4);
                let nibbles = random(0x0f, columns / 8);
                let mut random = || (rng.next_u32() % 16385) as i16 - 8192;
                let values: Vec<i16> =
                    (0..columns).map(|_| extreme.unwrap_or_else(&mut random)).collect();
                let expected = [
                    expected(&values, |group, row, column| {
                        i32::from(bytes[column / 4][group][4 * row + column % 4] as i8)
                    }),
                    expected(&values, |group, row, column| {
                        let word = nibbles[column / 8][group].as_chunks().0[row];
                        let at = 16 * (column % 2) + 4 * (column % 8 / 2);
                        (u32::from_le_bytes(word) >> at & 15) as i32 - ZERO_POINT
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

    #[test]
    fn every_kernel_gives_the_exact_sums() {
        gives_the_exact_sums::<1>();
        gives_the_exact_sums::<4>();
    }
}
