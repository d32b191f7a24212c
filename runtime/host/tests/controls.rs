//! Each control has its documented effect on the notes drawn.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{EXPRESSIVE, random_weights, small_expressive_model};
use pianola_host::corpus::Song;
use pianola_host::export::pack;
use pianola_host::originality::filter;
use pianola_host::statistics::music::Measures;
use pianola_runtime::guard::{Filter, Guard};
use pianola_runtime::vocabulary::{bins, time_bin};
use pianola_runtime::{
    Generator, Hands, Model, Note, Precision, Sampling, SamplingParams, Scale, Start,
};

const NOTES: usize = 1500;

/// Notes of a model with random weights, which plays all over the keyboard.
fn piece(sampling: &Sampling) -> Vec<Note> {
    with(&small_expressive_model(Precision::Int8), sampling)
}

fn with(file: &[u8], sampling: &Sampling) -> Vec<Note> {
    let model = Model::from_bytes(file).unwrap();
    let mut generator = Generator::<2, 32>::from_model(&model, 11).unwrap();
    (0..NOTES).map(|_| generator.next_note(sampling)).collect()
}

/// Entropy of a note's part, in bits: step, pitch, duration, velocity.
fn entropies(notes: &[Note]) -> [f64; 4] {
    [0, 1, 2, 3].map(|part| {
        let mut counts = BTreeMap::new();
        for note in notes {
            *counts.entry(bins(note)[part]).or_insert(0.0) += 1.0;
        }
        let shares = counts.values().map(|count| count / notes.len() as f64);
        shares.map(|share: f64| -share * share.log2()).sum()
    })
}

#[test]
fn temperatures_and_top_p_work_on_their_part_alone() {
    let free = entropies(&piece(&Sampling::default()));
    let strict = [
        SamplingParams::with_temperature(0.02),
        SamplingParams::with_temperature(1.0).with_top_p(0.1),
    ];
    for params in strict {
        let [mut pitch, mut time, mut velocity] = [Sampling::default(); 3];
        (pitch.pitch, time.time, velocity.velocity) = (params, params, params);
        // Parts: step, pitch, duration, velocity.
        for (sampling, of) in [
            (pitch, [false, true, false, false]),
            (time, [true, false, true, false]),
            (velocity, [false, false, false, true]),
        ] {
            let held = entropies(&piece(&sampling));
            for part in 0..4 {
                let fell = held[part] < 0.97 * free[part];
                assert_eq!(fell, of[part], "{sampling:?}: {held:?}, not {free:?}");
            }
        }
    }
    // In greedy decoding, the seed does not matter.
    let file = small_expressive_model(Precision::Int8);
    let model = Model::from_bytes(&file).unwrap();
    let greedy = |seed| -> Vec<Note> {
        let mut generator = Generator::<2, 32>::from_model(&model, seed).unwrap();
        (0..100).map(|_| generator.next_note(&Sampling::with_temperature(0.0))).collect()
    };
    assert_eq!(greedy(1), greedy(2));
}

#[test]
fn scale_and_register_hold_together() {
    let sampling = Sampling::default().with_scale(Scale::minor(9)).with_register(50, 70);
    let notes = piece(&sampling);
    assert!(notes.iter().all(|note| (50..=70).contains(&note.pitch)));
    assert!(notes.iter().all(|note| Scale::minor(9).contains(note.pitch)));
    // A register without a pitch of the scale: any pitch is better than none.
    let nothing = sampling.with_scale(Scale::major(0)).with_register(61, 61);
    assert_eq!(piece(&nothing).len(), NOTES);
}

/// Most pitches that sound at the onset of a note.
fn most_at_once(notes: &[Note]) -> usize {
    let mut ends = BTreeMap::new();
    let (mut onset, mut most) = (0.0, 0);
    for note in notes {
        onset += f64::from(note.step);
        ends.retain(|_, end| *end > onset + 1e-3);
        ends.insert(note.pitch, onset + f64::from(note.duration));
        most = most.max(ends.len());
    }
    most
}

#[test]
fn no_more_pitches_sound_at_once_than_asked_for() {
    for polyphony in [1, 2, 5] {
        let notes = piece(&Sampling::default().with_polyphony(polyphony));
        let most = most_at_once(&notes);
        assert!(most <= usize::from(polyphony), "{most}, not {polyphony}");
        assert_eq!(most, usize::from(polyphony), "the limit is reached");
    }
}

