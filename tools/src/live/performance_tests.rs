//! Tests of a performance on a simulated clock.

use pianola_runtime::{SentMessages, controller};
use proptest::prelude::*;

use super::*;

/// Messages of the silence at the start.
const SILENCE: usize = 133;

fn ms(millis: u64) -> Micros {
    Micros::from_millis(millis)
}

/// Long notes in quick succession: many sound at once.
fn note(count: usize) -> Note {
    Note { pitch: 30 + (count % 60) as u8, velocity: 80, step: 0.002, duration: 0.1 }
}

/// State of an instrument after the messages that it received.
#[derive(Default)]
struct Instrument {
    bytes: pianola_runtime::MidiParser,
    messages: Vec<Message>,
    count: usize,
    starts: usize,
    sounding: u128,
    pedals: [u8; 3],
}

impl Instrument {
    fn receive(&mut self, byte: u8) -> Option<Message> {
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

    fn is_silent(&self) -> bool {
        self.sounding == 0 && self.pedals.iter().all(|&value| value < 64)
    }
}

/// A performance, an instrument, and a model that answers at once.
struct Stage {
    performance: Performance,
    instrument: Instrument,
    now: Instant,
    notes: usize,
    /// Whether the model answers.
    answers: bool,
    /// Bytes that the port still accepts.
    room: usize,
    /// Echoes and their times; `None` for a port that echoes nothing.
    loops: Option<VecDeque<(Instant, Message)>>,
    /// Delay of the echo.
    latency: Micros,
    updates: Vec<Update>,
    forgotten: usize,
}

impl Stage {
    fn new(duet: Option<Duet>) -> Self {
        Self::with(Setup {
            duet,
            map: ControllerMap::default(),
            listen: Channels::PITCHED,
            output: OutputChannels::default(),
        })
    }

