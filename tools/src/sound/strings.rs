//! Sounding times of a piano's strings: longer than its keys are held while the pedal is down, and
//! never overlapping on one string.

use pianola_host::midi_file::{Score, TimedNote};

/// Notes by onset, no two of which overlap on one string.
pub struct Strings(pub Vec<TimedNote>);

/// The notes of all instruments, merged as one piano plays them, by onset: a note lasts until its
/// key and the pedal are up, or until its string is struck again.
pub fn sounding(score: &Score) -> Vec<TimedNote> {
    let played = score.instruments.iter().flat_map(|instrument| &instrument.notes);
    let held = played.map(|note| TimedNote { end: held(note.end, &score.pedal), ..*note });
    one_string_each(held.collect()).0
}

/// End of a note whose key is released at a time: later if the pedal is down then.
fn held(released: f64, pedal: &[(f64, f64)]) -> f64 {
    let after = pedal.partition_point(|&(down, _)| down <= released);
    match pedal[..after].last() {
        Some(&(_, up)) => up.max(released),
        None => released,
    }
}

/// Ends each note where the next on its string begins; of notes that strike a string at once, the
/// loudest is kept, with the longest duration of them.
pub fn one_string_each(mut notes: Vec<TimedNote>) -> Strings {
    notes.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.pitch.cmp(&b.pitch)));
    let mut strings: Vec<TimedNote> = Vec::with_capacity(notes.len());
    let mut last_of_pitch = [None; 256];
    for note in notes {
        let last = last_of_pitch[usize::from(note.pitch)].map(|last: usize| &mut strings[last]);
        match last {
            Some(last) if last.start == note.start => {
                last.end = last.end.max(note.end);
                last.velocity = last.velocity.max(note.velocity);
                continue;
            }
            Some(last) => last.end = last.end.min(note.start),
            None => {}
        }
        last_of_pitch[usize::from(note.pitch)] = Some(strings.len());
        strings.push(note);
    }
    Strings(strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pianola_host::midi_file::Instrument;

    fn note(pitch: u8, start: f64, end: f64) -> TimedNote {
        TimedNote { start, end, pitch, velocity: 64 }
    }

    #[test]
    fn the_pedal_holds_notes_until_it_is_up_or_the_string_is_struck_again() {
        let hand = |notes: &[TimedNote]| Instrument { name: String::new(), notes: notes.to_vec() };
        let right = hand(&[note(60, 0.0, 0.4), note(60, 2.0, 2.4), note(60, 5.0, 5.5)]);
        let left = hand(&[note(48, 1.0, 1.5), note(50, 3.5, 4.5)]);
        let score = Score { instruments: vec![right, left], pedal: vec![(0.2, 3.0), (4.0, 4.2)] };
        let ends: Vec<_> = sounding(&score).iter().map(|note| (note.pitch, note.end)).collect();
        assert_eq!(ends, [(60, 2.0), (48, 3.0), (60, 3.0), (50, 4.5), (60, 5.5)]);
    }

    #[test]
    fn a_string_struck_twice_at_once_sounds_once() {
        let loud = TimedNote { velocity: 90, ..note(60, 1.0, 1.2) };
        let once = one_string_each(vec![note(60, 1.0, 2.0), loud]);
        assert_eq!(once.0, [TimedNote { velocity: 90, ..note(60, 1.0, 2.0) }]);
    }
}
