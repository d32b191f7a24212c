//! Start, stop, continue and panic: the same on boards and hosts.

use crate::midi::event::TransportCommand;
use crate::midi::player::Player;
use crate::midi::time::{Instant, Micros};

/// Whether music is to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportState {
    /// It plays.
    Playing,
    /// It is silent until a key, where keys are listened to, or a command has it play.
    Waiting,
    /// It is silent until a command has it play.
    Stopped,
}

/// The state of a performance, and what commands make of it and of its player.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    state: TransportState,
    /// Where it starts and continues from.
    rest: TransportState,
    /// When everything was last silenced.
    silenced: Instant,
}

impl Transport {
    /// A panic silences everything once in this time, unless something has started since: instruments
    /// that send back what they get in another form cannot keep the port busy.
    pub const SILENCE: Micros = Micros::from_millis(1_000);

    /// A transport in a state that [`TransportCommand::Continue`] leads back to.
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

    /// Plays, or waits, as someone who plays along has it.
    pub fn set(&mut self, state: TransportState) {
        self.state = state;
    }

    /// Does what is asked for; returns whether what the player had waiting is gone.
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
                    player.panic(now);
                }
            }
        }
        player.stop(now);
        true
    }
}