    fn with(setup: Setup) -> Self {
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

    fn duet(mode: Mode, echo: bool) -> Self {
        Self::new(Some(Duet { mode, gap: ms(50), echo }))
    }

    fn receive(&mut self, message: Message) {
        self.performance.handle(Input::Received(message, self.now), self.now);
    }

    /// Runs one turn of the loop.
    fn serve(&mut self) {
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
    fn pass(&mut self, millis: u64) -> usize {
        let before = self.notes;
        let end = self.now + ms(millis);
        while self.now < end {
            self.serve();
            self.now += ms(1);
        }
        self.notes - before
    }

    /// Ends, as the timing thread does.
    fn end(&mut self) {
        self.performance.fall_silent(self.now);
        self.serve();
        self.performance.silence_all(self.now);
        for _ in 0..500 {
            self.answers = false;
            self.serve();
        }
    }
}

#[test]
fn every_note_is_played_and_ended() {
    let mut stage = Stage::new(None);
    stage.pass(3_000);
    assert!(stage.instrument.starts > 500);
    stage.end();
    assert!(stage.instrument.is_silent());
    assert_eq!(stage.performance.jitter.notes(), stage.instrument.starts as u64);
}

#[test]
fn a_port_that_stalls_delays_the_music() {
    for room in [0, 100, 3 * SILENCE, 3 * SILENCE + 100, 3 * SILENCE + 101] {
        let mut stage = Stage::new(None);
        stage.room = room;
        stage.pass(2_000);
        let before = stage.instrument.count;
        assert_eq!(before, room / 3);
        stage.room = usize::MAX;
        stage.pass(1_000);
        assert!(stage.instrument.starts > 100);
        stage.end();
        assert!(stage.instrument.is_silent());
    }
}

#[test]
fn a_lost_port_is_silenced_when_it_is_back() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    stage.pass(500);
    stage.receive(Message::control(controller::SUSTAIN, 127));
    stage.receive(Message::note_on(20, 80));
    stage.pass(5);
    assert!(!stage.instrument.is_silent() && stage.instrument.pedals[0] == 127);
    stage.performance.handle(Input::Lost, stage.now);
    stage.receive(Message::control(controller::SUSTAIN, 0));
    stage.receive(Message::note_off(20));
    stage.pass(100);
    let starts = stage.instrument.starts;
    stage.performance.handle(Input::Found, stage.now);
    stage.pass(20);
    assert!(stage.instrument.pedals[0] == 0 && stage.instrument.sounding == 0);
    stage.pass(1_000);
    assert!(stage.instrument.starts > starts);
}

/// Pause and continue work while the port is lost, and what was last asked for holds when it is back.
#[test]
fn a_lost_port_comes_back_to_the_state_last_asked_for() {
    for pauses in 0..3 {
        let mut stage = Stage::new(None);
        stage.pass(500);
        stage.performance.handle(Input::Lost, stage.now);
        stage.pass(20);
        for _ in 0..pauses {
            // As the view's key does.
            let shown = stage.updates.iter().rev().find_map(|update| match update {
                Update::Activity(activity) => Some(*activity),
                _ => None,
            });
            let paused = shown.is_some_and(Activity::is_paused);
            let command = if paused { TransportCommand::Continue } else { TransportCommand::Stop };
            stage.performance.handle(Input::Asked(Event::Transport(command)), stage.now);
            stage.pass(20);
        }
        stage.performance.handle(Input::Found, stage.now);
        let starts = stage.instrument.starts;
        stage.pass(1_000);
        assert_eq!(stage.instrument.starts > starts, pauses != 1, "{pauses} times");
    }
}

#[test]
fn a_pedal_that_waits_at_a_congested_port_is_lifted_at_the_end() {
    let mut stage = Stage::duet(Mode::Answer, true);
    stage.pass(10);
    stage.receive(Message::control(controller::SUSTAIN, 127));
    stage.receive(Message::control(controller::SOFT, 127));
    stage.serve();
    assert_eq!(stage.instrument.pedals, [127, 0, 127]);
    stage.room = 0;
    stage.receive(Message::control(controller::SUSTAIN, 0));
    stage.serve();
    stage.room = usize::MAX;
    stage.end();
    assert!(stage.instrument.is_silent());
}

#[test]
fn it_answers_after_a_pause_and_hands_over_when_a_key_is_pressed() {
    let mut stage = Stage::duet(Mode::Answer, false);
    assert_eq!(stage.pass(100), 0, "plays with nothing to answer to");
    stage.receive(Message::note_on(60, 81));
    assert_eq!(stage.pass(100), 0, "answers while a key is held");
    stage.receive(Message::note_off(60));
    assert_eq!(stage.pass(30), 0, "answers too soon");
    assert!(stage.pass(100) > 0);
    assert!(stage.instrument.sounding != 0 && stage.instrument.starts > 10);

    stage.receive(Message::note_on(60, 81).on_channel(5));
    stage.serve();
    assert_eq!(stage.instrument.sounding, 0);
    let before = stage.instrument.starts;
    assert_eq!(stage.pass(100), 0);
    assert_eq!(stage.instrument.starts, before);
}

#[test]
fn all_notes_off_after_the_last_release_is_a_release() {
    let mut stage = Stage::duet(Mode::Answer, false);
    stage.pass(2_000);
    stage.receive(Message::note_on(60, 81));
    stage.receive(Message::control(controller::ALL_NOTES_OFF, 0));
    assert!(stage.pass(150) > 0);
    // Panic in the middle of the answer.
    stage.receive(Message::control(controller::ALL_NOTES_OFF, 0));
    assert_eq!(stage.pass(150), 0);
}

#[test]
fn a_note_that_comes_too_late_is_late() {
    let mut stage = Stage::duet(Mode::Accompany, false);
    assert!(stage.pass(400) > 0);
    assert!(stage.performance.jitter.quantile(1.0) < ms(5));
    // All queued notes are played, then there is no input for a while.
    stage.answers = false;
    stage.pass(1_600);
    stage.performance.handle(Input::Note(note(1)), stage.now);
    stage.serve();
    assert!(stage.performance.jitter.quantile(1.0) > ms(250));
}

#[test]
fn a_note_on_its_way_while_it_hands_over_is_never_heard() {
    let mut stage = Stage::duet(Mode::Answer, false);
    stage.answers = false;
    stage.receive(Message::note_on(60, 81));
    stage.receive(Message::note_off(60));
    stage.pass(60);
    assert!(stage.performance.wanted.asked);
    stage.receive(Message::note_on(62, 81));
    stage.performance.handle(Input::Note(note(1)), stage.now);
    stage.serve();
    assert_eq!(stage.instrument.starts, 0);
    assert!(!stage.performance.wanted.asked && stage.performance.player.due().is_none());
}

#[test]
fn it_plays_on_under_a_partner_and_plans_anew_what_has_not_started() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    assert!(stage.pass(400) > 0);
    let before = stage.forgotten;
    for pitch in [20, 21] {
        stage.receive(Message::note_on(pitch, 81));
        assert!(stage.pass(20) > 0);
    }
    assert_eq!(stage.forgotten - before, 2);
    let passed_on = bit(20) | bit(21);
    assert_eq!(stage.instrument.sounding & passed_on, passed_on);
    stage.end();
    assert!(stage.instrument.is_silent());
}

#[test]
fn a_panic_button_silences_both_until_a_key_is_pressed() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    stage.pass(2_000);
    stage.receive(Message::control(controller::SUSTAIN, 127));
    stage.receive(Message::control(controller::ALL_NOTES_OFF, 0).on_channel(3));
    assert_eq!(stage.pass(50), 0);
    assert!(stage.instrument.is_silent());
    stage.receive(Message::note_on(60, 81));
    assert!(stage.pass(50) > 0);
}

