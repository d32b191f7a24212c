//! The board: its devices, and what the application needs of them.

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

/// Frequency that the HAL runs the processor at.
const CORE: u32 = 150_000_000;

/// What checking the model may take. 5.8 MB take half a second, and 7.4 s if the boot ROM has found
/// no faster way to read this flash than its slowest, 0.8 MB a second. The watchdog knows no more
/// than 8.3 s.
const CHECKING: MicrosDurationU32 = MicrosDurationU32::millis(8000);

/// What may lie between two feeds, of which there is then one every few milliseconds.
const PLAYING: MicrosDurationU32 = MicrosDurationU32::millis(250);

/// From one measurement of the knobs to the next.
const MEASURING: Micros = Micros::from_millis(10);

type Contact<P> = Pin<P, FunctionSioInput, PullUp>;
type Wiper<P> = AdcPin<Pin<P, FunctionSioInput, PullNone>>;

/// The board, and how its knobs stand.
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
    /// Closed if there are knobs: without, what is measured is noise.
    fitted: Contact<Gpio22>,
    converter: Adc,
    wipers: (Wiper<Gpio26>, Wiper<Gpio27>),
    /// Temperature and density, once measured.
    knobs: (Option<Knob>, Option<Knob>),
    /// When they are to be measured again.
    due: Instant,
}

impl Pico2 {
    /// Takes the board and starts it; `None` if it does not start.
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
        // The power supply then ripples less, and with it what knobs are measured against.
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

    /// Measures the knobs if it is time to, and if there are any. Each takes two microseconds.
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

    /// A byte that has come damaged ends its message, which is lost.
    fn receive(&mut self) -> Option<u8> {
        if self.midi.uartfr().read().rxfe().bit_is_set() {
            return None;
        }
        let data = self.midi.uartdr().read();
        let damaged = data.fe().bit_is_set() || data.be().bit_is_set() || data.oe().bit_is_set();
        // End of exclusive: no data bytes that follow belong to a status before it.
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

/// Has the core woken four times a millisecond.
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

/// Sends a byte if there is room. The HAL's way to do this has a check in it that could panic.
fn send(serial: &RegisterBlock, byte: u8) -> bool {
    let room = serial.uartfr().read().txff().bit_is_clear();
    if room {
        // SAFETY: every byte may be sent.
        serial.uartdr().write(|data| unsafe { data.data().bits(byte) });
    }
    room
}

fn measure(knob: &mut Option<Knob>, converter: &mut Adc, wiper: &mut impl AdcChannel) {
    // A conversion that fails is made again soon.
    let Ok(measured) = converter.read(wiper) else { return };
    match knob {
        Some(knob) => knob.measure(measured),
        None => *knob = Some(Knob::new(measured)),
    }
}

/// The flash behind the program, to the end of the address space for it; the model starts it.
pub fn model_region() -> &'static [u8] {
    unsafe extern "C" {
        /// From the memory map.
        #[link_name = "model_region"]
        static REGION: [u8; (16 << 20) - (128 << 10)];
    }
    // SAFETY: all of it is mapped, where the flash is smaller as its repetition, and nothing writes
    // to it.
    unsafe { &REGION }
}

/// Starts the board anew, which silences whatever sounds, after a moment with the light on.
pub fn restart() -> ! {
    const LIGHT: u32 = 1 << 25;
    // SAFETY: nothing else uses the pins any more.
    let pins = unsafe { &*SIO::ptr() };
    // SAFETY: each bit may be set; this one is a pin.
    pins.gpio_out_set().write(|pins| unsafe { pins.bits(LIGHT) });
    cortex_m::asm::delay(CORE / 4);
    rp235x_hal::reset()
}
