//! A complete instrument for a board without an operating system: it plays, and answers notes from
//! its MIDI input.
//!
//! It needs a serial port at 31,250 baud and a clock from the board. A hardware abstraction
//! layer such as `rp235x-hal` has both: call [`play`] from its `main`. This file builds for any
//! target:
//!
//! ```text
//! cargo build --example bare_metal --no-default-features --features embedded-io \
//!     --target thumbv7em-none-eabihf
//! ```
//!
//! Keep the model small here: it is a part of the firmware. Larger models have their own region of
//! flash, where `Model::in_region` reads them.
#![cfg_attr(not(test), no_std)]

use core::convert::Infallible;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use pianola_runtime::embedded_io::{receive, send};
use pianola_runtime::{
    Generator, Instant, Keys, Message, MidiParser, Model, ModelError, Player, Sampling,
    include_model,
};

static MODEL: &[u8] = include_model!("../tests/models/expressive-small-int4.safetensors");

/// Why playing has stopped.
#[derive(Debug)]
pub enum Stopped<E> {
    /// The model cannot be played.
    Model(ModelError),
    /// The port has failed.
    Port(E),
}

/// Plays until the port fails. `now` reads the clock.
///
/// # Errors
/// [`Stopped`] gives the reason.
pub fn play<P: Read + ReadReady + Write + WriteReady>(
    port: &mut P,
    now: impl Fn() -> Instant,
    seed: u64,
) -> Result<Infallible, Stopped<P::Error>> {
    let model = Model::from_bytes(MODEL).map_err(Stopped::Model)?;
    // Just enough room for this model: a generator of the default size takes 16 KB.
    let mut generator = Generator::<2, 32>::from_model(&model, seed).map_err(Stopped::Model)?;
    let mut player: Player = Player::new(now());
    let (mut parser, mut keys) = (MidiParser::default(), Keys::default());
    let sampling = Sampling::default().with_guards();
    loop {
        receive(port, &mut parser, |message| match message {
            Message::NoteOn { pitch, velocity, .. } => keys.press(pitch, velocity, now()),
            Message::NoteOff { pitch, .. } => keys.release(pitch, now()),
            _ => {}
        })
        .map_err(Stopped::Port)?;
        send(port, &mut player, now()).map_err(Stopped::Port)?;
        if let Some(note) = keys.next(now()) {
            generator.observe(&note);
        } else if player.wants_note(now()) {
            // A large model takes a tenth of a second per note: messages due meanwhile are sent.
            let mut sent = Ok(());
            let note = generator.next_note_with_poll(&sampling, || {
                if sent.is_ok() {
                    sent = send(port, &mut player, now());
                }
            });
            sent.map_err(Stopped::Port)?;
            player.push(&note, now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::collections::VecDeque;

    /// A port that receives a key press and its release, and fails after some bytes.
    struct Cable {
        arrived: VecDeque<u8>,
        sent: Vec<u8>,
        length: usize,
    }

    impl embedded_io::ErrorType for Cable {
        type Error = embedded_io::ErrorKind;
    }

    impl Read for Cable {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            let count = buffer.len().min(self.arrived.len());
            buffer.iter_mut().zip(self.arrived.drain(..count)).for_each(|(to, from)| *to = from);
            Ok(count)
        }
    }

    impl ReadReady for Cable {
        fn read_ready(&mut self) -> Result<bool, Self::Error> {
            Ok(!self.arrived.is_empty())
        }
    }

    impl Write for Cable {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
            if self.sent.len() >= self.length {
                return Err(embedded_io::ErrorKind::BrokenPipe);
            }
            self.sent.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    impl WriteReady for Cable {
        fn write_ready(&mut self) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }

    fn sent(arrived: &[u8]) -> Vec<u8> {
        let arrived = arrived.iter().copied().collect();
        let mut cable = Cable { arrived, sent: Vec::new(), length: 2000 };
        let time = Cell::new(0);
        let now = || {
            time.set(time.get() + 100);
            Instant::from_micros(time.get())
        };
        let Err(stopped) = play(&mut cable, now, 1);
        assert!(matches!(stopped, Stopped::Port(embedded_io::ErrorKind::BrokenPipe)));
        cable.sent
    }

    #[test]
    fn it_plays_until_the_cable_is_pulled_and_answers_keys() {
        let alone = sent(&[]);
        let starts = alone.chunks(3).filter(|message| message[0] == 0x90).count();
        assert!(starts > 100, "{starts} notes");
        assert!(alone == sent(&[]), "the same seed sends the same bytes");
        assert!(alone != sent(&[0x90, 60, 80, 0x80, 60, 64]), "what is played is answered");
    }
}
