//! The MIDI port: what is due goes out, what comes in is sorted. It never waits, and is served every
//! few hundred microseconds, also while a note is being made up.

use pianola_runtime::{Micros, Player};

use crate::board::{Board, Knobs};
use crate::controls::{Controls, Event};
use crate::keys::Keys;
use crate::parser::Parser;

/// The port and everything that is served with it.
pub(crate) struct Port {
    pub player: Player,
    pub controls: Controls,
    pub keys: Keys,
    /// What someone has asked for, until the application sees to it.
    pub wish: Option<Wish>,
    /// Whether notes are to be played.
    pub playing: bool,
    incoming: Parser,
    /// The message that is going out, and how many of its bytes are gone.
    outgoing: ([u8; 3], usize),
    knobs: Knobs,
    button: Button,
}

/// What takes the generator, and so waits until it has made up its note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    NewPiece,
}

/// A button whose contacts bounce.
#[derive(Clone, Copy, Debug, Default)]
struct Button {
    down: bool,
    /// When it last changed.
    changed: Micros,
}

impl Button {
    /// Contacts bounce for less.
    const BOUNCE: Micros = 20_000;

    /// Whether it has just been pressed.
    fn is_pressed(&mut self, down: bool, now: Micros) -> bool {
        if down == self.down || now < self.changed + Self::BOUNCE {
            return false;
        }
        *self = Self { down, changed: now };
        down
    }
}

impl Port {
    /// A port that first silences what may sound, and then plays.
    pub fn new(now: Micros) -> Self {
        Self {
            player: Player::new(now),
            controls: Controls::default(),
            keys: Keys::default(),
            wish: None,
            playing: true,
            incoming: Parser::default(),
            outgoing: ([0; 3], 3),
            knobs: Knobs::default(),
            button: Button::default(),
        }
    }

    /// Serves the board once.
    pub fn serve(&mut self, board: &mut impl Board) {
        board.feed_watchdog();
        while let Some(byte) = board.receive() {
            self.take(byte, board.now());
        }
        self.look_at_the_panel(board);
        self.send(board);
        board.light(self.player.sounding() > 0);
    }

    /// Sends what is due and has room.
    pub fn send(&mut self, board: &mut impl Board) {
        loop {
            let (bytes, gone) = &mut self.outgoing;
            while let Some(byte) = bytes.get(*gone) {
                if !board.send(*byte) {
                    return;
                }
                *gone += 1;
            }
            let Some(message) = self.player.next(board.now()) else { return };
            self.outgoing = (message.0, 0);
        }
    }

    /// Plays no more.
    pub fn stop(&mut self, now: Micros) {
        self.playing = false;
        self.player.stop(now);
    }

    fn take(&mut self, byte: u8, now: Micros) {
        let Some(message) = self.incoming.feed(byte) else { return };
        match self.controls.take(message) {
            Some(Event::Start) => self.wish = Some(Wish::NewPiece),
            Some(Event::Continue) if !self.playing => {
                self.player.stop(now);
                self.playing = true;
            }
            Some(Event::Stop) => self.stop(now),
            Some(Event::Panic) => {
                self.playing = false;
                self.player.panic(now);
            }
            Some(Event::Press(pitch, velocity)) => self.keys.press(pitch, velocity, now),
            Some(Event::Release(pitch)) => self.keys.release(pitch, now),
            Some(Event::Continue) | None => {}
        }
    }

    /// A knob counts once it is turned: until then, what came by MIDI stands.
    fn look_at_the_panel(&mut self, board: &mut impl Board) {
        let knobs = board.knobs();
        if knobs.temperature != self.knobs.temperature
            && let Some(value) = knobs.temperature
        {
            self.controls.set_temperature(value);
        }
        if knobs.density != self.knobs.density
            && let Some(value) = knobs.density
        {
            self.controls.set_density(value);
        }
        self.knobs = knobs;
        if self.button.is_pressed(board.button(), board.now()) {
            self.wish = Some(Wish::NewPiece);
        }
    }
}
