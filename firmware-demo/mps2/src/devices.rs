//! The board's devices: registers as in the application notes AN386 and AN505.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use pianola_runtime::Instant;

/// Addresses that differ between the two boards, and clock ticks per microsecond.
#[cfg(not(armv8m))]
mod map {
    pub const TIMER: usize = 0x4000_0000;
    pub const SERIAL: [usize; 3] = [0x4000_4000, 0x4000_5000, 0x4000_6000];
    pub const LEDS: usize = 0x4002_8000;
    pub const TICKS_PER_MICRO: u32 = 25;
}

/// Secure addresses, because the core starts in the secure state.
#[cfg(armv8m)]
mod map {
    pub const TIMER: usize = 0x5000_0000;
    pub const SERIAL: [usize; 3] = [0x5020_0000, 0x5020_1000, 0x5020_2000];
    pub const LEDS: usize = 0x5030_2000;
    pub const TICKS_PER_MICRO: u32 = 20;
}

pub use map::TICKS_PER_MICRO;

/// Offset of the script in the region, after the largest model.
pub const SCRIPT: usize = 15 << 20;

/// All devices, once.
pub struct Devices {
    pub clock: Clock,
    pub midi: Serial,
    pub times: Serial,
    pub words: Serial,
    pub leds: Leds,
}

/// Takes the devices; `None` the second time.
pub fn take() -> Option<Devices> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let first = !TAKEN.swap(true, Ordering::Relaxed);
    first.then(|| {
        let [midi, times, words] = map::SERIAL.map(Serial::new);
        Devices { clock: Clock::new(), midi, times, words, leds: Leds(map::LEDS) }
    })
}

/// The memory that the emulator fills with a model and a script.
pub fn region() -> &'static [u8] {
    unsafe extern "C" {
        /// From the memory map.
        #[link_name = "model_region"]
        static REGION: [u8; 16 << 20];
    }
    // SAFETY: the memory map reserves 16 MB of RAM here, and nothing writes to them.
    unsafe { &REGION }
}

/// A register, by its address.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    fn read(self) -> u32 {
        // SAFETY: only addresses of the map above get here, and these registers may be read.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: only addresses of the map above get here, and writing to these registers does
        // nothing to memory.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}

/// A timer that counts down from its highest value and wraps.
pub struct Clock {
    /// Last value read.
    last: u32,
    /// Ticks since the start.
    ticks: u64,
}

impl Clock {
    const CONTROL: Register = Register(map::TIMER);
    const VALUE: Register = Register(map::TIMER + 0x4);
    const RELOAD: Register = Register(map::TIMER + 0x8);

    fn new() -> Self {
        Self::RELOAD.write(u32::MAX);
        Self::VALUE.write(u32::MAX);
        Self::CONTROL.write(1);
        Self { last: u32::MAX, ticks: 0 }
    }

    /// The time since the start; must be read at least every two minutes.
    pub fn now(&mut self) -> Instant {
        let value = Self::VALUE.read();
        self.ticks += u64::from(self.last.wrapping_sub(value));
        self.last = value;
        self.seen()
    }

    /// Last value read.
    pub fn seen(&self) -> Instant {
        Instant::from_micros(self.ticks / u64::from(TICKS_PER_MICRO))
    }
}

/// A serial port, for both directions.
pub struct Serial {
    data: Register,
    state: Register,
}

impl Serial {
    const TRANSMIT_FULL: u32 = 1;
    const RECEIVE_FULL: u32 = 2;

    fn new(address: usize) -> Self {
        // The baud rate, 31,250: the emulator requires it but does not simulate it.
        Register(address + 0x10).write(TICKS_PER_MICRO * 32);
        // Transmit and receive.
        Register(address + 0x8).write(3);
        Self { data: Register(address), state: Register(address + 0x4) }
    }

    /// Sends a byte if there is room.
    pub fn send(&mut self, byte: u8) -> bool {
        let room = self.state.read() & Self::TRANSMIT_FULL == 0;
        if room {
            self.data.write(byte.into());
        }
        room
    }

    /// Sends a byte, waiting for room.
    pub fn write(&mut self, byte: u8) {
        while !self.send(byte) {}
    }

    /// The byte that has arrived, if any.
    pub fn receive(&mut self) -> Option<u8> {
        (self.state.read() & Self::RECEIVE_FULL != 0).then(|| self.data.read() as u8)
    }

    /// Sends text.
    pub fn print(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.write(byte));
    }

    /// Sends a number in decimal digits.
    pub fn print_number(&mut self, number: u32) {
        if number >= 10 {
            self.print_number(number / 10);
        }
        self.write(b'0' + (number % 10) as u8);
    }
}

/// The board's lights.
pub struct Leds(usize);

impl Leds {
    /// Turns the first on or off.
    pub fn set(&mut self, on: bool) {
        Register(self.0).write(on.into());
    }
}
