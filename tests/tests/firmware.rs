//! The firmware application on a simulated board: its notes, faults and controls.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use pianola_firmware::{Board, Knobs, blinks, run};
use pianola_runtime::{
    Control, Controls, Instant, Message, MidiParser, Model, ModelError, controller,
};
use pianola_tests::stream::played;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

const MODEL: &[u8] = include_bytes!("../../models/expressive-int4.safetensors");

/// Number of messages after power on, before the first note.
const SILENCING: usize = 133;

/// Microseconds since power on, or a duration in microseconds.
type Micros = u64;

/// A board whose clock advances whenever it is read.
#[derive(Default)]
struct Mock {
    time: Micros,
    seed: u64,
    /// All bytes sent, with their times.
    sent: Vec<(Micros, u8)>,
    /// Input bytes, with their times.
    coming: VecDeque<(Micros, u8)>,
    knobs: Knobs,
    /// Time range in which the button is held down.
    pressed: Option<std::ops::Range<Micros>>,
    /// Time ranges in which the port accepts nothing.
    stalled: Vec<std::ops::Range<Micros>>,
    /// Changes of the LED.
    light: Vec<(Micros, bool)>,
    reports: Vec<ModelError>,
    /// Time of power off.
    off: Micros,
    /// Last feed of the watchdog, which starts with the first.
    fed: Option<Micros>,
    /// Time at which the port's buffer will be empty.
    drained: Micros,
    /// Time that each reading of the clock takes.
    pace: Micros,
    /// Delay of the echo of sent bytes, if there is one.
    echoes: Option<Micros>,
}

/// Time of a byte at 31,250 baud.
const BYTE: Micros = 320;

/// Time of the bytes in a full port buffer.
const ROOM: Micros = 32 * BYTE;

impl Mock {
    fn until(off: Micros) -> Self {
        Self { off, seed: 42, ..Self::default() }
    }

    /// Schedules input bytes at a time.
    fn receive_at(mut self, time: Micros, bytes: &[u8]) -> Self {
        self.coming.extend(bytes.iter().map(|&byte| (time, byte)));
        self
    }

    fn runs(mut self) -> Self {
        run(&mut self, MODEL);
        self
    }

    /// All messages sent, each with the time of its first byte.
    fn messages(&self) -> Vec<(Micros, Message)> {
        let mut parser = MidiParser::default();
        let whole = self.sent.chunks_exact(3);
        whole
            .filter_map(|bytes| {
                let messages = bytes.iter().filter_map(|&(_, byte)| parser.feed(byte));
                Some((bytes[0].0, messages.last()?))
            })
            .collect()
    }

    /// Pitches that start, with their times.
    fn starts(&self) -> Vec<(Micros, u8)> {
        let messages = self.messages().into_iter();
        messages.filter_map(|(time, message)| Some((time, message.started()?))).collect()
    }
}

impl Board for Mock {
    fn now(&mut self) -> Instant {
        self.time += 2 + self.pace;
        Instant::from_micros(self.time)
    }

    fn seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed - 1
    }

    fn send(&mut self, byte: u8) -> bool {
        let stalled = self.stalled.iter().any(|stall| stall.contains(&self.time));
        self.drained = self.drained.max(self.time);
        let open = !stalled && self.drained < self.time + ROOM;
        if open {
            self.drained += BYTE;
            self.sent.push((self.time, byte));
            if let Some(latency) = self.echoes {
                self.coming.push_back((self.drained + latency, byte));
            }
        }
        open
    }

    fn receive(&mut self) -> Option<u8> {
        let due = self.coming.front().is_some_and(|(time, _)| *time <= self.time);
        due.then(|| self.coming.pop_front()).flatten().map(|(_, byte)| byte)
    }

    fn knobs(&mut self) -> Knobs {
        self.knobs
    }

    fn button(&mut self) -> bool {
        self.pressed.as_ref().is_some_and(|pressed| pressed.contains(&self.time))
    }

    fn light(&mut self, on: bool) {
        if self.light.last().is_none_or(|&(_, last)| last != on) {
            self.light.push((self.time, on));
        }
    }

    fn feed_watchdog(&mut self) {
        let waited = self.fed.map_or(0, |fed| self.time - fed);
        assert!(waited < 20_000, "the watchdog has waited for {waited}");
        self.fed = Some(self.time);
    }

    fn report(&mut self, error: &ModelError) {
        self.reports.push(*error);
    }

    fn idle(&mut self) {
        self.time += 250;
    }

    fn is_on(&self) -> bool {
        self.time < self.off
    }
}

