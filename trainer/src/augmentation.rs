//! Data augmentation: transposition and tempo.

use pianola_host::corpus::below;
use pianola_runtime::Note;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Ranges of random changes, drawn anew each time a song or segment is presented.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Largest transposition downwards, in semitones.
    pub transpose_down: u8,
    /// Largest transposition upwards, in semitones.
    pub transpose_up: u8,
    /// Largest relative change of all times: 0.1 is ±10 %.
    pub tempo: f32,
}

impl Augmentation {
    /// Transposes and stretches all notes by the same random amounts.
    pub fn apply(self, notes: &mut [Note], rng: &mut Pcg32) {
        let span = u32::from(self.transpose_down) + u32::from(self.transpose_up) + 1;
        let shift = below(rng, span) as i32 - i32::from(self.transpose_down);
        let (lowest, highest) = notes
            .iter()
            .fold((127, 0), |(low, high), note| (note.pitch.min(low), note.pitch.max(high)));
        // Within MIDI's range of pitches.
        let shift = shift.clamp(-i32::from(lowest), 127 - i32::from(highest));
        let unit = (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
        let stretch = 1.0 + self.tempo * (2.0 * unit - 1.0);
        for note in notes {
            note.pitch = (i32::from(note.pitch) + shift) as u8;
            // A rest of minutes, while the other hand plays alone, would dominate the loss of its batch.
            note.step = (note.step * stretch).min(Note::MAX_SECONDS);
            note.duration = (note.duration * stretch).min(Note::MAX_SECONDS);
        }
    }
}
