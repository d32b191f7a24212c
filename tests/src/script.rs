//! The script that hosts and boards both play, and the fingerprint of everything it computes.
//!
//! Boards compile this file too: it does not use `std`.

use crc32fast::Hasher;
use pianola_runtime::history::PartialNote;
use pianola_runtime::{
    Generator, Hands, Isa, Model, ModelError, Network, Note, Sampling, SamplingParams,
};

/// Notes that the network observes from the script, then as many that it generates: fewer with the
/// bundled models, whose notes take an emulated board long, than with small ones.
const NOTES: (u32, u32) = (500, 2_500);

/// Size of the largest small model, in bytes.
const SMALL: usize = 200_000;

/// Seed of every piece played here.
const SEED: u64 = 42;

/// The `n`-th note of the script: leaps over the keyboard with varying times.
fn scripted(n: u32) -> Note {
    Note {
        pitch: (n * 37 % 128) as u8,
        velocity: Note::DEFAULT_VELOCITY,
        step: (n % 7) as f32 * 0.083,
        duration: (n % 11) as f32 * 0.071,
    }
}

/// Plays the script with a model file and returns the CRC-32 of every resulting bit: all hidden and cell
/// states, logits and times of the observed notes, then the generated notes.
///
/// # Errors
/// As those of [`Model::from_bytes`] and [`Network::new`].
pub fn fingerprint(file: &[u8]) -> Result<u32, ModelError> {
    let model = &Model::from_bytes(file)?;
    let notes = if file.len() > SMALL { NOTES.0 } else { NOTES.1 };
    let mut crc = Hasher::new();
    let mut fold = |floats: &[f32]| {
        floats.iter().for_each(|float| crc.update(&float.to_bits().to_le_bytes()));
    };
    let mut network: Network = Network::new(model, Hands::Both)?;
    for n in 0..notes {
        network.observe(&scripted(n));
        for (hidden, cell) in (0..).map_while(|layer| network.state(layer)) {
            fold(hidden);
            fold(cell);
        }
        for known in PartialNote::of(&scripted(n + 1)) {
            fold(network.predict(known).values());
        }
    }
    let mut generator = Generator::new(model, SEED)?;
    for n in 0..notes {
        let sampling = match n % 4 {
            0 => {
                let params = SamplingParams::with_temperature(0.7).with_top_k(20).with_top_p(0.9);
                let mut sampling = Sampling::default();
                (sampling.pitch, sampling.time) = (params, params);
                sampling
            }
            _ => Sampling::default().with_guards(),
        };
        let note = generator.next_note(&sampling);
        fold(&[note.pitch, note.velocity].map(f32::from));
        fold(&[note.step, note.duration]);
    }
    Ok(crc.finalize())
}

/// The piece for counting instructions, on an instruction set.
///
/// # Errors
/// As those of [`Network::on`].
pub fn counted_piece<'m>(
    isa: Isa,
    model: &'m Model<'m>,
) -> Result<impl Iterator<Item = Note>, ModelError> {
    let mut generator: Generator =
        Generator::from_network(Network::on(isa, model, Hands::Both)?, SEED);
    Ok(core::iter::repeat_with(move || generator.next_note(&Sampling::default())))
}
