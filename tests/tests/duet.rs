//! `pianola play --listen`: answering a player, and accompanying one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use pianola_host::corpus::{Corpus, Set, Split};
use pianola_host::midi_file::{Tracks, read_score};
use pianola_runtime::{
    Generator, MAX_HIDDEN, MAX_LAYERS, Message, Model, Note, Sampling, Scale, controller,
};
use pianola_tests::instrument::{Instrument, MODEL, Playing, Signal, until};
use pianola_tests::{data, root};

const PAUSE: Duration = Duration::from_millis(150);

/// Four bars in C major, with running status and note-ons of velocity 0.
fn play_four_bars(instrument: &Instrument) {
    let mut held = None;
    for pitch in [60, 64, 67, 72, 71, 67, 62, 67, 60, 64, 67, 72, 74, 71, 72] {
        instrument.press(&[0x93, pitch, 70]);
        // Legato: no gap can count as a pause, even on a slow machine.
        held.into_iter().for_each(|before| instrument.press(&[before, 0xfe, 0]));
        held = Some(pitch);
        sleep(Duration::from_millis(60));
    }
    held.into_iter().for_each(|last| instrument.press(&[last, 0xfe, 0]));
}

/// Presses and holds a key; returns the time until nothing sounded. Nothing may start then.
fn hand_over(instrument: &Instrument) -> Duration {
    let pressed = Instant::now();
    instrument.press(&[0x90, 60, 80]);
    sleep(2 * PAUSE);
    instrument.must_be_silent();
    let since = |&(time, _): &(Instant, _)| (time > pressed).then(|| time - pressed);
    let messages = instrument.messages();
    let taken = messages.iter().filter_map(since).max().unwrap_or_default();
    instrument.press(&[0x80, 60, 64]);
    taken
}

#[test]
fn it_answers_when_the_player_pauses_and_stops_when_they_play() {
    let instrument = Instrument::plug_in();
    let path = instrument.path.to_str().unwrap();
    let playing = Playing::on(&instrument.path, 1, &["--listen", path, "--gap", "0.15"]);
    // Pianola waits for input.
    instrument.wait_until_open();
    play_four_bars(&instrument);
    assert!(instrument.starts().is_empty(), "it plays before, or passes on what comes from there");
    let paused = Instant::now();
    let mut count = 0;
    let mut taken: Vec<Duration> = (0..6)
        .map(|turn| {
            let starts = instrument.wait_for(count + 5);
            if turn == 0 {
                let (first, _) = starts[0];
                eprintln!("the answer comes {:?} after the last release", first - paused);
            }
            let taken = hand_over(&instrument);
            count = instrument.starts().len();
            taken
        })
        .collect();
    taken.sort();
    eprintln!("hands over within {:?}, at most {:?}", taken[3], taken[5]);
    assert!(taken[3] < Duration::from_millis(100), "{taken:?}");
    interrupt(playing);
    instrument.must_be_silent();
}

fn interrupt(mut playing: Playing) {
    playing.signal(Signal::INT);
    playing.end();
}

#[test]
fn what_is_played_on_another_instrument_is_passed_on() {
    let (keyboard, piano) = (Instrument::plug_in(), Instrument::plug_in());
    let path = keyboard.path.to_str().unwrap();
    let playing = Playing::on(&piano.path, 1, &["--listen", path, "--gap", "0.15"]);
    piano.wait_until_open();
    keyboard.press(&[0x95, 50, 99, 0xc5, 3, 0xb5, 64, 127]);
    let expected = [
        Message::note_on(50, 99),
        Message::Program { channel: 0, number: 3 },
        Message::control(controller::SUSTAIN, 127),
    ];
    until("it is passed on", || piano.control(controller::SUSTAIN) == Some(127));
    let messages: Vec<Message> = piano.messages().into_iter().map(|(_, message)| message).collect();
    assert!(messages.ends_with(&expected), "{messages:?}");
    keyboard.press(&[0x85, 50, 64]);
    piano.wait_for(5);
    assert!(keyboard.messages().is_empty());
    // A key is held and the keyboard is unplugged: the key is released, and answered.
    keyboard.press(&[0x90, 62, 3]);
    let key = Message::note_on(62, 3);
    until("the key is passed on", || piano.messages().iter().any(|(_, message)| *message == key));
    let count = piano.starts().len();
    drop(keyboard);
    piano.wait_for(count + 5);
    // The pedal is released too.
    assert_eq!(piano.control(controller::SUSTAIN), Some(0));
    interrupt(playing);
    piano.must_be_silent();
}

#[test]
fn it_plays_on_under_the_player() {
    let instrument = Instrument::plug_in();
    let path = instrument.path.to_str().unwrap();
    let options = ["--listen", path, "--mode", "accompany"];
    let playing = Playing::on(&instrument.path, 2, &options);
    let before = instrument.wait_for(5).len();
    play_four_bars(&instrument);
    instrument.wait_for(before + 5);
    // Until an all-notes-off message.
    let silenced = || {
        let all = instrument.messages().into_iter();
        all.filter(|(_, message)| *message == Message::control(controller::ALL_SOUND_OFF, 0))
            .count()
    };
    let before = silenced();
    instrument.press(&[0xb0, 123, 0]);
    until("everything is silenced", || silenced() > before);
    let count = instrument.starts().len();
    // As long as four of the pauses after which it would go on.
    sleep(4 * PAUSE);
    assert_eq!(instrument.starts().len(), count);
    interrupt(playing);
    instrument.must_be_silent();
}

