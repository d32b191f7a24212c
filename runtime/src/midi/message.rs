//! MIDI messages, typed.

/// Numbers of controllers that the MIDI specification defines.
pub mod controller {
    /// Sustain pedal: 64 and above is down.
    pub const SUSTAIN: u8 = 64;
    /// Sostenuto pedal.
    pub const SOSTENUTO: u8 = 66;
    /// Soft pedal.
    pub const SOFT: u8 = 67;
    /// Channel mode message: all sound off.
    pub const ALL_SOUND_OFF: u8 = 120;
    /// Channel mode message: all notes off.
    pub const ALL_NOTES_OFF: u8 = 123;
    /// The pedals that hold notes or change their sound.
    pub const PEDALS: [u8; 3] = [SUSTAIN, SOSTENUTO, SOFT];
}

/// A MIDI message. Channels count from 0 to 15, all data from 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the MIDI specification
pub enum Message {
    /// A key is released.
    NoteOff { channel: u8, pitch: u8, velocity: u8 },
    /// A key is pressed, at a velocity of at least 1.
    NoteOn { channel: u8, pitch: u8, velocity: u8 },
    /// Polyphonic key pressure.
    KeyPressure { channel: u8, pitch: u8, pressure: u8 },
    /// Control change, or a channel mode message.
    Control { channel: u8, number: u8, value: u8 },
    /// Program change.
    Program { channel: u8, number: u8 },
    /// Channel pressure.
    Pressure { channel: u8, pressure: u8 },
    /// Pitch bend: its low and its high seven bits.
    Bend { channel: u8, low: u8, high: u8 },
    /// Timing clock.
    Clock,
    /// Start from the beginning.
    Start,
    /// Continue where it stopped.
    Continue,
    /// Stop.
    Stop,
    /// Active sensing.
    ActiveSensing,
    /// System reset.
    Reset,
}

/// The velocity of a release that has none of its own.
pub const RELEASE_VELOCITY: u8 = 64;

/// The bytes of a message: one to three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    bytes: [u8; 3],
    length: u8,
}

impl Bytes {
    /// No bytes.
    pub const EMPTY: Self = Self { bytes: [0; 3], length: 0 };

    /// All three bytes; missing ones are 0.
    pub const fn padded(&self) -> [u8; 3] {
        self.bytes
    }

    /// The bytes from an index on; none where that is past the end.
    pub fn from(&self, index: usize) -> &[u8] {
        self.bytes.get(index..self.length.into()).unwrap_or_default()
    }
}

impl Message {
    /// A key is pressed on channel 0.
    pub const fn note_on(pitch: u8, velocity: u8) -> Self {
        Self::NoteOn { channel: 0, pitch, velocity }
    }

    /// A key is released on channel 0.
    pub const fn note_off(pitch: u8) -> Self {
        Self::NoteOff { channel: 0, pitch, velocity: RELEASE_VELOCITY }
    }

    /// A controller is set on channel 0.
    pub const fn control(number: u8, value: u8) -> Self {
        Self::Control { channel: 0, number, value }
    }

    /// The message of a status byte and two data bytes, of which it uses as many as it has. A note-on of
    /// velocity 0 is a note-off. `None` if the status is none of these messages.
    #[inline(never)]
    pub const fn from_parts(status: u8, first: u8, second: u8) -> Option<Self> {
        let channel = status & 0x0f;
        Some(match status {
            0x80..=0x8f => Self::NoteOff { channel, pitch: first, velocity: second },
            0x90..=0x9f if second == 0 => {
                Self::NoteOff { channel, pitch: first, velocity: RELEASE_VELOCITY }
            }
            0x90..=0x9f => Self::NoteOn { channel, pitch: first, velocity: second },
            0xa0..=0xaf => Self::KeyPressure { channel, pitch: first, pressure: second },
            0xb0..=0xbf => Self::Control { channel, number: first, value: second },
            0xc0..=0xcf => Self::Program { channel, number: first },
            0xd0..=0xdf => Self::Pressure { channel, pressure: first },
            0xe0..=0xef => Self::Bend { channel, low: first, high: second },
            0xf8 => Self::Clock,
            0xfa => Self::Start,
            0xfb => Self::Continue,
            0xfc => Self::Stop,
            0xfe => Self::ActiveSensing,
            0xff => Self::Reset,
            _ => return None,
        })
    }

