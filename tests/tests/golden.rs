//! The runtime against PyTorch: logits, times and states over 96 notes, from a state dict that
//! `tests/golden/make.py` saved.
#![allow(clippy::unwrap_used)]

use pianola_host::export::pack;
use pianola_host::export::weights::FloatWeights;
use pianola_runtime::history::PartialNote;
use pianola_runtime::vocabulary::{CHOICES, Hands, PARTS};
use pianola_runtime::{Model, Network, Note, PITCHES, Precision};
use safetensors::SafeTensors;

const FILE: &[u8] = include_bytes!("../golden/report-small.safetensors");
const LAYERS: usize = 2;
const HIDDEN: usize = 32;
const NOTES: usize = 96;

fn floats(name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(FILE).unwrap();
    let tensor = file.tensor(name).unwrap();
    tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn pitches() -> Vec<u8> {
    let file = SafeTensors::deserialize(FILE).unwrap();
    let tensor = file.tensor("golden.pitch").unwrap();
    tensor.data().as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes) as u8).collect()
}

/// Largest differences of logits, times, hidden and cell states.
fn differences(precision: Precision) -> [f32; 4] {
    let weights = FloatWeights::read(FILE).unwrap();
    let packed = pack(&weights, precision).unwrap();
    let model = Model::from_bytes(&packed.bytes).unwrap();
    let mut network: Network<LAYERS, HIDDEN> = Network::from_model(&model, Hands::Both).unwrap();
    let golden = ["logits", "next_step", "next_duration", "hidden", "cell"]
        .map(|name| floats(&format!("golden.{name}")));
    let [logits, steps, durations, hidden, cell] = &golden;
    let (pitch, step, duration) = (pitches(), floats("golden.step"), floats("golden.duration"));

    let mut worst = [0f32; 4];
    let mut compare = |kind: usize, ours: &[f32], theirs: &[f32]| {
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            worst[kind] = worst[kind].max((ours - theirs).abs());
        }
    };
    for at in 0..=NOTES {
        if at > 0 {
            let (pitch, step, duration) = (pitch[at], step[at], duration[at]);
            network.observe(&Note { pitch, velocity: 80, step, duration });
        }
        let [step, pitch, duration, _] =
            PartialNote::of(&Note { pitch: 0, velocity: 0, step: 0.0, duration: 0.0 })
                .map(|known| network.predict(known));
        compare(0, pitch.values(), &logits[at * PITCHES..][..PITCHES]);
        compare(1, &[step.values(), duration.values()].concat(), &[steps[at], durations[at]]);
        for layer in 0..LAYERS {
            let (ours_hidden, ours_cell) = network.state(layer).unwrap();
            let place = (at * LAYERS + layer) * HIDDEN;
            compare(2, ours_hidden, &hidden[place..][..HIDDEN]);
            compare(3, ours_cell, &cell[place..][..HIDDEN]);
        }
    }
    worst
}

#[test]
fn float_weights_agree_with_pytorch() {
    let worst = differences(Precision::Float);
    println!("largest differences (logits, times, hidden, cell): {worst:?}");
    assert!(worst.iter().all(|&worst| worst < 1e-4), "{worst:?}");
}

#[test]
fn quantized_weights_stay_close_to_pytorch() {
    for (precision, most) in [(Precision::Int8, 0.1), (Precision::Int4, 1.0)] {
        let worst = differences(precision);
        println!("{precision}: largest differences (logits, times, hidden, cell): {worst:?}");
        // Quantized, so not equal, but close unless a scale or a gate is misplaced.
        assert!(worst.iter().all(|&worst| worst > 0.0 && worst < most), "{precision}: {worst:?}");
    }
}

const EXPRESSIVE: &[u8] = include_bytes!("../golden/expressive-small.safetensors");

/// The small models that the runtime is tested with are these weights, packed.
#[test]
fn the_runtimes_test_models_are_packed_from_the_golden_weights() {
    for (name, weights) in [("report", FILE), ("expressive", EXPRESSIVE)] {
        for precision in [Precision::Int8, Precision::Int4] {
            let packed = pack(&FloatWeights::read(weights).unwrap(), precision).unwrap().bytes;
            let file = format!("runtime/tests/models/{name}-small-{precision}.safetensors");
            assert!(packed == std::fs::read(pianola_tests::root().join(&file)).unwrap(), "{file}");
        }
    }
}

/// Every head of the expressive network, over 96 notes as a piece for both hands and as one for the right:
/// `tests/golden/make_expressive.py`.
#[test]
fn expressive_heads_say_what_pytorch_says() {
    let file = SafeTensors::deserialize(EXPRESSIVE).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let data = file.tensor(name).unwrap().data();
        data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    let keys: Vec<u8> = {
        let data = file.tensor("golden.note.keys").unwrap().data();
        data.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes) as u8).collect()
    };
    let times = floats("golden.note.times");
    let weights = FloatWeights::read(EXPRESSIVE).unwrap();
    for (precision, most) in
        [(Precision::Float, 1e-5), (Precision::Int8, 0.1), (Precision::Int4, 0.8)]
    {
        let packed = pack(&weights, precision).unwrap();
        let model = Model::from_bytes(&packed.bytes).unwrap();
        let mut network: Network<LAYERS, HIDDEN> =
            Network::from_model(&model, Hands::Both).unwrap();
        let mut worst = [0f32; 4];
        for (hands, name) in [(Hands::Both, "both"), (Hands::Right, "right")] {
            let said = PARTS.map(|part| floats(&format!("golden.{name}.{part}")));
            network.restart(hands);
            for at in 0..NOTES {
                let (pitch, velocity) = (keys[at], keys[NOTES + at]);
                let note = Note { pitch, velocity, step: times[at], duration: times[NOTES + at] };
                for (part, known) in PartialNote::of(&note).into_iter().enumerate() {
                    let prediction = network.predict(known);
                    let expected = said[part].chunks(CHOICES[part]).nth(at).unwrap();
                    assert_eq!(prediction.values().len(), expected.len());
                    for (ours, theirs) in prediction.values().iter().zip(expected) {
                        worst[part] = worst[part].max((ours - theirs).abs());
                    }
                }
                network.observe(&note);
            }
        }
        println!("{precision}: largest differences of logits {worst:?}");
        assert!(worst.iter().all(|&worst| worst < most), "{precision}: {worst:?}");
    }
}