/// Notes do not wait for a voice: a sounding note is cut.
#[test]
fn few_voices_slow_nothing_down() {
    let pace = |polyphony| {
        let mut sampling = Sampling::default();
        sampling.polyphony = polyphony;
        let notes = piece(&sampling);
        notes.len() as f32 / notes.iter().map(|note| note.step).sum::<f32>()
    };
    let meant = pace(None);
    for polyphony in [1, 2] {
        let met = pace(Some(polyphony));
        assert!(met > 0.5 * meant, "{met} notes a second with {polyphony} voices, not {meant}");
    }
}

/// By default only the keys of a piano are played; a piece that stays on them is unchanged.
#[test]
fn the_default_register_is_a_piano() {
    let all = Sampling::default().with_register(0, 127);
    let on_piano = |notes: &[Note]| notes.iter().all(|note| (21..=108).contains(&note.pitch));
    let (piano, wide) = (piece(&Sampling::default()), piece(&all));
    assert!(!on_piano(&wide) && on_piano(&piano));
    let same = wide.iter().take_while(|note| (21..=108).contains(&note.pitch)).count();
    assert_eq!(piano[..same], wide[..same]);
}

/// Every key of the piano is struck, so that the guards leave only pitches beyond it at the same moment.
#[test]
fn the_default_register_holds_where_no_key_passes_the_guards() {
    let mut weights = random_weights(EXPRESSIVE, 0.1, 3);
    weights.tensors.get_mut("head.step.output.bias").unwrap()[0] = 50.0;
    let file = pack(&weights, Precision::Int8).unwrap().bytes;
    let model = Model::from_bytes(&file).unwrap();
    for seed in 0..5 {
        let mut generator = Generator::<2, 32>::from_model(&model, seed).unwrap();
        for pitch in 21..=108 {
            generator.observe(&Note { pitch, velocity: 80, step: 0.0, duration: 1.0 });
        }
        let note = generator.next_note(&Sampling::default());
        assert!(note.step == 0.0 && (21..=108).contains(&note.pitch), "{note:?}");
    }
}

#[test]
fn density_is_met_over_time() {
    for density in [1.0f32, 4.0, 12.0] {
        let notes = piece(&Sampling::default().with_density(density));
        let seconds: f32 = notes.iter().map(|note| note.step).sum();
        let met = notes.len() as f32 / seconds;
        assert!((met / density - 1.0).abs() < 0.05, "{met} notes a second, not {density}");
    }
}

#[test]
fn controls_change_between_two_notes() {
    let file = small_expressive_model(Precision::Int8);
    let model = Model::from_bytes(&file).unwrap();
    let mut generator = Generator::<2, 32>::from_model(&model, 5).unwrap();
    for at in 0..40 {
        let only = 30 + at;
        let narrow = Sampling::default().with_register(only, only);
        assert_eq!(generator.next_note(&narrow).pitch, only);
    }
}

#[test]
fn no_pitch_is_struck_twice_at_one_moment() {
    let mut struck = Vec::new();
    // Few pitches, and many chords.
    let sampling = Sampling::default().with_register(60, 79);
    for note in piece(&sampling.with_density(50.0)) {
        if note.step > 0.0 {
            struck.clear();
        }
        assert!(!struck.contains(&note.pitch) || struck.len() >= 20, "{note:?} after {struck:?}");
        struck.push(note.pitch);
    }
}

/// A model that strongly prefers one pitch.
fn obsessed() -> Vec<u8> {
    let mut weights = random_weights(EXPRESSIVE, 0.1, 3);
    weights.tensors.get_mut("head.pitch.output.bias").unwrap()[60] = 12.0;
    // It plays no chords, because a chord has no pitch twice.
    weights.tensors.get_mut("head.step.output.bias").unwrap()[0] = -50.0;
    pack(&weights, Precision::Int8).unwrap().bytes
}

#[test]
fn the_repetition_guard_breaks_loops() {
    let longest = |sampling: &Sampling| {
        let notes = with(&obsessed(), sampling);
        notes.chunk_by(|a, b| a.pitch == b.pitch).map(<[Note]>::len).max().unwrap()
    };
    let mut guarded = Sampling::default();
    guarded.repetition_guard = true;
    assert!(longest(&Sampling::default()) > 50);
    assert!(longest(&guarded) <= 12);
}

