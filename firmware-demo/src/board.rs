//! What the application needs of a board.

use pianola_runtime::{Instant, ModelError};

/// A board with a MIDI port.
pub trait Board {
    /// The time since some moment; never goes back.
    fn now(&mut self) -> Instant;

    /// A number to start a piece from, different each time.
    fn seed(&mut self) -> u64;

    /// Takes a byte for MIDI OUT; returns whether there was room. Does not wait.
    fn send(&mut self, byte: u8) -> bool;

    /// The next byte from MIDI IN, if one has come.
    fn receive(&mut self) -> Option<u8> {
        None
    }

    /// How the knobs stand.
    fn knobs(&mut self) -> Knobs {
        Knobs::default()
    }

    /// Whether the button is held down.
    fn button(&mut self) -> bool {
        false
    }

    /// Turns the status light on or off.
    fn light(&mut self, on: bool);

    /// Tells the watchdog that all is well; it comes every few milliseconds.
    fn feed_watchdog(&mut self) {}

    /// Says why nothing is played, on whatever the board has for messages.
    fn report(&mut self, error: &ModelError);

    /// Sleeps for up to a quarter of a millisecond.
    fn idle(&mut self) {}

    /// Whether to go on. Boards do until they are switched off; tests end.
    fn is_on(&self) -> bool {
        true
    }
}

/// Positions of the knobs, 0 to 127; `None` of one that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knobs {
    /// For the temperature.
    pub temperature: Option<u8>,
    /// For the density.
    pub density: Option<u8>,
}
