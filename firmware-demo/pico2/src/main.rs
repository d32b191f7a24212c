//! Pianola on the Raspberry Pi Pico 2: `docs/hardware.md` says how to wire and flash it.
#![no_std]
#![no_main]

mod knob;
mod pico2;

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use rp235x_hal::block::ImageDef;

/// Tells the boot ROM that this is a program, and for which of the chip's processors.
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

/// Starts anew, and so silences whatever sounds.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    pico2::restart()
}

/// As a panic: the default would hold the notes that sound until the watchdog bites.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    pico2::restart()
}
