//! Pianola on the Raspberry Pi Pico 2: `docs/hardware.md` says how to wire and flash it.
#![no_std]
#![no_main]

mod knob;
mod pico2;

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use rp235x_hal::block::ImageDef;

/// Marks the image for the boot ROM as a program, with the processor that it is for.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEF: ImageDef = ImageDef::secure_exe();

#[rp235x_hal::entry]
fn main() -> ! {
    if let Some(mut board) = pico2::Pico2::take() {
        pianola_firmware::run(&mut board, pico2::model_region());
    }
    pico2::restart()
}

/// Only wakes the core.
#[exception]
fn SysTick() {}

/// Resets the board, which silences all notes.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    pico2::restart()
}

/// Handled like a panic: the default would leave notes sounding until the watchdog resets the board.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    pico2::restart()
}
