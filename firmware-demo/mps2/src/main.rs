//! Pianola on Arm's MPS2 boards, as emulated by QEMU: MIDI on the first serial port, the time of each
//! message on the second, text on the third.
//!
//! The emulator loads the model file into the place of a board's flash, and the [`Script`] after it.
//! With `-icount shift=0` each instruction takes a nanosecond, so emulated time counts instructions.
#![no_std]
#![no_main]

mod devices;
mod stack;

use core::panic::PanicInfo;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use pianola_firmware::{Board, Knobs, run};
use pianola_runtime::{Instant, ModelError};

use devices::{Clock, Leds, Serial, TICKS_PER_MICRO};

/// Parameters of a run, which the emulator loads after the model.
struct Script {
    /// Seed of the first piece; later pieces count up from it.
    seed: u64,
    /// Notes to start before the emulation ends.
    notes: u32,
    /// Microseconds after which the emulation ends in any case.
    time: Instant,
    /// Positions of the knobs.
    knobs: Knobs,
}

/// The board, with counts of its run.
struct Mps2 {
    clock: Clock,
    midi: Serial,
    times: Serial,
    words: Serial,
    leds: Leds,
    script: Script,
    /// Notes started so far.
    notes: u32,
    /// Bytes of the current message yet to be sent.
    left: u8,
}

impl Board for Mps2 {
    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn seed(&mut self) -> u64 {
        let seed = self.script.seed;
        self.script.seed = seed.wrapping_add(1);
        seed
    }

    fn send(&mut self, byte: u8) -> bool {
        if !self.midi.send(byte) {
            return false;
        }
        if byte >= 0x80 {
            (self.now().as_micros() as u32)
                .to_le_bytes()
                .into_iter()
                .for_each(|byte| self.times.write(byte));
            self.left = 3;
            self.notes += u32::from(byte & 0xf0 == 0x90);
        }
        self.left = self.left.saturating_sub(1);
        true
    }

    fn receive(&mut self) -> Option<u8> {
        self.midi.receive()
    }

    fn knobs(&mut self) -> Knobs {
        self.script.knobs
    }

    fn light(&mut self, on: bool) {
        self.leds.set(on);
    }

    fn report(&mut self, error: &ModelError) {
        self.words.print(error.cause());
        self.words.print("\n");
    }

    fn idle(&mut self) {
        cortex_m::asm::wfi();
    }

    fn is_on(&self) -> bool {
        let over = self.notes >= self.script.notes && self.left == 0;
        !over && self.clock.seen() < self.script.time
    }
}

#[entry]
fn main() -> ! {
    let (Some(mut core), Some(devices)) = (cortex_m::Peripherals::take(), devices::take()) else {
        fail()
    };
    // Wakes the core four times per millisecond.
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(250 * TICKS_PER_MICRO - 1);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();

    let (region, script) = devices::region().split_at_checked(devices::SCRIPT).unwrap_or_default();
    let word = |index: usize| {
        let word = script.as_chunks().0.get(index);
        word.map_or(0, |word| u32::from_le_bytes(*word))
    };
    let knob = |index| Some(word(index).min(127) as u8);
    let mut board = Mps2 {
        clock: devices.clock,
        midi: devices.midi,
        times: devices.times,
        words: devices.words,
        leds: devices.leds,
        script: Script {
            seed: word(0).into(),
            notes: word(1),
            time: Instant::from_micros(word(2).into()),
            knobs: Knobs { temperature: knob(3), density: knob(4) },
        },
        notes: 0,
        left: 0,
    };
    run(&mut board, region);

    board.words.print("stack ");
    board.words.print_number(stack::used());
    board.words.print(" of ");
    board.words.print_number(stack::size());
    board.words.print("\n");
    loop {
        debug::exit(EXIT_SUCCESS);
    }
}

fn fail() -> ! {
    loop {
        debug::exit(EXIT_FAILURE);
    }
}

/// Nothing panics: the linker leaves this out, and the tests check that.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    fail()
}

/// Only wakes the core.
#[exception]
fn SysTick() {}

/// Ends the emulation; the default would wait for ever.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    fail()
}
