//! The MIDI port: sends due messages and dispatches incoming ones. It never waits, and is served more
//! than a hundred times while a note is being generated.

use pianola_runtime::{
    Assignment, Bytes, Channels, Control, Controls, Event, Instant, Keys, Message, Micros,
    MidiParser, Player, SentMessages, Transport, TransportCommand, TransportState,
};

use crate::board::{Board, Knobs};

/// The port and everything that is served with it.
pub(crate) struct Port {
    pub player: Player,
    pub controls: Controls,
    pub keys: Keys,
    /// Whether another piece was requested. It needs the generator, and so waits until the generator has
    /// finished its note.
    pub new_piece: bool,
    /// Whether notes are to be played.
    pub transport: Transport,
    incoming: MidiParser,
    /// The message being sent, and the number of its bytes already sent.
    outgoing: (Bytes, usize),
    /// The messages sent, which an instrument may echo. It has room for those that silence everything.
    sent: SentMessages<160>,
    knobs: Knobs,
    button: Button,
}

/// A button whose contacts bounce.
#[derive(Clone, Copy, Debug, Default)]
struct Button {
    down: bool,
    /// When it last changed.
    changed: Instant,
}

impl Button {
    /// Longer than contacts bounce.
    const BOUNCE: Micros = Micros::from_millis(20);

    /// Whether it has just been pressed.
    fn is_pressed(&mut self, down: bool, now: Instant) -> bool {
        if down == self.down || now < self.changed + Self::BOUNCE {
            return false;
        }
        *self = Self { down, changed: now };
        down
    }
}

/// Handles a message: sets its control, or returns any other event.
pub fn apply(message: Message, controls: &mut Controls) -> Option<Event> {
    match Event::of(message, Assignment::default_of)? {
        Event::Set(control, value) => {
            control.set(controls, value);
            None
        }
        other => Some(other),
    }
}

impl Port {
    /// A port that first silences everything that may sound, and then plays.
    pub fn new(now: Instant) -> Self {
        Self {
            player: Player::new(now),
            controls: Controls::default(),
            keys: Keys::default(),
            new_piece: false,
            transport: Transport::new(TransportState::Playing),
            incoming: MidiParser::default(),
            outgoing: (Bytes::EMPTY, 0),
            sent: SentMessages::default(),
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

    /// Reads the bytes that have arrived.
    pub fn receive(&mut self, board: &mut impl Board) {
        while let Some(byte) = board.receive() {
            self.take(byte, board.now());
        }
    }

    /// Sends due messages while there is room.
    pub fn send(&mut self, board: &mut impl Board) {
        loop {
            let (bytes, gone) = &mut self.outgoing;
            for byte in bytes.from(*gone) {
                if !board.send(*byte) {
                    return;
                }
                *gone += 1;
            }
            let now = board.now();
            let Some(message) = self.player.next(now) else { return };
            if let Some(onset) = self.player.last_start().filter(|_| message.started().is_some()) {
                self.keys.count_from(onset);
            }
            self.sent.record(message, now);
            self.outgoing = (message.bytes(), 0);
        }
    }

    /// Whether nothing is being sent or due.
    pub fn is_quiet(&self) -> bool {
        self.outgoing.0.from(self.outgoing.1).is_empty() && self.player.due().is_none()
    }

    fn take(&mut self, byte: u8, now: Instant) {
        let Some(message) = self.incoming.feed(byte) else { return };
        let missed = message.ended().is_some_and(|pitch| self.keys.is_held(pitch))
            || message.silences() && self.player.has_started();
        if !Channels::PITCHED.contain(message) || self.sent.returns(message, missed, now) {
            return;
        }
        match apply(message, &mut self.controls) {
            Some(Event::Press(pitch, velocity)) => self.keys.press(pitch, velocity, now),
            Some(Event::Release(pitch)) => self.keys.release(pitch, now),
            Some(Event::Transport(command)) => self.command(command, now),
            _ => {}
        }
    }

    fn command(&mut self, command: TransportCommand, now: Instant) {
        match command {
            TransportCommand::Start => self.new_piece = true,
            TransportCommand::Stop | TransportCommand::Panic => self.new_piece = false,
            _ => {}
        }
        if command == TransportCommand::Panic {
            self.keys.release_all(now);
        }
        self.transport.command(command, &mut self.player, now);
    }

    /// A knob applies at the start and when it is turned; in between, values from MIDI are kept.
    fn look_at_the_panel(&mut self, board: &mut impl Board) {
        let knobs = board.knobs();
        if knobs.temperature != self.knobs.temperature
            && let Some(value) = knobs.temperature
        {
            Control::Temperature.set(&mut self.controls, value);
        }
        if knobs.density != self.knobs.density
            && let Some(value) = knobs.density
        {
            Control::Density.set(&mut self.controls, value);
        }
        self.knobs = knobs;
        let now = board.now();
        if self.button.is_pressed(board.button(), now) {
            self.command(TransportCommand::Start, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pianola_runtime::{ModelError, Note};

    /// A board with a clock that is set, and a port that is always ready.
    struct Bench(Instant);

    impl Board for Bench {
        fn now(&mut self) -> Instant {
            self.0
        }

        fn seed(&mut self) -> u64 {
            0
        }

        fn send(&mut self, _: u8) -> bool {
            true
        }

        fn light(&mut self, _: bool) {}

        fn report(&mut self, _: &ModelError) {}
    }

    /// Steps count from the last note of either player. The test of `Transcriber`, of the host, has the same
    /// performance.
    #[test]
    fn notes_are_heard_as_on_the_host() {
        let mut bench = Bench(Instant::START);
        let mut port = Port::new(bench.0);
        port.send(&mut bench);
        bench.0 = Instant::from_micros(1_000_000);
        port.player.forget(bench.0);
        let own = Note { pitch: 40, velocity: 80, step: 0.0, duration: 5.0 };
        assert!(port.player.push(&own, bench.0));
        port.send(&mut bench);
        let mut heard = [None; 4];
        let mut places = heard.iter_mut();
        for (message, micros) in [
            (Message::note_on(60, 70), 1_250_000),
            (Message::note_on(64, 80), 1_750_000),
            (Message::note_off(64), 2_000_000),
            (Message::note_off(60), 2_250_000),
            (Message::note_on(67, 90), 2_500_000),
            (Message::Reset, 3_000_000),
            (Message::note_on(72, 60), 3_500_000),
            (Message::note_off(72), 4_000_000),
        ] {
            bench.0 = Instant::from_micros(micros);
            message.bytes().from(0).iter().for_each(|&byte| port.take(byte, bench.0));
            port.send(&mut bench);
            while let Some(note) = port.keys.next(bench.0) {
                *places.next().unwrap_or(&mut None) = Some(note);
            }
        }
        let note = |pitch, velocity, step, duration| Some(Note { pitch, velocity, step, duration });
        let expected = [
            note(60, 70, 0.25, 1.0),
            note(64, 80, 0.5, 0.25),
            note(67, 90, 0.75, 0.5),
            note(72, 60, 1.0, 0.5),
        ];
        assert_eq!(heard, expected);
    }
}
