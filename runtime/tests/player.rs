//! The player: every note that starts ends, at its time, in every situation.
#![allow(clippy::unwrap_used)]

use pianola_runtime::{Instant, Message, Micros, Note, Player, controller};
use proptest::prelude::*;

/// A player with a small capacity, so that it runs out.
type Small = Player<4, 3>;

const START: Instant = Instant::START;

fn note() -> impl Strategy<Value = Note> {
    // Few pitches, so that they collide; chords, and notes of duration 0.
    let times = || prop_oneof![Just(0.0), 0.001f32..2.0, Just(f32::NAN), Just(-1.0)];
    (58u8..64, any::<u8>(), times(), times()).prop_map(|(pitch, velocity, step, duration)| Note {
        pitch,
        velocity,
        step,
        duration,
    })
}

/// An action on a player.
#[derive(Clone, Debug)]
enum Event {
    Push(Note),
    /// Time passes, with the port open or stalled.
    Pass(Micros, bool),
    Stop,
    Panic,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => note().prop_map(Event::Push),
        8 => (0u64..3_000_000, prop::bool::weighted(0.8))
            .prop_map(|(time, open)| Event::Pass(Micros::from_micros(time), open)),
        1 => Just(Event::Stop),
        1 => Just(Event::Panic),
    ]
}

/// Receives messages like an instrument.
#[derive(Default)]
struct Instrument {
    sounding: Vec<u8>,
}

impl Instrument {
    fn observe(&mut self, message: Message) {
        if let Some(pitch) = message.started() {
            assert!(!self.sounding.contains(&pitch), "{pitch} starts twice");
            assert!((1..128).contains(&message.bytes().from(2)[0]), "{message:?}");
            self.sounding.push(pitch);
        }
        if let Some(pitch) = message.ended() {
            self.sounding.retain(|&other| other != pitch);
        }
    }
}

/// Takes the messages due up to a time, each at its own time.
fn play(player: &mut Small, instrument: &mut Instrument, from: Instant, to: Instant) {
    let mut now = from;
    while let Some(due) = player.due().filter(|&due| due <= to) {
        now = now.max(due);
        while let Some(message) = player.next(now) {
            instrument.observe(message);
            assert!(instrument.sounding.len() <= 3);
        }
    }
}

proptest! {
    #[test]
    fn what_starts_ends(events in prop::collection::vec(event(), 0..200)) {
        let (mut player, mut instrument, mut now) = (Small::new(START), Instrument::default(), START);
        for event in events {
            match event {
                Event::Push(note) => {
                    player.push(&note, now);
                }
                Event::Pass(time, open) => {
                    if open {
                        play(&mut player, &mut instrument, now, now + time);
                    }
                    now += time;
                }
                Event::Stop => player.stop(now),
                Event::Panic => player.panic(now),
            }
        }
        player.stop(now);
        play(&mut player, &mut instrument, now, Instant::MAX);
        prop_assert!(instrument.sounding.is_empty() && player.sounding() == 0);
        prop_assert_eq!(player.due(), None);
    }

    /// With enough voices and messages taken in time, every note starts and ends on time.
    #[test]
    fn notes_keep_their_times(notes in prop::collection::vec(note(), 1..100)) {
        let mut player: Player = Player::new(START);
        while player.next(START).is_some() {}
        let (mut now, mut notes) = (START, notes.into_iter().peekable());
        let mut onset = START + Player::<32, 32>::LEAD;
        let mut expected: Vec<(Instant, Instant, u8)> = Vec::new();
        let (mut started, mut ended) = (Vec::new(), Vec::new());
        while notes.peek().is_some() || player.due().is_some() {
            while player.wants_note(now) && let Some(note) = notes.next() {
                let playable = note.playable();
                onset += Micros::from_seconds(playable.step);
                // A pitch ends when it is struck again.
                for (_, end, pitch) in &mut expected {
                    if *pitch == playable.pitch {
                        *end = (*end).min(onset);
                    }
                }
                let end = onset + Micros::from_seconds(playable.duration);
                expected.push((onset, end, playable.pitch));
                prop_assert!(player.push(&note, now));
            }
            now = player.due().unwrap();
            while let Some(message) = player.next(now) {
                started.extend(message.started().map(|pitch| (now, pitch)));
                ended.extend(message.ended().map(|pitch| (now, pitch)));
            }
        }
        let starts: Vec<_> = expected.iter().map(|&(start, _, pitch)| (start, pitch)).collect();
        let mut ends: Vec<_> = expected.iter().map(|&(_, end, pitch)| (end, pitch)).collect();
        ends.sort_unstable();
        ended.sort_unstable();
        prop_assert_eq!(started, starts);
        prop_assert_eq!(ended, ends);
    }

    /// After a stall of the port, waiting notes do not catch up: onsets keep their distances.
    #[test]
    fn late_music_slows_down(stall in 20_000u64..5_000_000) {
        let mut player: Player = Player::new(START);
        while player.next(START).is_some() {}
        for pitch in 60..70 {
            player.push(&Note { pitch, velocity: 80, step: 0.1, duration: 0.05 }, START);
        }
        let mut now = player.due().unwrap() + Micros::from_micros(stall);
        let mut onsets = Vec::new();
        while player.due().is_some() {
            while let Some(message) = player.next(now) {
                onsets.extend(message.started().map(|_| now));
            }
            now = player.due().unwrap_or(now).max(now);
        }
        prop_assert_eq!(onsets.len(), 10);
        prop_assert!(onsets.windows(2).all(|pair| pair[1] - pair[0] == Micros::from_millis(100)), "{:?}", onsets);
    }
}

