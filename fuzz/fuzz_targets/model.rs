//! A model file with any content is refused, or it plays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Model, Sampling};

fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    pianola_fuzz::repair_model(&mut file);
    let Ok(model) = Model::from_bytes(&file) else { return };
    let generator = Generator::<MAX_LAYERS, MAX_HIDDEN>::from_model(&model, 1);
    let Ok(mut generator) = generator else { return };
    let sampling = Sampling::default().with_guards();
    for note in generator.notes(&sampling).take(4) {
        assert!(note.pitch < 128 && note.velocity < 128);
        assert!(note.step >= 0.0 && note.duration >= 0.0);
    }
});
