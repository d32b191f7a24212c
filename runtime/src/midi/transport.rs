//! Start, stop, continue and panic: the same on boards and hosts.

use crate::midi::event::TransportCommand;
use crate::midi::player::Player;
use crate::midi::time::{Instant, Micros};

/// The state of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportState {
    /// Playing.
    Playing,
    /// Silent until a key (if keys are an input) or a command starts it.
    Waiting,
    /// Silent until a command starts it.
    Stopped,
}

/// The state of a performance; commands change it and its player.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    state: TransportState,
    /// The state in which it starts and to which it continues.
    rest: TransportState,
    /// When everything was last silenced.
    silenced: Instant,
}

impl Transport {
    /// A panic silences everything at most once in this time, unless a note has started since: an
    /// instrument that echoes messages in another form cannot keep the port busy.
    pub const SILENCE: Micros = Micros::from_millis(1_000);

    /// A transport in a state to which [`TransportCommand::Continue`] returns.
    pub const fn new(rest: TransportState) -> Self {
        Self { state: rest, rest, silenced: Instant::START }
    }

    /// The state.
    pub const fn state(&self) -> TransportState {
        self.state
    }

    /// Whether notes are to be played.
    pub fn is_playing(&self) -> bool {
        self.state == TransportState::Playing
    }

    /// Sets the state, as when a player who plays along starts or pauses.
    pub fn set(&mut self, state: TransportState) {
        self.state = state;
    }

    /// Executes a command; returns whether the player's waiting notes were dropped.
    #[inline(never)] // boards have no flash for a copy at every call
    pub fn command<const AHEAD: usize, const VOICES: usize>(
        &mut self,
        command: TransportCommand,
        player: &mut Player<AHEAD, VOICES>,
        now: Instant,
    ) -> bool {
        match command {
            TransportCommand::Continue if self.is_playing() => return false,
            TransportCommand::Continue => self.state = self.rest,
            TransportCommand::Start => self.state = TransportState::Playing,
            TransportCommand::Stop => self.state = TransportState::Stopped,
            TransportCommand::Panic => {
                self.state = TransportState::Waiting;
                let lately = now < self.silenced + Self::SILENCE;
                if player.has_started() || !lately && !player.is_silencing() {
                    self.silenced = now;
                    player.panic(now); // which stops it
                    return true;
                }
            }
        }
        player.stop(now);
        true
    }
}
