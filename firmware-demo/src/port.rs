//! The MIDI port: what is due goes out, what comes in is sorted. It never waits, and is served more
//! than a hundred times while a note is being made up.

use pianola_runtime::{Keys, Micros, MidiParser, Player};

use crate::board::{Board, Knobs};
use crate::controls::{Controls, Event};

/// The port and everything that is served with it.
pub(crate) struct Port {
    pub player: Player,
    pub controls: Controls,
    pub keys: Keys,
    /// Whether someone has asked for another piece: that takes the generator, and so waits until it
    /// has made up its note.
    pub new_piece: bool,
    /// Whether notes are to be played.
    pub playing: bool,
    incoming: MidiParser,
    /// The message that is going out, and how many of its bytes are gone.
    outgoing: ([u8; 3], usize),
    knobs: Knobs,
    button: Button,
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
            new_piece: false,
            playing: true,
            incoming: MidiParser::default(),
            outgoing: ([0; 3], 3),
            knobs: Knobs::default(),
            button: Button::default(),
        }
    }

    /// Serves the board once.
    pub fn serve(&mut self, board: &mut impl Board) {
        board.feed_watchdog();
        self.receive(board);
        self.look_at_the_panel(board);
        self.send(board);
        board.light(self.player.sounding() > 0);
    }

    /// Takes in what has come.
    pub fn receive(&mut self, board: &mut impl Board) {
        while let Some(byte) = board.receive() {
            self.take(byte, board.now());
        }
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

    /// Whether nothing is going out, nor will.
    pub fn is_quiet(&self) -> bool {
        self.outgoing.1 == self.outgoing.0.len() && self.player.due().is_none()
    }

    /// Plays no more.
    pub fn stop(&mut self, now: Micros) {
        (self.playing, self.new_piece) = (false, false);
        self.player.stop(now);
    }

    fn take(&mut self, byte: u8, now: Micros) {
        let Some(message) = self.incoming.feed(byte) else { return };
        match self.controls.take(message) {
            Some(Event::Start) => self.new_piece = true,
            Some(Event::Continue) if !self.playing => {
                self.player.stop(now);
                self.playing = true;
            }
            Some(Event::Stop) => self.stop(now),
            // Not again while the last one is under way: an instrument may send all back to us.
            Some(Event::Panic) if !self.player.is_silencing() => {
                self.stop(now);
                self.player.panic(now);
                self.keys = Keys::default();
            }
            Some(Event::Press(pitch, velocity)) => self.keys.press(pitch, velocity, now),
            Some(Event::Release(pitch)) => self.keys.release(pitch, now),
            Some(Event::Continue | Event::Panic) | None => {}
        }
    }

    /// A knob counts at the start and when it is turned: in between, what came by MIDI stands.
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
            self.new_piece = true;
        }
    }
}