#[test]
fn it_begins_by_silencing_every_pitch_and_lifting_every_pedal() {
    let mut player = Small::new(START);
    let messages: Vec<_> = std::iter::from_fn(|| player.next(START)).collect();
    let controls = [controller::ALL_SOUND_OFF, controller::ALL_NOTES_OFF, 64, 66, 67];
    assert_eq!(messages[..5], controls.map(|number| Message::control(number, 0)));
    let offs: Vec<_> = (0..128).map(Message::note_off).collect();
    assert_eq!(messages[5..], offs);
}

#[test]
fn a_note_without_a_voice_ends_the_one_that_would_end_soonest() {
    let mut player = Small::new(START);
    while player.next(START).is_some() {}
    for (pitch, duration) in [(60, 3.0), (61, 1.0), (62, 2.0), (63, 1.0)] {
        assert!(player.push(&Note { pitch, velocity: 80, step: 0.0, duration }, START));
    }
    assert!(!player.push(&Note { pitch: 64, velocity: 80, step: 0.0, duration: 1.0 }, START));
    let now = player.due().unwrap();
    let messages: Vec<_> = std::iter::from_fn(|| player.next(now)).collect();
    let on = |pitch| Message::note_on(pitch, 80);
    assert_eq!(messages, [on(60), on(61), on(62), Message::note_off(61), on(63)]);
}

#[test]
fn a_pitch_that_sounds_is_ended_before_it_starts_again() {
    let mut player = Small::new(START);
    while player.next(START).is_some() {}
    player.push(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 5.0 }, START);
    player.push(&Note { pitch: 60, velocity: 90, step: 1.0, duration: 1.0 }, START);
    let mut times = Vec::new();
    while let Some(now) = player.due() {
        times.extend(std::iter::from_fn(|| player.next(now)).map(|message| (now, message)));
    }
    let after = |millis| START + Small::LEAD + Micros::from_millis(millis);
    let expected = [
        (after(0), Message::note_on(60, 80)),
        (after(1_000), Message::note_off(60)),
        (after(1_000), Message::note_on(60, 90)),
        (after(2_000), Message::note_off(60)),
    ];
    assert_eq!(times, expected);
}

#[test]
fn of_messages_due_together_ends_come_first() {
    let mut player = Small::new(START);
    while player.next(START).is_some() {}
    player.push(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 }, START);
    player.push(&Note { pitch: 61, velocity: 80, step: 0.5, duration: 0.5 }, START);
    let now = player.due().unwrap();
    assert_eq!(player.next(now).unwrap().started(), Some(60));
    assert_eq!(player.next(now + Micros::from_millis(500)).unwrap().ended(), Some(60));
    assert_eq!(player.next(now + Micros::from_millis(500)).unwrap().started(), Some(61));
}

/// A board that takes 240 ms per note, for music of seven notes per second.
#[test]
fn music_that_is_too_dense_slows_down_and_keeps_its_rhythm() {
    const COST: Micros = Micros::from_millis(240);
    // Three notes together, then two apart.
    let steps = [0.2, 0.0, 0.0, 0.2, 0.4].into_iter().cycle();
    let notes = steps.zip((40..90).cycle()).take(400);
    let mut player: Player = Player::new(START);
    while player.next(START).is_some() {}
    let (mut now, mut onsets) = (START, Vec::<Instant>::new());
    for (step, pitch) in notes {
        let mut ready = now + COST;
        while !player.wants_note(ready) {
            ready += Micros::from_millis(1);
        }
        // Messages are taken in time, also while a note is being generated.
        while let Some(due) = player.due().filter(|&due| due <= ready) {
            now = now.max(due);
            while let Some(message) = player.next(now) {
                onsets.extend(message.started().map(|_| now));
            }
        }
        now = ready;
        assert!(player.push(&Note { pitch, velocity: 80, step, duration: 0.1 }, now));
    }
    // Once the tempo has settled.
    let gaps: Vec<f64> =
        onsets.windows(2).map(|pair| (pair[1] - pair[0]).as_micros() as f64 / 1e6).collect();
    let bars: Vec<&[f64]> = gaps[99..].chunks_exact(5).collect();
    assert!(bars.len() > 40);
    for bar in bars {
        let [first, together, also, short, long] = bar[..] else { continue };
        assert!(together < 0.001 && also < 0.001, "{bar:?}");
        assert!(
            (1.8..2.2).contains(&(long / short)) && (0.8..1.25).contains(&(first / short)),
            "{bar:?}"
        );
        let total: f64 = bar.iter().sum();
        assert!((1.0..1.5).contains(&total), "{bar:?}");
    }
}
