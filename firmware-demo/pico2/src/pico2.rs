//! The board: its peripherals, and the application's interface to them.

use core::mem;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use embedded_hal::digital::{InputPin, OutputPin};
use pianola_firmware::{Board, Knobs};
use pianola_runtime::{Instant, Micros, ModelError};
use rp235x_hal::adc::{Adc, AdcChannel, AdcPin};
use rp235x_hal::clocks::init_clocks_and_plls;
use rp235x_hal::fugit::{HertzU32, MicrosDurationU32};
use rp235x_hal::gpio::bank0::{Gpio15, Gpio22, Gpio25, Gpio26, Gpio27};
use rp235x_hal::gpio::{
    FunctionSioInput, FunctionSioOutput, OutputDriveStrength, Pin, PinState, Pins, PullDown,
    PullNone, PullUp,
};
use rp235x_hal::pac::uart0::RegisterBlock;
use rp235x_hal::pac::{Peripherals, SIO, UART0, UART1};
use rp235x_hal::rom_data::sys_info_api::boot_random;
use rp235x_hal::timer::{CopyableTimer0, Timer};
use rp235x_hal::uart::{self, DataBits, StopBits, UartConfig, UartPeripheral};
use rp235x_hal::{Clock, Sio, Watchdog};

use crate::knob::Knob;

/// Frequency of the crystal.
const CRYSTAL: u32 = 12_000_000;

/// Processor frequency that the HAL sets.
const CORE: u32 = 150_000_000;

/// Watchdog period while the model is checked. 5.8 MB take half a second, or 7.4 s if the boot ROM
/// has set up only its slowest flash read mode, 0.8 MB/s. The longest period of the watchdog is
/// 8.3 s.
const CHECKING: MicrosDurationU32 = MicrosDurationU32::millis(8000);

/// Watchdog period afterwards, when it is fed every few milliseconds.
const PLAYING: MicrosDurationU32 = MicrosDurationU32::millis(250);

/// Interval between measurements of the knobs.
const MEASURING: Micros = Micros::from_millis(10);

type Contact<P> = Pin<P, FunctionSioInput, PullUp>;
type Wiper<P> = AdcPin<Pin<P, FunctionSioInput, PullNone>>;

/// The board, with the positions of its knobs.
pub struct Pico2 {
    timer: Timer<CopyableTimer0>,
    watchdog: Watchdog,
    /// Whether the watchdog has been fed.
    fed: bool,
    /// Drawn by the boot ROM, and different at each start.
    random: u64,
    midi: UART0,
    words: UART1,
    light: Pin<Gpio25, FunctionSioOutput, PullDown>,
    button: Contact<Gpio15>,
    /// Closed if knobs are fitted: otherwise the measurements are noise.
    fitted: Contact<Gpio22>,
    converter: Adc,
    wipers: (Wiper<Gpio26>, Wiper<Gpio27>),
    /// Temperature and density, once measured.
    knobs: (Option<Knob>, Option<Knob>),
    /// Time of their next measurement.
    due: Instant,
}

impl Pico2 {
    /// Takes the board's peripherals and starts it; `None` if it does not start.
    pub fn take() -> Option<Self> {
        let chip = Peripherals::take()?;
        let mut resets = chip.RESETS;
        let mut watchdog = Watchdog::new(chip.WATCHDOG);
        let clocks = init_clocks_and_plls(
            CRYSTAL,
            chip.XOSC,
            chip.CLOCKS,
            chip.PLL_SYS,
            chip.PLL_USB,
            &mut resets,
            &mut watchdog,
        );
        let clocks = clocks.ok()?;
        watchdog.start(CHECKING);
        wake_often(cortex_m::Peripherals::take()?.SYST);

        let bank = Sio::new(chip.SIO).gpio_bank0;
        let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, bank, &mut resets);
        // Reduces the ripple of the power supply, and so of the reference for the knobs.
        pins.gpio23.into_push_pull_output_in_state(PinState::High);

        let mut tx = pins.gpio0.into_function();
        // The optocoupler at the other end draws up to 8 mA through its 220 Ω and our 43 Ω.
        tx.set_drive_strength(OutputDriveStrength::TwelveMilliAmps);
        // Pulled up, the line is quiet where there is no MIDI IN.
        let rx = pins.gpio1.into_function().into_pull_type::<PullUp>();
        let word_pins = uart::Pins::default().tx(pins.gpio4.into_function());
        let frequency = clocks.peripheral_clock.freq();
        let midi = UartPeripheral::new(chip.UART0, (tx, rx), &mut resets);
        let words = UartPeripheral::new(chip.UART1, word_pins, &mut resets);