/// A soft thru: everything is echoed, the silencing messages at the start too.
#[test]
fn what_comes_back_changes_nothing() {
    for (mode, echo) in [(Mode::Accompany, false), (Mode::Accompany, true), (Mode::Answer, true)] {
        for latency in [0, 3, 60, 250] {
            let mut alone = Stage::duet(mode, echo);
            let mut looped = Stage::duet(mode, echo);
            (looped.loops, looped.latency) = (Some(VecDeque::new()), ms(latency));
            for stage in [&mut alone, &mut looped] {
                stage.pass(1_000);
                // A key, played and released; then the same again.
                for _ in 0..2 {
                    stage.receive(Message::note_on(90, 33));
                    stage.pass(100);
                    stage.receive(Message::note_off(90));
                    stage.pass(2_000);
                }
            }
            let counts = [&alone, &looped].map(|stage| stage.instrument.count);
            assert_eq!(counts[0], counts[1], "{mode:?} {echo} {latency} ms");
            assert!(looped.instrument.starts > 100);
            let reports = looped.updates.iter().filter(|update| **update == Update::Echoing);
            assert_eq!(reports.count(), 1);
            assert!(!alone.updates.contains(&Update::Echoing));
        }
    }
}

/// A controller that silences everything is echoed in a form that cannot be recognized.
#[test]
fn traffic_never_grows() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    let mut sent = 0;
    for _ in 0..2_000 {
        let before = stage.instrument.count;
        stage.pass(1);
        for _ in before..stage.instrument.count {
            stage.receive(Message::control(controller::ALL_SOUND_OFF, 1));
        }
        sent = stage.instrument.count;
    }
    assert!(sent <= 3 * SILENCE, "{sent} messages");
}

#[test]
fn percussion_is_not_heard_and_hands_have_channels() {
    let mut stage = Stage::with(Setup {
        duet: Some(Duet { mode: Mode::Answer, gap: ms(50), echo: true }),
        map: ControllerMap::default(),
        listen: Channels::PITCHED,
        output: OutputChannels { right: 2, left: 5 },
    });
    stage.pass(100);
    stage.receive(Message::note_on(36, 80).on_channel(9));
    stage.receive(Message::note_off(36).on_channel(9));
    assert_eq!(stage.pass(500), 0);
    stage.receive(Message::note_on(36, 80));
    stage.receive(Message::note_off(36));
    stage.pass(1_000);
    for message in &stage.instrument.messages {
        let pitch = message.started().or(message.ended());
        if let Some(pitch) = pitch {
            let channel = if pitch < 60 { 5 } else { 2 };
            assert_eq!(message.channel(), Some(channel));
        }
    }
    let silenced = |channel| {
        let lifted = Message::control(controller::SUSTAIN, 0).on_channel(channel);
        stage.instrument.messages.contains(&lifted)
    };
    assert!(silenced(2) && silenced(5));
}

