//! An originality filter with any content is refused, or it answers queries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pianola_runtime::Note;
use pianola_runtime::guard::{Filter, Guard, key};

fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    pianola_fuzz::repair_filter(&mut file);
    let Ok(filter) = Filter::from_bytes(&file) else { return };
    // Passage length and notes decoded from the same bytes.
    filter.contains(key(data.iter().map(|&byte| u16::from(byte))));
    let mut guard = Guard::new(&filter);
    for &byte in data.iter().take(64) {
        let step = if byte & 1 == 0 { 0.0 } else { 0.25 };
        let note = Note { pitch: byte >> 1, velocity: 80, step, duration: 0.5 };
        guard.forbids(note.step, note.pitch);
        guard.observe(&note);
    }
});