/// Shares of the twelve pitch classes.
fn classes(pitches: impl Iterator<Item = u8>) -> [f64; 12] {
    let (mut shares, mut count) = ([0.0; 12], 0.0);
    for pitch in pitches {
        shares[usize::from(pitch % 12)] += 1.0;
        count += 1.0;
    }
    shares.map(|share| share / f64::max(count, 1.0))
}

fn distance(one: &[f64; 12], other: &[f64; 12]) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum()
}

/// Effect of a primer on the pitch classes of the continuation, over fifty held-out songs.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_answer_depends_on_what_was_played() {
    const PRIMER: usize = 48;
    const ANSWER: usize = 48;
    let corpus = Corpus::read(&data().join("piano-midi"), Tracks::All).unwrap();
    let split = Split::read(&data().join("reference_split.tsv")).unwrap();
    let file = std::fs::read(root().join(MODEL)).unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let sampling = Sampling::default().with_guards();
    let answer = |primer: &[Note], seed: u64| {
        let mut generator = Generator::<MAX_LAYERS, MAX_HIDDEN>::from_model(&model, seed).unwrap();
        primer.iter().for_each(|note| generator.observe(note));
        classes((0..ANSWER).map(|_| generator.next_note(&sampling).pitch))
    };
    let songs = corpus.set(&split, Set::Test).filter(|song| song.notes.len() > PRIMER).take(50);
    let (mut songs_heard, mut nearer, mut sums) = (0, 0, [0.0; 2]);
    for (seed, song) in (0..).zip(songs) {
        let primer = &song.notes[..PRIMER];
        let played = classes(primer.iter().map(|note| note.pitch));
        let [primed, unprimed] =
            [primer, &[]].map(|primer| distance(&answer(primer, seed), &played));
        songs_heard += 1;
        nearer += usize::from(primed < unprimed);
        sums = [sums[0] + primed, sums[1] + unprimed];
    }
    let [primed, unprimed] = sums.map(|sum| sum / songs_heard as f64);
    eprintln!(
        "{songs_heard} primers: {primed:.3} from their pitch classes, {unprimed:.3} unprimed; nearer \
         in {nearer}"
    );
    assert_eq!(songs_heard, 50);
    assert!(primed < 0.8 * unprimed && nearer > 40);
}

/// The same effect through a port. The answer depends on when each key arrives, so a single one may well leave
/// the scale: of four, the mean share was above 0.65 in all but 4 of 100,000 draws from 300 answers.
#[test]
fn an_answer_keeps_to_the_scale_that_was_played() {
    let share_in_c = |seed: u64| {
        let instrument = Instrument::plug_in();
        let path = instrument.path.to_str().unwrap();
        let playing = Playing::on(&instrument.path, seed, &["--listen", path, "--gap", "0.15"]);
        instrument.wait_until_open();
        (0..4).for_each(|_| play_four_bars(&instrument));
        let answer = instrument.wait_for(30);
        interrupt(playing);
        let c_major = Scale::major(0);
        let in_c = answer.iter().filter(|(_, pitch)| c_major.contains(*pitch)).count();
        in_c as f64 / answer.len() as f64
    };
    let shares: Vec<f64> = thread::scope(|scope| {
        let answers = [4, 5, 6, 7].map(|seed| scope.spawn(move || share_in_c(seed)));
        answers.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    // Random pitches would give 58 %.
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(mean > 0.65, "{shares:?}");
}

/// A map file assigns controllers to controls, and the recording is written at the end.
#[test]
fn controllers_steer_and_both_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (map, record) = (folder.path().join("map.toml"), folder.path().join("both.mid"));
    std::fs::write(&map, "lowest = 70\nhighest = 71\n").unwrap();
    let instrument = Instrument::plug_in();
    let path = instrument.path.to_str().unwrap();
    let options = ["--listen", path, "--gap", "0.15", "--map", map.to_str().unwrap()];
    let record_options = ["--record", record.to_str().unwrap()];
    let playing = Playing::on(&instrument.path, 9, &[&options[..], &record_options].concat());
    instrument.wait_until_open();
    instrument.press(&[0xb0, 70, 100, 71, 104]);
    play_four_bars(&instrument);
    let answer = instrument.wait_for(10);
    assert!(answer.iter().all(|(_, pitch)| (100..=104).contains(pitch)), "{answer:?}");
    interrupt(playing);
    let score = read_score(&std::fs::read(record).unwrap()).unwrap();
    let [person, pianola] = &score.instruments[..] else { panic!("{score:?}") };
    assert_eq!((person.name.as_str(), pianola.name.as_str()), ("Person", "Pianola"));
    assert_eq!(person.notes.len(), 15);
    assert_eq!(pianola.notes.len(), instrument.starts().len());
}
