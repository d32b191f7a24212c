//! Cortex-M with the DSP extension: M4, M7, M33.
//!
//! `SMLAD` adds two products of 16 bits to a sum. Bytes are sign-extended in pairs, the even ones
//! and the odd ones of a word (`SXTB16`); nibbles come out in pairs by an `AND` with a shifted
//! operand. All fourteen registers are in use, so the loops are assembly that
//! saves them all.
#![allow(unsafe_code)]

use core::arch::asm;

use crate::math::{sigmoid, tanh};

use super::{Block, Integers, Kernel, ROWS, Work, ZERO_POINT, arrange_even_odd};

/// The kernel of boards whose firmware turns on the feature `cortex-m-dsp`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CortexM;

impl CortexM {
    /// Always available: the feature `cortex-m-dsp` guarantees it.
    pub fn detect() -> Option<Self> {
        Some(Self)
    }
}

/// Rows that the loops process at once.
const QUAD: usize = 4;

/// Sums the products of four rows with activations. All four sums start from the value of the first.
///
/// # Safety
/// `weights` and `activations` are word-aligned. `weights` points to `steps` blocks, one every
/// `STRIDE` bytes, and `activations` to one activation for each of their columns. `steps` is a
/// multiple of 4 for bytes, of 2 for nibbles, and not 0.
type Multiply =
    unsafe fn(weights: *const u8, activations: *const i16, steps: usize, sums: &mut [i32; QUAD]);

impl Kernel for CortexM {
    #[inline(always)]
    fn arrange_int8(self, values: &mut [i16]) {
        arrange_even_odd(values);
    }

    #[inline(always)]
    fn arrange_int4(self, _: &mut [i16]) {}

    #[inline(always)]
    fn int8<const G: usize>(
        self,
        weights: &[[Block; G]],
        activations: Integers,
        sums: &mut [[i32; ROWS]; G],
    ) {
        let multiply: Multiply = if G == 1 { int8::<64> } else { int8::<256> };
        quads::<G, 4>(multiply, weights, activations, 0, sums);
    }

    #[inline(always)]
    fn int4<const G: usize>(
        self,
        weights: &[[Block; G]],
        activations: Integers,
        sums: &mut [[i32; ROWS]; G],
    ) {
        let multiply: Multiply = if G == 1 { int4::<64> } else { int4::<256> };
        quads::<G, 8>(multiply, weights, activations, -ZERO_POINT * activations.total, sums);
    }

    /// Cell by cell: there are no vectors to fill, and all values of a cell fit the registers.
    #[inline(never)]
    fn cells(self, gates: &[[f32; ROWS]; 4], state: &mut [f32; ROWS], output: &mut [f32; ROWS]) {
        let [i, f, g, o] = gates;
        let inputs = i.iter().zip(f).zip(g).zip(o);
        for ((((i, f), g), o), (state, output)) in inputs.zip(state.iter_mut().zip(output)) {
            *state = sigmoid(*f) * *state + sigmoid(*i) * tanh(*g);
            *output = sigmoid(*o) * tanh(*state);
        }
    }

    #[inline(always)]
    fn run<W: Work>(self, work: W) -> W::Output {
        work.with(self)
    }
}

/// Multiplies four rows at a time. Slices whose lengths do not match, or that are not word-aligned,
/// leave the sums alone: a network has neither.
#[inline(always)]
fn quads<const G: usize, const WIDTH: usize>(
    multiply: Multiply,
    weights: &[[Block; G]],
    activations: Integers,
    start: i32,
    sums: &mut [[i32; ROWS]; G],
) {
    const { assert!(G == 1 || G == 4) };
    let values = activations.values;
    let fit = values.len() == WIDTH * weights.len() && values.len().is_multiple_of(16);
    let aligned =
        values.as_ptr().cast::<u32>().is_aligned() && weights.as_ptr().cast::<u32>().is_aligned();
    if values.is_empty() || !fit || !aligned {
        return;
    }
    for (group, sums) in sums.iter_mut().enumerate() {
        for (quad, sums) in sums.as_chunks_mut::<QUAD>().0.iter_mut().enumerate() {
            sums[0] = start;
            let offset = group * size_of::<Block>() + quad * 4 * QUAD;
            // SAFETY: as checked; the stride is that of `[Block; G]`, and the quad lies in its
            // first element.
            unsafe {
                let weights = weights.as_ptr().cast::<u8>().add(offset);
                multiply(weights, values.as_ptr(), values.len() / WIDTH, sums);
            }
        }
    }
}