const SECOND: Micros = 1_000_000;

/// Pitches that sound after some messages; none may start while it sounds.
fn sounding(messages: &[(Micros, Message)]) -> Vec<u8> {
    let mut sounding: Vec<u8> = Vec::new();
    for (time, message) in messages {
        if let Some(pitch) = message.started() {
            assert!(!sounding.contains(&pitch), "{pitch} starts twice at {time}");
            sounding.push(pitch);
        }
        if let Some(pitch) = message.ended() {
            sounding.retain(|&other| other != pitch);
        }
    }
    sounding
}

#[test]
fn a_board_sends_what_the_host_plays() {
    let board = Mock::until(60 * SECOND).runs();
    let messages = board.messages();
    let count = board.starts().len();
    assert!(count > 100, "{count} notes in a minute");
    let model = Model::from_bytes(MODEL).unwrap();
    let expected = played(&model, 42, count, &Controls::default()).unwrap();
    let expected: Vec<(Micros, Message)> =
        expected.into_iter().map(|(time, message)| (time.as_micros(), message)).collect();
    let bytes = |messages: &[(Micros, Message)]| -> Vec<_> {
        messages.iter().map(|(_, message)| *message).collect()
    };
    assert_eq!(bytes(&messages)[..expected.len()], bytes(&expected));
    // Each message at its time after the first, or once the port has room: chords end and begin together.
    let start = messages[SILENCING].0 - expected[SILENCING].0;
    let mut drained: Micros = 0;
    for ((time, _), (due, _)) in messages.iter().zip(&expected).skip(SILENCING) {
        let at = (due + start).max(drained.saturating_sub(ROOM));
        assert!(time.abs_diff(at) < 1000, "{time}, not {at}");
        drained = drained.max(at) + 3 * BYTE;
    }
}

/// Every note ends within the maximum time of notes and stalls, except those of the last
/// moments before a reset, which the silencing after it ends.
fn every_note_ends(messages: &[(Micros, Message)], end: Micros) {
    for (index, (start, message)) in messages.iter().enumerate() {
        let Some(pitch) = message.started() else { continue };
        let over = messages[index..].iter().find(|(_, message)| message.ended() == Some(pitch));
        let over = over.map_or(end, |&(over, _)| over);
        assert!(over - start < 18 * SECOND, "{pitch} sounds from {start} to {over}");
    }
}

