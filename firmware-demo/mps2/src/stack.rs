//! Stack usage: the whole stack is painted at the start.
#![allow(unsafe_code)]

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    /// The lowest address of the stack, from the linker.
    static _stack_end: u32;
    /// The address after the highest.
    static _stack_start: u32;
}

/// Size of the stack, in bytes.
pub fn size() -> u32 {
    (&raw const _stack_start).addr().wrapping_sub((&raw const _stack_end).addr()) as u32
}

/// Peak usage, in bytes.
pub fn used() -> u32 {
    let words = size() / 4;
    let painted = (0..words).take_while(|&word| {
        // SAFETY: within the stack; read past the compiler's assumptions about it.
        let value = unsafe { (&raw const _stack_end).add(word as usize).read_volatile() };
        value == STACK_PAINT_VALUE
    });
    size() - 4 * painted.count() as u32
}
