//! Generators from model files: their construction, and the notes of a seed.
#![allow(clippy::unwrap_used)]

use pianola_runtime::{
    Generator, Hands, Model, ModelError, Network, Note, Sampling, SamplingParams, Start,
    include_model,
};

static EXPRESSIVE: &[u8] = include_model!("models/expressive-small-int8.safetensors");

const NOTES: usize = if cfg!(miri) { 3 } else { 500 };

fn piece<const LAYERS: usize, const HIDDEN: usize>(
    generator: &mut Generator<LAYERS, HIDDEN>,
) -> Vec<Note> {
    generator.notes(&Sampling::default()).take(NOTES).collect()
}

/// Compiles without a type annotation: that is the test.
#[test]
fn types_are_inferred() -> Result<(), ModelError> {
    let model = Model::from_bytes(EXPRESSIVE)?;
    let mut generator = Generator::new(&model, 42)?;
    let mut network = Network::new(&model, Hands::Both)?;
    let note = generator.next_note(&Sampling::default());
    network.observe(&note);
    let mut from_network = Generator::from_network(network, 42);
    from_network.next_note(&Sampling::default());
    Ok(())
}

#[test]
fn embedded_models_are_aligned() {
    static INT4: &[u8] = include_model!("models/report-small-int4.safetensors");
    static INT8: &[u8] = include_model!("models/report-small-int8.safetensors");
    for file in [EXPRESSIVE, INT4, INT8] {
        assert_eq!(file.as_ptr() as usize % 64, 0);
        assert!(Model::from_bytes(file).is_ok());
    }
}

#[test]
fn capacities_change_no_note() {
    let model = Model::from_bytes(EXPRESSIVE).unwrap();
    let expected = piece(&mut Generator::new(&model, 7).unwrap());
    assert_eq!(piece(&mut Generator::<2, 32>::from_model(&model, 7).unwrap()), expected);
    assert_eq!(piece(&mut Generator::<5, 48>::from_model(&model, 7).unwrap()), expected);
    for refused in [
        Generator::<1, 32>::from_model(&model, 7).map(drop),
        Generator::<2, 16>::from_model(&model, 7).map(drop),
    ] {
        assert_eq!(refused, Err(ModelError::TooLarge));
    }
}

#[test]
fn the_iterator_gives_the_notes_one_by_one_and_takes_no_more_than_asked() {
    let model = Model::from_bytes(EXPRESSIVE).unwrap();
    let (mut one, mut other) =
        (Generator::new(&model, 7).unwrap(), Generator::new(&model, 7).unwrap());
    let sampling = Sampling::with_temperature(0.8).with_guards();
    for taken in [3, 0, 1] {
        for note in one.notes(&sampling).take(taken) {
            assert_eq!(note, other.next_note(&sampling));
        }
    }
    assert_eq!(one.next_note(&sampling), other.next_note(&sampling));
}

/// A restart equals a new generator: notes depend on the start and on nothing before it.
#[test]
fn a_restart_gives_the_notes_of_a_new_generator() {
    let model = Model::from_bytes(EXPRESSIVE).unwrap();
    let mut generator = Generator::new(&model, 1).unwrap();
    let start = Start::new(5);
    let pieces = [start, start.with_hands(Hands::Right), start].map(|start| {
        generator.observe(&Note { pitch: 200, velocity: 1, step: 3.0, duration: 9.0 });
        generator.restart(start);
        assert_eq!(generator.hands(), start.hands);
        let notes = piece(&mut generator);
        assert_eq!(notes, piece(&mut Generator::new(&model, start).unwrap()));
        let network = Network::new(&model, start.hands).unwrap();
        assert_eq!(notes, piece(&mut Generator::from_network(network, start.seed)));
        notes
    });
    assert_eq!(pieces[0], pieces[2]);
    assert_ne!(pieces[0], pieces[1], "hands change the piece");
}

/// An empty set of choices cannot be requested: the smallest set is used instead.
#[test]
fn limits_of_0_count_as_1() {
    let model = Model::from_bytes(EXPRESSIVE).unwrap();
    let notes = |sampling: &Sampling| -> Vec<Note> {
        Generator::new(&model, 3).unwrap().notes(sampling).take(NOTES).collect()
    };
    let top = |k| Sampling::with_params(SamplingParams::with_temperature(1.0).with_top_k(k));
    assert_eq!(notes(&top(0)), notes(&top(1)));
    let polyphony = |most| Sampling::default().with_polyphony(most);
    assert_eq!(notes(&polyphony(0)), notes(&polyphony(1)));
    for density in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let density = Sampling::default().with_density(density);
        assert_eq!(notes(&density), notes(&Sampling::default()));
    }
}

/// The notes of one seed, pinned: the same on every machine and for ever. A change here changes every
/// piece that users know by its seed.
#[test]
fn the_notes_of_a_seed_are_pinned() {
    let report_int8 = include_bytes!("models/report-small-int8.safetensors");
    let report_int4 = include_bytes!("models/report-small-int4.safetensors");
    let expressive_int4 = include_bytes!("models/expressive-small-int4.safetensors");
    // Each file is read once: that takes Miri most of its time.
    let files: [&[u8]; 4] = [report_int8, report_int4, EXPRESSIVE, expressive_int4];
    let [report_int8, report_int4, expressive_int8, expressive_int4] =
        files.map(|file| Model::from_bytes(file).unwrap());
    let params = SamplingParams::with_temperature(1.0).with_top_p(0.95);
    // All pitches: the default register would redraw pitches that a piano does not have.
    let mut sampling = Sampling::default().with_register(0, 127);
    (sampling.pitch, sampling.time) = (params, params);
    let guarded = sampling.with_guards();
    pinned(&report_int8, &sampling, [72, 77, 61], 1389709403);
    pinned(&report_int4, &sampling, [94, 95, 87], 1703322659);
    pinned(&expressive_int8, &sampling, [45, 22, 124], 3795616601);
    pinned(&expressive_int8, &guarded, [45, 22, 124], 2445923997);
    pinned(&expressive_int4, &sampling, [45, 22, 127], 45511532);
    pinned(&expressive_int4, &guarded, [45, 22, 127], 3451724243);
}

fn pinned(model: &Model, sampling: &Sampling, first_pitches: [u8; 3], crc: u32) {
    let mut generator: Generator<2, 32> = Generator::from_model(model, 2026).unwrap();
    let mut played = crc32fast::Hasher::new();
    let mut pitches = Vec::new();
    for _ in 0..NOTES {
        let note = generator.next_note(sampling);
        pitches.push(note.pitch);
        played.update(&[note.pitch]);
        if model.is_expressive() {
            played.update(&[note.velocity]);
        }
        played.update(&note.step.to_le_bytes());
        played.update(&note.duration.to_le_bytes());
    }
    let crc = if cfg!(miri) { 0 } else { crc };
    let played = if cfg!(miri) { 0 } else { played.finalize() };
    assert_eq!((&pitches[..3], played), (first_pitches.as_slice(), crc), "of {NOTES} notes");
}
