//! The commands in MIDI messages.

use crate::midi::controls::Control;
use crate::midi::message::{Message, controller};

/// The effect of a message on a performance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A key is pressed: its pitch and velocity.
    Press(u8, u8),
    /// A key is released: its pitch.
    Release(u8),
    /// Set a control to a controller's value.
    Set(Control, u8),
    /// Start, stop, continue or silence.
    Transport(TransportCommand),
}

/// A command that starts or stops a performance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportCommand {
    /// Start another piece.
    Start,
    /// Continue playing.
    Continue,
    /// Stop playing.
    Stop,
    /// Silence everything and stop playing.
    Panic,
}

/// The function assigned to a controller number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// It sets a control.
    Control(Control),
    /// It silences everything, whatever its value.
    Panic,
}

impl Assignment {
    /// The function of a number without a controller map.
    pub fn default_of(number: u8) -> Option<Self> {
        match number {
            controller::ALL_SOUND_OFF | controller::ALL_NOTES_OFF => Some(Self::Panic),
            _ => Control::numbered(number).map(Self::Control),
        }
    }
}

/// The input channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels(u16);

impl Channels {
    /// No channel.
    pub const NONE: Self = Self(0);

    /// All sixteen.
    pub const ALL: Self = Self(u16::MAX);

    /// All but channel 10 (counted from 1): its notes are percussion, not pitches.
    pub const PITCHED: Self = Self(!(1 << 9));

    /// These and another, 0 to 15.
    #[must_use]
    pub const fn with(self, channel: u8) -> Self {
        Self(self.0 | 1 << (channel & 15))
    }

    /// Whether a message is on one of them; system messages are on all.
    pub fn contain(self, message: Message) -> bool {
        message.channel().is_none_or(|channel| self.0 >> channel & 1 == 1)
    }
}

impl Event {
    /// The event of a message, if any, with this assignment of controllers.
    pub fn of(message: Message, assigned: impl Fn(u8) -> Option<Assignment>) -> Option<Self> {
        Some(match message {
            Message::NoteOn { pitch, velocity, .. } => Self::Press(pitch, velocity),
            Message::NoteOff { pitch, .. } => Self::Release(pitch),
            Message::Control { number, value, .. } => match assigned(number)? {
                Assignment::Control(control) => Self::Set(control, value),
                Assignment::Panic => Self::Transport(TransportCommand::Panic),
            },
            Message::Start => Self::Transport(TransportCommand::Start),
            Message::Continue => Self::Transport(TransportCommand::Continue),
            Message::Stop => Self::Transport(TransportCommand::Stop),
            Message::Reset => Self::Transport(TransportCommand::Panic),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_ask_for_something() {
        let panic = Some(Event::Transport(TransportCommand::Panic));
        let cases = [
            (Message::note_on(60, 80), Some(Event::Press(60, 80))),
            (Message::note_off(60), Some(Event::Release(60))),
            (Message::control(21, 9), Some(Event::Set(Control::Density, 9))),
            (Message::control(120, 0), panic),
            (Message::control(123, 127), panic),
            (Message::control(64, 127), None),
            (Message::Start, Some(Event::Transport(TransportCommand::Start))),
            (Message::Reset, panic),
            (Message::Clock, None),
        ];
        for (message, event) in cases {
            assert_eq!(Event::of(message, Assignment::default_of), event, "{message:?}");
        }
    }

    #[test]
    fn percussion_is_no_pitch() {
        let on = |channel| Message::note_on(36, 80).on_channel(channel);
        let heard = (0..16).filter(|&channel| Channels::PITCHED.contain(on(channel)));
        assert!(heard.eq((0..9).chain(10..16)));
        assert!(Channels::NONE.contain(Message::Stop) && !Channels::NONE.contain(on(3)));
        assert!(Channels::NONE.with(3).contain(on(3)));
    }
}
