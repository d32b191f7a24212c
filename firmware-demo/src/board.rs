//! The interface between the application and a board.

use pianola_runtime::{Instant, ModelError};

/// A board with a MIDI port.
pub trait Board {
    /// Monotonic time since an arbitrary point.
    fn now(&mut self) -> Instant;

    /// A seed for a piece, different each time.
    fn seed(&mut self) -> u64;

    /// Sends a byte to MIDI OUT; returns whether there was room. Does not wait.
    fn send(&mut self, byte: u8) -> bool;

    /// The next byte from MIDI IN, if one has arrived.
    fn receive(&mut self) -> Option<u8> {
        None
    }

    /// The positions of the knobs.
    fn knobs(&mut self) -> Knobs {
        Knobs::default()
    }

    /// Whether the button is held down.
    fn button(&mut self) -> bool {
        false
    }

    /// Turns the status light on or off.
    fn light(&mut self, on: bool);

    /// Feeds the watchdog; called every few milliseconds.
    fn feed_watchdog(&mut self) {}

    /// Reports why nothing is played, on the board's log output, if it has one.
    fn report(&mut self, error: &ModelError);

    /// Sleeps for up to a quarter of a millisecond.
    fn idle(&mut self) {}

    /// Whether to continue. Boards continue until they are switched off; tests end.
    fn is_on(&self) -> bool {
        true
    }
}

/// Positions of the knobs, 0 to 127; `None` for a missing knob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knobs {
    /// The temperature knob.
    pub temperature: Option<u8>,
    /// The density knob.
    pub density: Option<u8>,
}
