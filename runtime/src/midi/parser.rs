//! Parses a stream of bytes into MIDI messages.
//!
//! `midly`'s parser keeps bounds checks that could panic, and turns truncated messages into notes; on a
//! board with a loose plug neither may happen.

use crate::midi::message::Message;

/// Assembles bytes into channel and real-time messages. Running status is supported; other system
/// messages are skipped.
///
/// ```
/// use pianola_runtime::{Message, MidiParser};
/// let mut parser = MidiParser::default();
/// let messages = [0x90, 60, 80, 62, 80].map(|byte| parser.feed(byte));
/// let [first, second] = [60, 62].map(|pitch| Some(Message::note_on(pitch, 80)));
/// assert_eq!(messages, [None, None, first, None, second]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct MidiParser {
    /// Status of the message that data bytes belong to; 0 for none that is of interest.
    status: u8,
    /// Its first data byte, if it has arrived.
    first: Option<u8>,
}

impl MidiParser {
    /// Takes a byte; returns the message it completes, if any.
    pub fn feed(&mut self, byte: u8) -> Option<Message> {
        match byte {
            // Real-time messages are one byte and may occur in the middle of another message.
            0xf8..=0xff => return Message::from_parts(byte, 0, 0),
            0x80..=0xf7 => {
                let channel = byte < 0xf0;
                *self = Self { status: if channel { byte } else { 0 }, first: None };
            }
            data => {
                let single = matches!(self.status & 0xf0, 0xc0 | 0xd0);
                match (self.status, self.first) {
                    (0, _) => {}
                    (status, None) if single => return Message::from_parts(status, data, 0),
                    (_, None) => self.first = Some(data),
                    (status, Some(first)) => {
                        self.first = None;
                        return Message::from_parts(status, first, data);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn messages(bytes: &[u8]) -> Vec<Message> {
        let mut parser = MidiParser::default();
        bytes.iter().filter_map(|&byte| parser.feed(byte)).collect()
    }

    #[test]
    fn running_status_and_real_time_messages_are_understood() {
        let bytes = [0x90, 60, 80, 62, 0xfa, 81, 0xc0, 5, 6, 0x80, 60, 0];
        let program = |number| Message::Program { channel: 0, number };
        let expected = [
            Message::note_on(60, 80),
            Message::Start,
            Message::note_on(62, 81),
            program(5),
            program(6),
            Message::NoteOff { channel: 0, pitch: 60, velocity: 0 },
        ];
        assert_eq!(messages(&bytes), expected);
    }

    #[test]
    fn what_is_cut_short_or_not_for_us_is_skipped() {
        let exclusive = [0xf0, 1, 2, 3, 0xf7, 4, 5];
        assert!(messages(&exclusive).is_empty());
        assert_eq!(messages(&[1, 2, 0x90, 60, 0x90, 61, 5]), [Message::note_on(61, 5)]);
    }
}
