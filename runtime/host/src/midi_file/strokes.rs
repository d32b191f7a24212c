//! Notes as the note-on and note-off messages of a file, in milliseconds.

use midly::MidiMessage;

use super::TimedNote;

/// A note in milliseconds from the start of the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TickNote {
    pub start: u64,
    pub end: u64,
    pub pitch: u8,
    pub velocity: u8,
}

/// The millisecond that is nearest to a time.
pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}

/// Places notes, sorted by onset, without overlaps at one pitch: a note still sounding when its pitch is struck again
/// ends there, and one pitch struck twice at once is one note, the louder and longer of the two.
pub(crate) fn place(notes: &[TimedNote]) -> Vec<TickNote> {
    let mut placed: Vec<TickNote> = Vec::with_capacity(notes.len());
    let mut last_of_pitch = [None; 128];
    for note in notes {
        let (start, pitch) = (milliseconds(note.start), note.pitch.min(127));
        let end = milliseconds(note.end).max(start.saturating_add(1));
        let velocity = note.velocity.clamp(1, 127);
        let slot = &mut last_of_pitch[usize::from(pitch)];
        if let Some(last) = slot.and_then(|last: usize| placed.get_mut(last)) {
            if last.start == start {
                last.end = last.end.max(end);
                last.velocity = last.velocity.max(velocity);
                continue;
            }
            last.end = last.end.min(start);
        }
        *slot = Some(placed.len());
        placed.push(TickNote { start, end, pitch, velocity });
    }
    placed
}

/// The messages of notes, each at its millisecond, after the choice of a piano; ends come before starts.
pub(crate) fn messages(notes: &[TickNote]) -> impl Iterator<Item = (u64, MidiMessage)> {
    let mut strokes: Vec<(u64, bool, u8, u8)> = notes
        .iter()
        .flat_map(|note| {
            [(note.start, true, note.pitch, note.velocity), (note.end, false, note.pitch, 0)]
        })
        .collect();
    strokes.sort_unstable();
    let strokes = strokes.into_iter().map(|(tick, on, pitch, velocity)| {
        let (key, vel) = (pitch.into(), velocity.into());
        let off = MidiMessage::NoteOff { key, vel };
        (tick, if on { MidiMessage::NoteOn { key, vel } } else { off })
    });
    [(0, MidiMessage::ProgramChange { program: 0.into() })].into_iter().chain(strokes)
}
