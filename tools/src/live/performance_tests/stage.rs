//! A performance on a simulated clock, with an instrument and a model.

use pianola_runtime::controller;

use super::*;

pub fn ms(millis: u64) -> Micros {
    Micros::from_millis(millis)
}

/// Long notes in quick succession: many sound at once.
pub fn note(count: usize) -> Note {
    Note { pitch: 30 + (count % 60) as u8, velocity: 80, step: 0.002, duration: 0.1 }
}

/// State of an instrument after the messages that it received.
#[derive(Default)]
pub struct Instrument {
    pub bytes: pianola_runtime::MidiParser,
    pub messages: Vec<Message>,
    pub count: usize,
    pub starts: usize,
    pub sounding: u128,
    pub pedals: [u8; 3],
}

impl Instrument {
    pub fn receive(&mut self, byte: u8) -> Option<Message> {
        let message = self.bytes.feed(byte)?;
        self.count += 1;
        if self.messages.len() < 10_000 {
            self.messages.push(message);
        }
        match message {
            Message::NoteOn { pitch, .. } => {
                self.starts += 1;
                self.sounding |= bit(pitch);
            }
            Message::NoteOff { pitch, .. } => self.sounding &= !bit(pitch),
            Message::Control { number, value, .. } => {
                let pedal = controller::PEDALS.iter().position(|&pedal| pedal == number);
                if let Some(pedal) = pedal.and_then(|pedal| self.pedals.get_mut(pedal)) {
                    *pedal = value;
                }
            }
            _ => {}
        }
        Some(message)
    }

    pub fn is_silent(&self) -> bool {
        self.sounding == 0 && self.pedals.iter().all(|&value| value < 64)
    }
}

/// A performance, an instrument, and a model that answers at once.
pub struct Stage {
    pub performance: Performance,
    pub instrument: Instrument,
    pub now: Instant,
    pub notes: usize,
    /// Whether the model answers.
    pub answers: bool,
    /// Bytes that the port still accepts.
    pub room: usize,
    /// Echoes and their times; `None` for a port that echoes nothing.
    pub loops: Option<VecDeque<(Instant, Message)>>,
    /// Delay of the echo.
    pub latency: Micros,
    pub updates: Vec<Update>,
    pub forgotten: usize,
}

impl Stage {
    pub fn new(duet: Option<Duet>) -> Self {
        Self::with(Setup {
            duet,
            map: ControllerMap::default(),
            listen: Channels::PITCHED,
            output: OutputChannels::default(),
        })
    }

    pub fn with(setup: Setup) -> Self {
        Self {
            performance: Performance::new(setup, Instant::START),
            instrument: Instrument::default(),
            now: Instant::START,
            notes: 0,
            answers: true,
            room: usize::MAX,
            loops: None,
            latency: ms(3),
            updates: Vec::new(),
            forgotten: 0,
        }
    }

    pub fn duet(mode: Mode, echo: bool) -> Self {
        Self::new(Some(Duet { mode, gap: ms(50), echo }))
    }

    pub fn receive(&mut self, message: Message) {
        self.performance.handle(Input::Received(message, self.now), self.now);
    }

    /// Runs one turn of the loop.
    pub fn serve(&mut self) {
        while let Some(&(at, message)) = self.loops.as_ref().and_then(VecDeque::front)
            && at <= self.now
        {
            self.loops.as_mut().and_then(VecDeque::pop_front);
            self.receive(message);
        }
        loop {
            let bytes = self.performance.bytes(self.now).to_vec();
            let Some(byte) = bytes.first().filter(|_| self.room > 0) else { break };
            self.room = self.room.saturating_sub(1);
            let returned = self.instrument.receive(*byte);
            if let (Some(message), Some(loops)) = (returned, &mut self.loops) {
                loops.push_back((self.now + self.latency, message));
            }
            self.performance.sent(1, self.now);
        }
        self.performance.advance(self.now);
        while let Some(message) = self.performance.request() {
            match message {
                ToModel::Wanted if self.answers => {
                    self.notes += 1;
                    self.performance.handle(Input::Note(note(self.notes)), self.now);
                }
                ToModel::Forgotten => self.forgotten += 1,
                _ => {}
            }
        }
        while let Some(update) = self.performance.update() {
            if self.updates.len() < 100_000 {
                self.updates.push(update);
            }
        }
    }

    /// Advances the clock; returns the number of notes requested from the model.
    pub fn pass(&mut self, millis: u64) -> usize {
        let before = self.notes;
        let end = self.now + ms(millis);
        while self.now < end {
            self.serve();
            self.now += ms(1);
        }
        self.notes - before
    }

    /// Ends, as the timing thread does.
    pub fn end(&mut self) {
        self.performance.fall_silent(self.now);
        self.serve();
        self.performance.silence_all(self.now);
        for _ in 0..500 {
            self.answers = false;
            self.serve();
        }
    }
}