#[test]
fn the_drift_guard_leads_back() {
    // A model that prefers high pitches.
    let mut weights = random_weights(EXPRESSIVE, 0.1, 3);
    let bias = weights.tensors.get_mut("head.pitch.output.bias").unwrap();
    bias.iter_mut().zip(0u8..).for_each(|(bias, pitch)| *bias = f32::from(pitch) / 20.0);
    let high = pack(&weights, Precision::Int8).unwrap().bytes;
    let mean = |sampling: &Sampling| {
        let notes = with(&high, sampling);
        notes.iter().map(|note| f64::from(note.pitch)).sum::<f64>() / notes.len() as f64
    };
    let mut guarded = Sampling::default();
    guarded.drift_guard = true;
    assert!(mean(&Sampling::default()) > 83.0);
    assert!(mean(&guarded) < 75.0, "{}", mean(&guarded));
    // The right hand has a higher target.
    let model = Model::from_bytes(&high).unwrap();
    let start = Start::new(11).with_hands(Hands::Right);
    let mut generator = Generator::<2, 32>::from_model(&model, start).unwrap();
    let melody: f64 = (0..NOTES).map(|_| f64::from(generator.next_note(&guarded).pitch)).sum();
    let (melody, both) = (melody / NOTES as f64, mean(&guarded));
    assert!((5.0..13.0).contains(&(melody - both)), "{melody}, {both}");
    // A model that prefers short steps, and one that prefers long ones.
    let liking = |a_bin: f32| {
        let mut weights = random_weights(EXPRESSIVE, 0.1, 3);
        let bias = weights.tensors.get_mut("head.step.output.bias").unwrap();
        bias.iter_mut().zip(0u8..).for_each(|(bias, bin)| *bias = a_bin * f32::from(bin));
        pack(&weights, Precision::Int8).unwrap().bytes
    };
    let a_second = |model: &[u8], sampling: &Sampling| {
        let notes = with(model, sampling);
        notes.len() as f32 / notes.iter().map(|note| note.step).sum::<f32>()
    };
    let (fast, slow) = (liking(-1.0 / 7.0), liking(1.0 / 30.0));
    let [of_fast, of_slow] = [&fast, &slow].map(|model| a_second(model, &Sampling::default()));
    let [led_fast, led_slow] = [&fast, &slow].map(|model| a_second(model, &guarded));
    assert!(of_fast > 30.0 && led_fast < 0.6 * of_fast, "{of_fast}, {led_fast}");
    assert!(of_slow < 1.0 && led_slow > 3.0 * of_slow, "{of_slow}, {led_slow}");
    // But slow playing is answered slowly, and melodies may be slow.
    let model = Model::from_bytes(&slow).unwrap();
    let mut generator = Generator::<2, 32>::from_model(&model, 11).unwrap();
    let mut pace = |hands, guarded: &Sampling, heard: f32| {
        generator.restart(Start::new(11).with_hands(hands));
        let heard_note = Note { pitch: 60, velocity: 80, step: heard, duration: 0.5 };
        (0..200).filter(|_| heard > 0.0).for_each(|_| generator.observe(&heard_note));
        let notes: Vec<Note> = (0..NOTES).map(|_| generator.next_note(guarded)).collect();
        notes.len() as f32 / notes.iter().map(|note| note.step).sum::<f32>()
    };
    let polyphonic = guarded.with_polyphony(9);
    let held = pace(Hands::Both, &guarded, 0.0);
    for (hands, sampling, heard) in
        [(Hands::Both, guarded, 2.0), (Hands::Right, guarded, 0.0), (Hands::Both, polyphonic, 0.0)]
    {
        let slower = pace(hands, &sampling, heard);
        assert!(slower < 0.6 * held, "{hands:?}, {sampling:?}, {heard}: {slower}, not {held}");
    }
    // A model that plays two pitch classes, and one that plays all alike.
    let knowing = |liking: &dyn Fn(u8) -> f32| {
        let mut weights = random_weights(EXPRESSIVE, 0.05, 3);
        let bias = weights.tensors.get_mut("head.pitch.output.bias").unwrap();
        bias.iter_mut().zip(0u8..).for_each(|(bias, pitch)| *bias = liking(pitch));
        pack(&weights, Precision::Int8).unwrap().bytes
    };
    let usual = |pitch: u8| -((f32::from(pitch) - 64.0) / 12.0).powi(2);
    let few = knowing(&|pitch| usual(pitch) + if pitch % 6 == 0 { 4.0 } else { 0.0 });
    let many = knowing(&usual);
    let entropy = |model: &[u8], sampling: &Sampling| {
        Measures::of(&with(model, sampling)).pitch_class_entropy
    };
    let [of_few, of_many] = [&few, &many].map(|model| entropy(model, &Sampling::default()));
    assert!(entropy(&few, &guarded) > of_few + 0.1, "{of_few}, {}", entropy(&few, &guarded));
    assert!(entropy(&many, &guarded) < of_many - 0.02, "{of_many}, {}", entropy(&many, &guarded));
    // A high register is respected.
    let treble = guarded.with_register(100, 127);
    assert!(with(&high, &treble).iter().all(|note| note.pitch >= 100));
}