/// Ten thousand notes, with every kind of event in random order.
#[test]
fn what_starts_ends_whatever_happens() {
    let mut rng = Pcg32::new(7, 7);
    let (mut messages, mut notes, mut start) = (Vec::new(), 0, 0);
    while notes < 10_000 {
        let mut board = Mock::until(start + 200 * SECOND);
        (board.time, board.seed) = (start, notes as u64);
        let mut time = start;
        while time < board.off {
            time += u64::from(rng.next_u32() % 20) * SECOND / 2;
            match rng.next_u32() % 5 {
                // The receiver stalls the port, briefly or for long.
                0 => board.stalled.push(time..time + u64::from(rng.next_u32() % 30) * 100_000),
                // Panic, then continue.
                1 => board = board.receive_at(time, &[0xb0, 123, 0, 0xfb]),
                // Input beyond the size of any buffer: keys without releases, then noise.
                2 => {
                    let keys = (0..60).flat_map(|key| [0x90, key, 80]).collect::<Vec<_>>();
                    let noise = (0..2000).map(|_| rng.next_u32() as u8 & 0x7f).collect::<Vec<_>>();
                    board = board.receive_at(time, &keys).receive_at(time, &noise);
                }
                3 => board = board.receive_at(time, &[0xfc, 0xfa]),
                _ => board.pressed = Some(time..time + 50_000),
            }
        }
        // A reset at any point.
        board = board.runs();
        // A message truncated by the reset is completed by the status byte of the next.
        notes += board.starts().len();
        start = board.time;
        let sent = board.messages();
        every_note_ends(&sent, board.time);
        messages.extend(sent);
    }
    // The last one is stopped.
    let mut board = Mock::until(start + 3 * SECOND).receive_at(start, &[0xfc]);
    board.time = start;
    messages.extend(board.runs().messages());
    assert!(sounding(&messages).is_empty());
}

/// A stalled port delays the music; the notes do not all come at once afterwards.
#[test]
fn a_stall_is_not_made_up_for() {
    let free = Mock::until(20 * SECOND).runs().starts();
    let mut board = Mock::until(30 * SECOND);
    board.stalled.push(5 * SECOND..15 * SECOND);
    let stalled = board.runs().starts();
    let before = free.iter().take_while(|(time, _)| *time < 5 * SECOND).count();
    assert!(before > 5 && stalled.len() > before + 10);
    // The message being sent goes first.
    let delay = stalled[before + 1].0 - free[before + 1].0;
    assert!(delay > 9 * SECOND);
    for (free, stalled) in free.iter().zip(&stalled).skip(before + 1).take(10) {
        assert_eq!(free.1, stalled.1);
        assert!((stalled.0 - free.0).abs_diff(delay) < 12_000, "{free:?} {stalled:?}");
    }
}

#[test]
fn a_changed_byte_is_refused_or_changes_nothing() {
    // As in flash: erased after the model.
    let mut region = MODEL.to_vec();
    region.resize(MODEL.len() + 300_000, 0xff);
    let plays = |region: &[u8]| {
        let mut board = Mock::until(700_000);
        run(&mut board, region);
        board
    };
    let untouched = plays(&region);
    assert!(!untouched.starts().is_empty());
    let mut rng = Pcg32::new(3, 3);
    let (mut refused, mut padding) = (0, 0);
    for _ in 0..1000 {
        let at = rng.next_u32() as usize % region.len();
        let change = (rng.next_u32() % 255 + 1) as u8;
        region[at] ^= change;
        let board = plays(&region);
        region[at] ^= change;
        if at < MODEL.len() {
            assert!(board.starts().is_empty(), "plays with byte {at} changed by {change:#x}");
            assert_eq!(board.reports.len(), 1);
            refused += 1;
        } else {
            assert_eq!(board.sent, untouched.sent);
            padding += 1;
        }
    }
    assert!(refused > 800 && padding > 20, "{refused} refused, {padding} in the padding");
}

#[test]
fn a_region_without_a_model_is_silent_and_says_so() {
    let erased = vec![0xff; 100_000];
    let mut truncated = MODEL[..MODEL.len() / 2].to_vec();
    let cut = truncated.clone();
    truncated.resize(MODEL.len() + 1000, 0xff);
    let cases = [
        (&erased[..], ModelError::NotAModel),
        (&[], ModelError::Truncated),
        (&cut, ModelError::Truncated),
        (&truncated, ModelError::Checksum),
    ];
    for (region, error) in cases {
        let mut board = Mock::until(10 * SECOND);
        run(&mut board, region);
        assert_eq!(board.reports, [error]);
        // The board has silenced all notes that may sound, and sent nothing else.
        assert_eq!(board.messages().len(), SILENCING);
        assert!(board.starts().is_empty());
        // The LED's number of blinks between pauses of a second or more.
        let ons: Vec<Micros> =
            board.light.iter().filter(|(_, on)| *on).map(|&(time, _)| time).collect();
        let pause = ons.windows(2).position(|pair| pair[1] - pair[0] > SECOND);
        assert_eq!(pause.map(|last| last + 1), Some(usize::from(blinks(&error))), "{error:?}");
    }
}