/// [`Multiply`] for bytes, eight blocks per iteration; the first iteration may have four.
#[inline(never)]
unsafe fn int8<const STRIDE: usize>(
    weights: *const u8,
    activations: *const i16,
    steps: usize,
    sums: &mut [i32; QUAD],
) {
    // SAFETY: reads and writes only what [`Multiply`] states, and preserves the stack and all
    // registers but those named.
    unsafe {
        asm!(
            "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11}}",
            "ldr r4, [r3]",
            "mov r5, r4",
            "mov r6, r4",
            "mov r7, r4",
            "tst r2, #4",
            "beq 2f",
            "add r2, r2, #4",
            "b 3f",
            "2:",
            ".irp turn, 0, 1",
            ".if \\turn == 1",
            "3:",
            ".endif",
            ".rept 4",
            "ldrd r10, r11, [r0, #8]",
            "ldrd r8, r9, [r0], #{stride}",
            "ldrd r12, lr, [r1], #8",
            "sxtb16 r3, r8",
            "smlad r4, r3, r12, r4",
            "sxtb16 r3, r8, ror #8",
            "smlad r4, r3, lr, r4",
            "sxtb16 r3, r9",
            "smlad r5, r3, r12, r5",
            "sxtb16 r3, r9, ror #8",
            "smlad r5, r3, lr, r5",
            "sxtb16 r3, r10",
            "smlad r6, r3, r12, r6",
            "sxtb16 r3, r10, ror #8",
            "smlad r6, r3, lr, r6",
            "sxtb16 r3, r11",
            "smlad r7, r3, r12, r7",
            "sxtb16 r3, r11, ror #8",
            "smlad r7, r3, lr, r7",
            ".endr",
            ".endr",
            "subs r2, r2, #8",
            "bne 2b",
            "pop {{r3}}",
            "stm r3, {{r4, r5, r6, r7}}",
            "pop {{r4, r5, r6, r7, r8, r9, r10, r11}}",
            stride = const STRIDE,
            inout("r0") weights => _,
            inout("r1") activations => _,
            inout("r2") steps => _,
            inout("r3") sums => _,
            out("r12") _,
            out("lr") _,
        );
    }
}

/// Instructions that add to a sum the products of every fourth nibble of some weights, shifted right, with a pair of
/// activations. They use `r3`, and the mask in `r2`.
macro_rules! nibbles {
    ($sum:literal, $weights:literal, $activations:literal) => {
        concat!("and r3, r2, ", $weights, "\nsmlad ", $sum, ", r3, ", $activations, ", ", $sum)
    };
}

/// [`Multiply`] for nibbles, eight blocks per iteration; the first iteration may have two, four or
/// six.
#[inline(never)]
unsafe fn int4<const STRIDE: usize>(
    weights: *const u8,
    activations: *const i16,
    steps: usize,
    sums: &mut [i32; QUAD],
) {
    // SAFETY: reads and writes only what [`Multiply`] states, and preserves the stack and all
    // registers but those named.
    unsafe {
        asm!(
            // Behind the sums' address, where the activations end.
            "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11}}",
            "add r4, r1, r2, lsl #4",
            "push {{r4, r5}}",
            "and r12, r2, #7",
            // Pairs of columns: bits 0 to 3 of both half words.
            "mov r2, #0x000f000f",
            "ldr r4, [r3]",
            "mov r5, r4",
            "mov r6, r4",
            "mov r7, r4",
            "cmp r12, #4",
            "bhi 3f",
            "beq 4f",
            "cmp r12, #2",
            "beq 5f",
            "2:",
            ".irp turn, 2, 3, 4, 5",
            ".if \\turn > 2",
            "\\turn\\():",
            ".endif",
            ".rept 2",
            "ldrd r10, r11, [r0, #8]",
            "ldrd r8, r9, [r0], #{stride}",
            "ldrd r12, lr, [r1], #8",
            nibbles!("r4", "r8", "r12"),
            nibbles!("r4", "r8, lsr #4", "lr"),
            nibbles!("r5", "r9", "r12"),
            nibbles!("r5", "r9, lsr #4", "lr"),
            nibbles!("r6", "r10", "r12"),
            nibbles!("r6", "r10, lsr #4", "lr"),
            nibbles!("r7", "r11", "r12"),
            nibbles!("r7", "r11, lsr #4", "lr"),
            "ldrd r12, lr, [r1], #8",
            nibbles!("r4", "r8, lsr #8", "r12"),
            nibbles!("r4", "r8, lsr #12", "lr"),
            nibbles!("r5", "r9, lsr #8", "r12"),
            nibbles!("r5", "r9, lsr #12", "lr"),
            nibbles!("r6", "r10, lsr #8", "r12"),
            nibbles!("r6", "r10, lsr #12", "lr"),
            nibbles!("r7", "r11, lsr #8", "r12"),
            nibbles!("r7", "r11, lsr #12", "lr"),
            ".endr",
            ".endr",
            "ldr r3, [sp]",
            "cmp r1, r3",
            "bne 2b",
            "add sp, sp, #8",
            "pop {{r3}}",
            "stm r3, {{r4, r5, r6, r7}}",
            "pop {{r4, r5, r6, r7, r8, r9, r10, r11}}",
            stride = const STRIDE,
            inout("r0") weights => _,
            inout("r1") activations => _,
            inout("r2") steps => _,
            inout("r3") sums => _,
            out("r12") _,
            out("lr") _,
        );
    }
}