        Some(Self {
            timer: Timer::new_timer0(chip.TIMER0, &mut resets, &clocks),
            watchdog,
            fed: false,
            random: boot_random().ok().flatten().map_or(0, |random| random.0 as u64),
            midi: midi.enable(format(31_250), frequency).ok()?.free().0,
            words: words.enable(format(115_200), frequency).ok()?.free().0,
            light: pins.gpio25.into_push_pull_output(),
            button: pins.gpio15.into_pull_up_input(),
            fitted: pins.gpio22.into_pull_up_input(),
            converter: Adc::new(chip.ADC, &mut resets),
            wipers: (
                AdcPin::new(pins.gpio26.into_floating_input()).ok()?,
                AdcPin::new(pins.gpio27.into_floating_input()).ok()?,
            ),
            knobs: (None, None),
            due: Instant::START,
        })
    }

    /// Measures the knobs if they are fitted and a measurement is due. Each takes two microseconds.
    fn measure_knobs(&mut self) {
        let now = self.now();
        let Ok(fitted) = self.fitted.is_low();
        if fitted && now >= self.due {
            self.due = now + MEASURING;
            measure(&mut self.knobs.0, &mut self.converter, &mut self.wipers.0);
            measure(&mut self.knobs.1, &mut self.converter, &mut self.wipers.1);
        }
    }
}

impl Board for Pico2 {
    fn now(&mut self) -> Instant {
        Instant::from_micros(self.timer.get_counter().ticks())
    }

    fn seed(&mut self) -> u64 {
        self.random ^ self.now().as_micros()
    }

    fn send(&mut self, byte: u8) -> bool {
        send(&self.midi, byte)
    }

    /// A byte received with an error ends its message, which is lost.
    fn receive(&mut self) -> Option<u8> {
        if self.midi.uartfr().read().rxfe().bit_is_set() {
            return None;
        }
        let data = self.midi.uartdr().read();
        let damaged = data.fe().bit_is_set() || data.be().bit_is_set() || data.oe().bit_is_set();
        // End of exclusive: data bytes that follow belong to no earlier status.
        Some(if damaged { 0xf7 } else { data.data().bits() })
    }

    fn knobs(&mut self) -> Knobs {
        self.measure_knobs();
        let (temperature, density) = &self.knobs;
        Knobs {
            temperature: temperature.as_ref().map(Knob::position),
            density: density.as_ref().map(Knob::position),
        }
    }

    fn button(&mut self) -> bool {
        let Ok(down) = self.button.is_low();
        down
    }

    fn light(&mut self, on: bool) {
        let Ok(()) = self.light.set_state(on.into());
    }

    fn feed_watchdog(&mut self) {
        if mem::replace(&mut self.fed, true) {
            self.watchdog.feed();
        } else {
            self.watchdog.start(PLAYING);
        }
    }

    fn report(&mut self, error: &ModelError) {
        for byte in error.cause().bytes().chain(*b"\r\n") {
            while !send(&self.words, byte) {}
        }
    }

    fn idle(&mut self) {
        cortex_m::asm::wfi();
    }
}

/// Wakes the core four times per millisecond.
fn wake_often(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CORE / 4000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// Eight bits, no parity, one stop bit.
fn format(baud: u32) -> UartConfig {
    UartConfig::new(HertzU32::from_raw(baud), DataBits::Eight, None, StopBits::One)
}

/// Sends a byte if there is room. The HAL's own function has a check that could panic.
fn send(serial: &RegisterBlock, byte: u8) -> bool {
    let room = serial.uartfr().read().txff().bit_is_clear();
    if room {
        // SAFETY: every byte is a valid value.
        serial.uartdr().write(|data| unsafe { data.data().bits(byte) });
    }
    room
}

fn measure(knob: &mut Option<Knob>, converter: &mut Adc, wiper: &mut impl AdcChannel) {
    // A failed conversion is repeated soon.
    let Ok(measured) = converter.read(wiper) else { return };
    match knob {
        Some(knob) => knob.measure(measured),
        None => *knob = Some(Knob::new(measured)),
    }
}

/// The flash after the program, to the end of its address space; the model is at its start.
pub fn model_region() -> &'static [u8] {
    unsafe extern "C" {
        /// From the memory map.
        #[link_name = "model_region"]
        static REGION: [u8; (16 << 20) - (128 << 10)];
    }
    // SAFETY: all of it is mapped (a smaller flash repeats), and nothing writes to it.
    unsafe { &REGION }
}

/// Resets the board, which silences all notes, after a moment with the light on.
pub fn restart() -> ! {
    const LIGHT: u32 = 1 << 25;
    // SAFETY: nothing else uses the pins any more.
    let pins = unsafe { &*SIO::ptr() };
    // SAFETY: every bit may be set; this one is a pin.
    pins.gpio_out_set().write(|pins| unsafe { pins.bits(LIGHT) });
    cortex_m::asm::delay(CORE / 4);
    rp235x_hal::reset()
}
