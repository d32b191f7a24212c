//! Bit-exactness: every instruction set, for one network or a batch, computes the portable bits.
#![allow(clippy::unwrap_used)]

#[path = "common/agreement.rs"]
mod agreement;
mod common;

use agreement::{bits, every_instruction_set_agrees, scripted};
use common::{EXPRESSIVE, random_weights};
use pianola_host::export::pack;
use pianola_host::export::weights::Shape;
use pianola_runtime::{Generator, Hands, Model, Network, Note, Pair, Precision, Sampling};

const PRECISIONS: [Precision; 3] = [Precision::Float, Precision::Int8, Precision::Int4];

/// Sizes that are no multiple of most vectors, and how many notes to compare.
const SHAPES: [(Shape, u32); 5] = [
    (Shape::report(1, 16, 7, 1), 2000),
    (Shape::report(2, 48, 7, 21), 1000),
    (Shape::report(3, 304, 7, 300), 20),
    (EXPRESSIVE, 1000),
    (Shape { layers: 3, hidden: 304, ..EXPRESSIVE }, 20),
];

#[test]
fn instruction_sets_agree_on_random_weights() {
    for (shape, notes) in SHAPES {
        for precision in PRECISIONS {
            let file = pack(&random_weights(shape, 0.3, 5), precision).unwrap().bytes;
            every_instruction_set_agrees(&file, notes);
        }
    }
}

#[test]
fn a_batch_computes_what_each_network_would_alone() {
    for (shape, precision) in [SHAPES[1].0, EXPRESSIVE]
        .into_iter()
        .flat_map(|shape| PRECISIONS.map(|precision| (shape, precision)))
    {
        let file = pack(&random_weights(shape, 0.3, 5), precision).unwrap().bytes;
        let model = Model::from_bytes(&file).unwrap();
        let mut together: [Network; 5] =
            core::array::from_fn(|_| Network::new(&model, Hands::Both).unwrap());
        let mut alone = together.clone();
        for index in 0..100 {
            let notes: [Note; 5] = core::array::from_fn(|at| scripted(index + 9 * at as u32));
            Network::observe_batch(&mut together, &notes);
            alone.iter_mut().zip(&notes).for_each(|(network, note)| network.observe(note));
            assert!(together.iter().map(bits).eq(alone.iter().map(bits)), "note {index}");
        }
    }
}

#[test]
fn two_threads_play_the_notes_of_one() {
    for (shape, _) in SHAPES {
        for precision in PRECISIONS {
            let file = pack(&random_weights(shape, 0.3, 5), precision).unwrap().bytes;
            let model = Model::from_bytes(&file).unwrap();
            let mut alone = Generator::new(&model, 3).unwrap();
            let sampling = Sampling::default().with_guards();
            std::thread::scope(|scope| {
                let mut pair = Pair::always(scope, alone.clone());
                for index in 0..300 {
                    if index % 7 == 0 {
                        alone.observe(&scripted(index));
                        pair.observe(&scripted(index));
                    }
                    // Long enough for the helper to fall asleep.
                    if index % 100 == 99 {
                        std::thread::sleep(std::time::Duration::from_millis(2));
                    }
                    let (one, two) = (alone.next_note(&sampling), pair.next_note(&sampling));
                    assert_eq!(one, two, "note {index} of {precision}, {shape:?}");
                }
            });
        }
    }
}
