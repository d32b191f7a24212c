//! MIDI over serial ports that implement the traits of [`embedded_io`](::embedded_io).

use ::embedded_io::{Read, ReadReady, Write, WriteReady};

use crate::midi::{Instant, Message, MidiParser, Player};

/// Reads what has arrived on a port, and visits the messages it completes. Does not wait.
///
/// # Errors
/// The port's own.
pub fn receive<P: Read + ReadReady>(
    port: &mut P,
    parser: &mut MidiParser,
    mut visit: impl FnMut(Message),
) -> Result<(), P::Error> {
    while port.read_ready()? {
        let mut buffer = [0; 16];
        let count = port.read(&mut buffer)?;
        if count == 0 {
            break; // the end of the input
        }
        buffer.iter().take(count).filter_map(|&byte| parser.feed(byte)).for_each(&mut visit);
    }
    Ok(())
}

/// Writes the messages of a player that are due, while the port is ready; the rest stays in the
/// player. Does not wait, except for the end of a message that the port has room for only in part.
///
/// # Errors
/// The port's own. The message that it refused is lost: call [`Player::panic`] once the port works
/// again, so that no note is left sounding.
pub fn send<P: Write + WriteReady, const AHEAD: usize, const VOICES: usize>(
    port: &mut P,
    player: &mut Player<AHEAD, VOICES>,
    now: Instant,
) -> Result<(), P::Error> {
    while port.write_ready()? {
        let Some(message) = player.next(now) else { break };
        port.write_all(message.bytes().from(0))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Note;
    use std::collections::VecDeque;
    use std::vec::Vec;

    /// A port whose input is `arrived`, and which takes `room` bytes.
    #[derive(Default)]
    struct Port {
        arrived: VecDeque<u8>,
        sent: Vec<u8>,
        room: usize,
    }

    impl ::embedded_io::ErrorType for Port {
        type Error = core::convert::Infallible;
    }

    impl Read for Port {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            let count = buffer.len().min(self.arrived.len());
            buffer.iter_mut().zip(self.arrived.drain(..count)).for_each(|(to, from)| *to = from);
            Ok(count)
        }
    }

    impl ReadReady for Port {
        fn read_ready(&mut self) -> Result<bool, Self::Error> {
            Ok(!self.arrived.is_empty())
        }
    }

    impl Write for Port {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
            self.sent.extend(bytes);
            self.room = self.room.saturating_sub(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    impl WriteReady for Port {
        fn write_ready(&mut self) -> Result<bool, Self::Error> {
            Ok(self.room > 0)
        }
    }

    #[test]
    fn messages_arrive_across_calls_and_buffers() {
        let (mut port, mut parser) = (Port::default(), MidiParser::default());
        let mut messages = Vec::new();
        port.arrived.extend([0x90, 60]);
        receive(&mut port, &mut parser, |message| messages.push(message)).unwrap();
        assert!(messages.is_empty());
        port.arrived.extend([80].into_iter().chain((0..40).flat_map(|pitch| [pitch, 1])));
        receive(&mut port, &mut parser, |message| messages.push(message)).unwrap();
        assert_eq!(messages.len(), 41);
        assert_eq!(
            (messages[0], messages[40]),
            (Message::note_on(60, 80), Message::note_on(39, 1))
        );
    }

    #[test]
    fn what_the_port_has_no_room_for_stays_in_the_player() {
        let now = Instant::START;
        let mut player: Player = Player::new(now);
        while player.next(now).is_some() {}
        player.push(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 }, now);
        let mut port = Port::default();
        let start = player.due().unwrap();
        send(&mut port, &mut player, start).unwrap();
        assert!(port.sent.is_empty() && player.due() == Some(start));
        port.room = 100;
        send(&mut port, &mut player, start).unwrap();
        let end = player.due().unwrap();
        send(&mut port, &mut player, end).unwrap();
        assert_eq!(port.sent, [0x90, 60, 80, 0x80, 60, 64]);
    }
}
