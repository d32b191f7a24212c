//! Notes at absolute times and notes relative to their predecessors.

use pianola_runtime::Note;

use super::TimedNote;

/// Turns absolute notes, sorted by onset, into notes relative to their predecessors.
///
/// The first note's step is 0: a piece starts with its first note.
pub fn to_relative(notes: &[TimedNote]) -> Vec<Note> {
    let mut previous = notes.first().map_or(0.0, |note| note.start);
    notes
        .iter()
        .map(|note| {
            let step = (note.start - previous) as f32;
            previous = note.start;
            let duration = (note.end - note.start) as f32;
            Note { pitch: note.pitch, velocity: note.velocity, step, duration }
        })
        .collect()
}

/// Turns notes relative to their predecessors into absolute notes, of which the first starts after
/// its own step.
pub fn to_absolute(notes: &[Note]) -> Vec<TimedNote> {
    let mut start = 0.0;
    notes
        .iter()
        .map(|note| {
            start += f64::from(note.step);
            let end = start + f64::from(note.duration);
            TimedNote { start, end, pitch: note.pitch, velocity: note.velocity }
        })
        .collect()
}