proptest! {
    #[test]
    fn a_key_that_is_struck_again_is_heard_where_nothing_comes_back(
        gaps in proptest::collection::vec(5u64..400, 1..30)
    ) {
        let mut stage = Stage::duet(Mode::Accompany, true);
        stage.answers = false;
        stage.pass(SentMessages::<1>::WINDOW.as_micros() / 1000 + 10);
        for gap in &gaps {
            stage.receive(Message::note_on(60, 64));
            stage.pass(*gap);
            stage.receive(Message::note_off(60));
            stage.pass(*gap);
        }
        prop_assert_eq!(stage.instrument.starts, gaps.len());
    }
}

/// A million messages, and faults of every kind.
#[test]
fn a_million_messages_leave_nothing_sounding() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    };
    let mut received = 0;
    for mode in [Mode::Answer, Mode::Accompany] {
        for echo in [false, true] {
            let mut stage = Stage::duet(mode, echo);
            received += torture(&mut stage, &mut random);
            stage.performance.handle(Input::Found, stage.now);
            stage.room = usize::MAX;
            stage.end();
            assert!(stage.instrument.is_silent(), "{mode:?} {echo}");
        }
    }
    assert!(received >= 1_000_000, "{received}");
}

/// Messages at random times, and random faults; returns their number.
fn torture(stage: &mut Stage, random: &mut impl FnMut(u64) -> u64) -> usize {
    const MESSAGES: usize = 250_001;
    let mut received = 0;
    while received < MESSAGES {
        match random(40) {
            // A flood of one kind of message or of all.
            0 => {
                let kind = random(6);
                for _ in 0..random(2_000) {
                    stage.receive(message(kind, random));
                    received += 1;
                }
            }
            // The port accepts nothing, a few bytes, or everything again.
            1 => stage.room = 0,
            2 => stage.room = random(200) as usize,
            3..6 => stage.room = usize::MAX,
            // The port is lost, and comes back.
            6 => stage.performance.handle(Input::Lost, stage.now),
            7..10 => stage.performance.handle(Input::Found, stage.now),
            10 => stage.performance.handle(Input::Deaf, stage.now),
            // The echo is switched on or off.
            11 => (stage.loops, stage.latency) = (Some(VecDeque::new()), ms(random(1_200))),
            12 => stage.loops = None,
            13 => stage.answers = random(4) > 0,
            // The process is suspended.
            14 => stage.performance.fall_silent(stage.now),
            _ => {
                let kind = random(6);
                stage.receive(message(kind, random));
                received += 1;
            }
        }
        if stage.answers && stage.performance.wanted.asked {
            stage.performance.handle(Input::Note(note(received)), stage.now);
        }
        for _ in 0..random(4) {
            stage.serve();
            stage.now += Micros::from_micros(random(30_000));
        }
        assert!(stage.performance.outgoing.waiting() < 600);
        let waiting = stage.performance.to_model.len() + stage.performance.updates.len();
        assert!(waiting < 20_000, "{waiting} wait");
        stage.updates.clear();
    }
    received
}

fn message(kind: u64, random: &mut impl FnMut(u64) -> u64) -> Message {
    let (first, second) = (random(128) as u8, random(128) as u8);
    let channel = random(16) as u8;
    let whole = |status: u8| Message::from_parts(status | channel, first, second);
    let pedal = controller::PEDALS.into_iter().nth(random(3) as usize).unwrap_or_default();
    let found = match kind {
        0 => whole(0x90),
        1 => whole(0x80),
        2 => Some(Message::control(pedal, second)),
        3 => whole(0xb0),
        4 => Message::from_parts(0xf8 | channel & 7, 0, 0),
        _ => whole(0x80 | first & 0x70),
    };
    found.unwrap_or(Message::Start)
}