    /// The bytes to be sent, with their status.
    #[inline(never)] // boards have no flash for a copy at every call
    pub const fn bytes(self) -> Bytes {
        let (bytes, length) = match self {
            Self::NoteOff { channel, pitch, velocity } => ([0x80 | channel, pitch, velocity], 3),
            Self::NoteOn { channel, pitch, velocity } => ([0x90 | channel, pitch, velocity], 3),
            Self::KeyPressure { channel, pitch, pressure } => {
                ([0xa0 | channel, pitch, pressure], 3)
            }
            Self::Control { channel, number, value } => ([0xb0 | channel, number, value], 3),
            Self::Program { channel, number } => ([0xc0 | channel, number, 0], 2),
            Self::Pressure { channel, pressure } => ([0xd0 | channel, pressure, 0], 2),
            Self::Bend { channel, low, high } => ([0xe0 | channel, low, high], 3),
            Self::Clock => ([0xf8, 0, 0], 1),
            Self::Start => ([0xfa, 0, 0], 1),
            Self::Continue => ([0xfb, 0, 0], 1),
            Self::Stop => ([0xfc, 0, 0], 1),
            Self::ActiveSensing => ([0xfe, 0, 0], 1),
            Self::Reset => ([0xff, 0, 0], 1),
        };
        Bytes { bytes, length }
    }

    /// The channel, 0 to 15; `None` for a system message.
    pub fn channel(self) -> Option<u8> {
        let [status, ..] = self.bytes().padded();
        (status < 0xf0).then_some(status & 0x0f)
    }

    /// The same on another channel; a system message is unchanged.
    #[must_use]
    pub fn on_channel(mut self, to: u8) -> Self {
        match &mut self {
            Self::NoteOff { channel, .. }
            | Self::NoteOn { channel, .. }
            | Self::KeyPressure { channel, .. }
            | Self::Control { channel, .. }
            | Self::Program { channel, .. }
            | Self::Pressure { channel, .. }
            | Self::Bend { channel, .. } => *channel = to & 0x0f,
            _ => {}
        }
        self
    }

    /// Whether this ends all notes of an instrument.
    pub fn silences(&self) -> bool {
        let Self::Control { number, .. } = self else { return false };
        matches!(*number, controller::ALL_SOUND_OFF | controller::ALL_NOTES_OFF)
    }

    /// The pitch that this starts, if it is a note-on.
    pub fn started(&self) -> Option<u8> {
        if let Self::NoteOn { pitch, .. } = self { Some(*pitch) } else { None }
    }

    /// The pitch that this ends, if it is a note-off.
    pub fn ended(&self) -> Option<u8> {
        if let Self::NoteOff { pitch, .. } = self { Some(*pitch) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::MidiParser;

    #[test]
    fn every_message_is_read_back_from_its_bytes() {
        for status in 0x80..=0xff {
            for (first, second) in [(0, 1), (60, 127), (127, 64)] {
                let Some(message) = Message::from_parts(status, first, second) else {
                    assert!(status >= 0xf0, "{status:x}");
                    continue;
                };
                let mut parser = MidiParser::default();
                let bytes = message.bytes();
                let read = bytes.from(0).iter().filter_map(|&byte| parser.feed(byte)).last();
                assert_eq!(read, Some(message));
                assert_eq!(message.channel(), (status < 0xf0).then_some(status & 0x0f));
                let moved = message.on_channel(7);
                assert_eq!(moved.channel(), message.channel().map(|_| 7));
            }
        }
    }

    #[test]
    fn a_note_on_of_no_velocity_is_a_release() {
        let released = Message::from_parts(0x93, 60, 0);
        assert_eq!(released.and_then(|message| message.ended()), Some(60));
    }
}