#[test]
fn the_drift_guard_keeps_a_piece_as_loud_as_it_was_meant() {
    let liking = |velocity: u8| {
        let mut weights = random_weights(EXPRESSIVE, 0.1, 3);
        let bias = weights.tensors.get_mut("head.velocity.output.bias").unwrap();
        let away = |bin: u8| (f32::from(bin) - f32::from(velocity / 4)) / 5.0;
        bias.iter_mut().zip(0u8..).for_each(|(bias, bin)| *bias = -away(bin).powi(2) / 2.0);
        pack(&weights, Precision::Int8).unwrap().bytes
    };
    let mean = |file: &[u8], drift_guard, heard: Option<u8>| {
        let model = Model::from_bytes(file).unwrap();
        let mut generator = Generator::<2, 32>::from_model(&model, 11).unwrap();
        if let Some(velocity) = heard {
            let note = Note { pitch: 60, velocity, step: 0.1, duration: 0.5 };
            (0..40).for_each(|_| generator.observe(&note));
        }
        let mut sampling = Sampling::default();
        sampling.drift_guard = drift_guard;
        let velocity = |_| f64::from(generator.next_note(&sampling).velocity);
        (0..NOTES).map(velocity).sum::<f64>() / NOTES as f64
    };
    // Soft playing is answered softly by a model that prefers loud notes, and vice versa.
    for (liked, heard) in [(96, 40), (32, 100)] {
        let file = liking(liked);
        let [free, held] = [false, true].map(|guard| mean(&file, guard, Some(heard)));
        let far = |mean: f64| (mean - f64::from(heard)).abs();
        assert!(far(free) > 40.0 && far(held) < 0.5 * far(free), "{heard}: {free}, {held}");
        // A piece that begins with the model's own loudness keeps it.
        let [free, held] = [false, true].map(|guard| mean(&file, guard, None));
        assert!((free - held).abs() < 4.0, "{free}, {held}");
    }
}

#[test]
fn nothing_is_played_that_the_filter_knows() {
    const N: usize = 4;
    // The passage that it would play without a filter is blocked.
    let narrow = Sampling::default().with_register(48, 83);
    let notes = piece(&narrow);
    let song = Song { name: "itself".into(), notes: notes.clone() };
    let bytes = filter::build([&song], N).unwrap();
    let filter = Filter::from_bytes(&bytes).unwrap();
    let repeats = |notes: &[Note]| {
        let mut guard = Guard::new(&filter);
        let repeats = |note: &&Note| {
            let forbidden = guard.forbids(note.step, note.pitch);
            guard.observe(note);
            forbidden
        };
        notes.iter().filter(repeats).count()
    };
    assert!(repeats(&notes) > NOTES / 2);
    let file = small_expressive_model(Precision::Int8);
    let model = Model::from_bytes(&file).unwrap();
    let mut generator = Generator::<2, 32>::from_model(&model, 11).unwrap();
    generator.set_filter(Some(&filter));
    let kept: Vec<Note> = (0..NOTES).map(|_| generator.next_note(&narrow)).collect();
    assert_eq!(repeats(&kept), 0);
    generator.restart(11);
    let again: Vec<Note> = (0..NOTES).map(|_| generator.next_note(&narrow)).collect();
    assert_eq!(again, kept, "a restart forgets what was played, not what is forbidden");
}

#[test]
fn notes_are_playable_and_have_dynamics() {
    let notes = piece(&Sampling::default());
    for note in &notes {
        assert!(note.pitch < 128 && (1..=127).contains(&note.velocity));
        assert!((0.0..=Note::MAX_SECONDS).contains(&note.step));
        assert!((0.0..=Note::MAX_SECONDS).contains(&note.duration));
    }
    assert!(notes.iter().any(|note| note.velocity != notes[0].velocity));
    assert!(notes.iter().any(|note| time_bin(note.step) != time_bin(notes[0].step)));
}
