//! Notes: reproducible, playable, and drawn from the requested distribution.
#![allow(clippy::unwrap_used)]

mod common;

use common::{SMALL, random_weights, small_model};
use pianola_host::export::pack;
use pianola_runtime::history::PartialNote;
use pianola_runtime::{
    BOS, Generator, Hands, Model, Network, Note, Precision, Sampling, SamplingParams,
};

const NOTES: usize = 500;

fn piece(bytes: &[u8], seed: u64, sampling: &Sampling) -> Vec<Note> {
    let model = Model::from_bytes(bytes).unwrap();
    let mut generator: Generator<2, 32> = Generator::from_model(&model, seed).unwrap();
    (0..NOTES).map(|_| generator.next_note(sampling)).collect()
}

#[test]
fn the_seed_decides() {
    for precision in [Precision::Float, Precision::Int8] {
        let bytes = small_model(precision);
        let sampling = Sampling::default();
        assert_eq!(piece(&bytes, 1, &sampling), piece(&bytes, 1, &sampling));
        assert_ne!(piece(&bytes, 1, &sampling), piece(&bytes, 2, &sampling));
    }
}

#[test]
fn a_larger_buffer_changes_nothing() {
    let bytes = small_model(Precision::Int8);
    let model = Model::from_bytes(&bytes).unwrap();
    let mut large: Generator<5, 48> = Generator::from_model(&model, 3).unwrap();
    for note in piece(&bytes, 3, &Sampling::default()) {
        assert_eq!(large.next_note(&Sampling::default()), note);
    }
}

#[test]
fn restarting_forgets_everything() {
    let bytes = small_model(Precision::Int8);
    let model = Model::from_bytes(&bytes).unwrap();
    let mut generator: Generator<2, 32> = Generator::from_model(&model, 8).unwrap();
    generator.observe(&Note { pitch: 200, velocity: 1, step: 3.0, duration: 9.0 });
    generator.next_note(&Sampling::default());
    generator.restart(4);
    let again: Vec<Note> = (0..NOTES).map(|_| generator.next_note(&Sampling::default())).collect();
    assert_eq!(again, piece(&bytes, 4, &Sampling::default()));
}

#[test]
fn what_is_heard_changes_what_is_played() {
    let bytes = small_model(Precision::Float);
    let model = Model::from_bytes(&bytes).unwrap();
    let mut network: Network<2, 32> = Network::from_model(&model, Hands::Both).unwrap();
    let pitches =
        |network: &Network<2, 32>| network.predict(PartialNote::Step(0.0)).values().to_vec();
    let before = pitches(&network);
    network.observe(&Note { pitch: 60, velocity: 80, step: 0.1, duration: 0.2 });
    let after = pitches(&network);
    assert_ne!(before, after);
    let mut other: Network<2, 32> = Network::from_model(&model, Hands::Both).unwrap();
    other.observe(&Note { pitch: 60, velocity: 80, step: 0.1, duration: 0.3 });
    assert_ne!(after, pitches(&other));
}

/// A model whose heads' biases are set, with all other weights small.
fn biased(set: impl Fn(&str, usize) -> Option<f32>) -> Vec<u8> {
    let mut weights = random_weights(SMALL, 0.01, 5);
    for (name, tensor) in &mut weights.tensors {
        for (index, value) in tensor.iter_mut().enumerate() {
            *value = set(name, index).unwrap_or(*value);
        }
    }
    pack(&weights, Precision::Int8).unwrap().bytes
}

#[test]
fn bos_is_never_played() {
    let bytes = biased(|name, index| match name {
        "decoder_pitch2.bias" => Some(if index == usize::from(BOS) { 50.0 } else { 0.0 }),
        _ => None,
    });
    for temperature in [0.0, 1.0, 100.0] {
        let sampling = Sampling::with_temperature(temperature);
        assert!(piece(&bytes, 1, &sampling).iter().all(|note| note.pitch < BOS));
    }
}

#[test]
fn impossible_times_are_made_playable() {
    for (bias, played) in [(-3.0, 0.0), (1e30, Note::MAX_SECONDS)] {
        let bytes = biased(|name, _| match name {
            "decoder_step.bias" | "decoder_duration.bias" => Some(bias),
            _ => None,
        });
        for note in piece(&bytes, 1, &Sampling::default()) {
            assert_eq!((note.step, note.duration), (played, played));
        }
    }
}

/// A model that expects pitches 60, 61, 62, 63 with probabilities 1/2, 1/4, 1/8, 1/8.
fn four_pitches() -> Vec<u8> {
    biased(|name, index| match name {
        "decoder_pitch2.weight" => Some(0.0),
        "decoder_pitch2.bias" => {
            let shares = [0.5f32, 0.25, 0.125, 0.125];
            Some(index.checked_sub(60).and_then(|i| shares.get(i)).map_or(-100.0, |p| p.ln()))
        }
        _ => None,
    })
}

fn shares(sampling: &Sampling) -> [f64; 4] {
    let mut counts = [0.0; 4];
    for seed in 0..8 {
        for note in piece(&four_pitches(), seed, sampling) {
            counts[usize::from(note.pitch) - 60] += 1.0;
        }
    }
    counts.map(|count| count / (8 * NOTES) as f64)
}

#[test]
fn pitches_are_drawn_as_often_as_asked() {
    // 4000 draws: three standard deviations are below 0.024.
    let close = |pitch: SamplingParams, expected: [f64; 4]| {
        let mut sampling = Sampling::default();
        sampling.pitch = pitch;
        for (share, expected) in shares(&sampling).into_iter().zip(expected) {
            assert!((share - expected).abs() < 0.024, "{sampling:?}: {share}, not {expected}");
            assert_eq!(share == 0.0, expected == 0.0, "{sampling:?}");
        }
    };
    let all = SamplingParams::with_temperature(1.0);
    close(all, [0.5, 0.25, 0.125, 0.125]);
    // At temperature 0.5 the probabilities are squared: 16 : 4 : 1 : 1.
    close(SamplingParams::with_temperature(0.5), [16.0, 4.0, 1.0, 1.0].map(|share| share / 22.0));
    close(all.with_top_k(2), [2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
    close(all.with_top_p(0.7), [2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
    close(all.with_top_p(0.4), [1.0, 0.0, 0.0, 0.0]);
    close(all.with_top_p(0.8), [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0, 0.0]);
    for temperature in [0.0, -1.0, f32::NAN] {
        close(SamplingParams::with_temperature(temperature), [1.0, 0.0, 0.0, 0.0]);
    }
}