#[test]
fn messages_start_stop_and_silence() {
    // Stop: all notes end at once, and nothing starts.
    let board = Mock::until(10 * SECOND).receive_at(3 * SECOND, &[0xfc]).runs();
    assert!(!board.starts().is_empty());
    assert!(board.starts().iter().all(|(time, _)| *time < 3 * SECOND + 1000));
    let by_then: Vec<_> =
        board.messages().into_iter().filter(|(time, _)| *time < 3 * SECOND + 2000).collect();
    assert!(sounding(&by_then).is_empty());

    // Input after Start has priority: at once, and while the other piece begins.
    for pause in [0, 2000, 20_000, 100_000] {
        for silence in [&[0xfc][..], &[0xb0, 120, 0]] {
            let mut board = Mock::until(6 * SECOND).receive_at(2 * SECOND, &[0xfa]);
            board.pace = 200;
            let starts = board.receive_at(2 * SECOND + pause, silence).runs().starts();
            let after = 2 * SECOND + pause + 50_000;
            assert!(!starts.iter().any(|&(time, _)| time > after), "{pause} {starts:?}");
        }
    }

    // Continue: the piece continues.
    let board =
        Mock::until(10 * SECOND).receive_at(3 * SECOND, &[0xfc]).receive_at(5 * SECOND, &[0xfb]);
    let starts = board.runs().starts();
    assert!(!starts.iter().any(|(time, _)| (3 * SECOND + 1000..5 * SECOND).contains(time)));
    assert!(starts.iter().any(|(time, _)| *time > 5 * SECOND));

    // Panic: every pitch is silenced.
    let board = Mock::until(5 * SECOND).receive_at(3 * SECOND, &[0xb0, 120, 0]).runs();
    let after = board.messages().into_iter().filter(|(time, _)| *time >= 3 * SECOND);
    assert_eq!(after.count(), SILENCING);

    // Button and Start: another piece, as after power on, from the next seed.
    let mut pressed = Mock::until(8 * SECOND);
    pressed.pressed = Some(3 * SECOND..3 * SECOND + 100_000);
    let started = Mock::until(8 * SECOND).receive_at(3 * SECOND, &[0xfa]);
    let model = Model::from_bytes(MODEL).unwrap();
    let second: Vec<u8> = played(&model, 43, 5, &Controls::default())
        .unwrap()
        .iter()
        .filter_map(|(_, message)| message.started())
        .collect();
    for board in [pressed, started] {
        let starts = board.runs().starts();
        let new = starts.iter().skip_while(|(time, _)| *time < 3 * SECOND + 1000);
        assert_eq!(new.map(|(_, pitch)| *pitch).take(5).collect::<Vec<_>>(), second);
    }
}

/// An instrument that echoes everything, at once or with a delay.
#[test]
fn what_comes_back_changes_nothing() {
    let sent = |echoes| {
        let mut board = Mock::until(20 * SECOND);
        board.echoes = echoes;
        board.runs().messages().into_iter().map(|(_, message)| message).collect::<Vec<_>>()
    };
    let alone = sent(None);
    assert!(alone.len() > SILENCING + 100);
    for latency in [0, 20_000, 200_000] {
        let looped = sent(Some(latency));
        // The clock advances as bytes are read: the last moment may differ.
        let common = alone.len().min(looped.len());
        assert!(common + 10 > alone.len() && looped[..common] == alone[..common], "{latency}");
    }
}

