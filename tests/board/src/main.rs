//! Plays the script of the tests on an emulated board; prints its fingerprint and the number of
//! instructions per note.
//!
//! Counting relies on `qemu-system-arm -icount shift=0`: each instruction takes a nanosecond of the
//! emulated time, so a timer counts instructions.
#![no_std]
#![no_main]

#[path = "../../src/script.rs"]
mod script;

use core::arch::asm;
use core::hint::black_box;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::debug::{self, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;
use panic_semihosting as _;
use pianola_runtime::{Isa, Model, ModelError};

/// Number of notes to count; each takes nearly the same.
const COUNTED: u32 = 16;

#[entry]
fn main() -> ! {
    if let Err(error) = run() {
        panic!("{error}");
    }
    loop {
        debug::exit(EXIT_SUCCESS);
    }
}

fn run() -> Result<(), ModelError> {
    hprintln!("crc32 {:08x}", script::fingerprint(model_file())?);

    let model = Model::from_bytes(model_file())?;
    let Some(Peripherals { SYST: timer, .. }) = Peripherals::take() else { return Ok(()) };
    let mut counter = Counter::new(timer);
    let mut piece = script::counted_piece(Isa::best(), &model)?;
    let counts = (0..COUNTED).map(|_| counter.count(|| piece.next()));
    hprintln!("instructions {}", counts.sum::<u64>() / u64::from(COUNTED));
    Ok(())
}

/// The file that the emulator has loaded into memory, after a word with its length.
fn model_file() -> &'static [u8] {
    unsafe extern "C" {
        /// From the memory map.
        #[link_name = "model_region"]
        static REGION: [u8; 16 << 20];
    }
    // SAFETY: the memory map reserves 16 MB of RAM here, and nothing writes to them.
    let region = unsafe { &REGION };
    let (length, file) = region.split_at(64);
    let length = length.first_chunk().map_or(0, |&length| u32::from_le_bytes(length));
    file.get(..length as usize).unwrap_or_default()
}

/// Counts instructions with the SysTick timer.
struct Counter {
    timer: SYST,
    /// Ticks of [`LOOP`] instructions.
    ticks_of_loop: u64,
}

/// Instructions of the calibration loop.
const LOOP: u32 = 4_000_000;

impl Counter {
    fn new(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00ff_ffff);
        timer.enable_counter();
        let mut counter = Self { timer, ticks_of_loop: 1 };
        // SAFETY: changes nothing but its own register and the flags.
        counter.ticks_of_loop = counter.ticks(|| unsafe {
            asm!("2: subs {0}, #1", "bne 2b", inout(reg) LOOP / 2 => _, options(nomem, nostack));
        });
        // The calibration must also hold for other instructions, branches and lengths.
        let length = LOOP / 10 * 6;
        let word = 0u32;
        // SAFETY: reads one word, and changes nothing but its own registers and the flags.
        let counted = counter.count(|| unsafe {
            asm!(
                "2: ldr {0}, [{1}]",
                "umull {0}, {3}, {0}, {0}",
                "mla {0}, {0}, {0}, {0}",
                "nop",
                "subs {2}, #1",
                "bne 2b",
                out(reg) _,
                in(reg) &word,
                inout(reg) length / 6 => _,
                out(reg) _,
                options(readonly, nostack),
            );
        });
        let error = counted.abs_diff(u64::from(length));
        assert!(error < 1000, "{length} instructions counted as {counted}: is -icount on?");
        counter
    }

    /// Number of instructions of a closure.
    fn count<T>(&mut self, work: impl FnOnce() -> T) -> u64 {
        self.ticks(work) * u64::from(LOOP) / self.ticks_of_loop
    }

    fn ticks<T>(&mut self, work: impl FnOnce() -> T) -> u64 {
        self.timer.clear_current();
        black_box(work());
        let ticks = SYST::get_reload() - SYST::get_current();
        assert!(!self.timer.has_wrapped(), "too long for the timer");
        u64::from(ticks)
    }
}

/// Ends the emulation; the default would wait for ever.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    panic!("hard fault: {frame:?}");
}