/// Drum pads are not treated as keys, and pedals that were left down are lifted.
#[test]
fn pads_are_not_heard_and_pedals_are_lifted() {
    let plain = Mock::until(10 * SECOND).runs();
    let pads = Mock::until(10 * SECOND).receive_at(SECOND, &[0x99, 36, 90, 0x89, 36, 0]).runs();
    assert_eq!(plain.starts().len(), pads.starts().len());
    assert!(plain.starts().iter().zip(&pads.starts()).all(|(one, other)| one.1 == other.1));
    for pedal in controller::PEDALS {
        let lifted = Message::control(pedal, 0);
        let first = plain.messages().iter().take(SILENCING).any(|(_, message)| *message == lifted);
        assert!(first, "{pedal}");
    }
}

#[test]
fn controls_change_what_follows() {
    let plain = Mock::until(20 * SECOND).runs().starts();
    let controlled = |number, value| {
        Mock::until(20 * SECOND).receive_at(0, &[0xb5, number, value]).runs().starts()
    };

    let transposed = controlled(Control::Transposition.number(), 64 + 5);
    assert_eq!(plain.len(), transposed.len());
    assert!(plain.iter().zip(&transposed).all(|(plain, up)| plain.1 + 5 == up.1));

    // Notes per second, an eighth of the value.
    let rate = |value| {
        let starts = controlled(Control::Density.number(), value);
        let (first, last) = (starts[0].0, starts[starts.len() - 1].0);
        (starts.len() - 1) as f64 / ((last - first) as f64 / 1e6)
    };
    let (slow, fast) = (rate(16), rate(96));
    assert!((1.0..3.5).contains(&slow) && (9.0..15.0).contains(&fast), "{slow} {fast}");

    // C sharp major.
    let scale = controlled(Control::Scale.number(), 2);
    assert!(scale.len() > 20);
    assert!(scale.iter().all(|(_, pitch)| [0, 1, 3, 5, 6, 8, 10].contains(&(pitch % 12))));

    let likeliest = controlled(Control::Temperature.number(), 0);
    let other_seed = {
        let mut board =
            Mock::until(20 * SECOND).receive_at(0, &[0xb0, Control::Temperature.number(), 0]);
        board.seed = 5;
        board.runs().starts()
    };
    assert_eq!(likeliest, other_seed);
    assert_ne!(likeliest, plain);
}

#[test]
fn knobs_turn_what_controllers_turn() {
    let mut board = Mock::until(20 * SECOND);
    board.knobs = Knobs { temperature: Some(0), density: Some(127) };
    let turned = board.runs().starts();
    let messages = [0xb0, Control::Temperature.number(), 0, Control::Density.number(), 127];
    let sent = Mock::until(20 * SECOND).receive_at(0, &messages).runs().starts();
    let pitches =
        |starts: &[(Micros, u8)]| -> Vec<u8> { starts.iter().map(|&(_, pitch)| pitch).collect() };
    assert!(turned.len() > 40);
    assert_eq!(pitches(&turned), pitches(&sent));
}

/// The model continues from the notes played on the keys.
#[test]
fn notes_played_in_prime_the_model() {
    let keys = |from: u8| {
        let mut board = Mock::until(12 * SECOND).receive_at(1000, &[0xfc]);
        for note in 0..8u8 {
            let time = SECOND / 4 * (1 + Micros::from(note));
            board = board.receive_at(time, &[0x90, from + note, 70]);
            board = board.receive_at(time + 200_000, &[0x80, from + note, 0]);
        }
        board.receive_at(3 * SECOND, &[0xfb]).runs().starts()
    };
    let (low, high) = (keys(50), keys(80));
    assert!(low.len() > 10 && high.len() > 10);
    assert!(low.iter().all(|(time, _)| *time >= 3 * SECOND));
    let mean = |starts: &[(Micros, u8)]| {
        starts.iter().take(10).map(|&(_, pitch)| f64::from(pitch)).sum::<f64>() / 10.0
    };
    assert!(mean(&low) + 5.0 < mean(&high), "{} {}", mean(&low), mean(&high));
}
