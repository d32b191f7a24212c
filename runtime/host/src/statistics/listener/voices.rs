//! Melody, bass and inner voices: intervals, ranges, and whether two hands can play them.

use super::Measure;
use super::excerpt::{Excerpt, Sounding, deviation, mean, share};

pub const MEASURES: &[Measure] = &[
    ("mean pitch of the melody", |excerpt| mean(excerpt.top().map(pitch))),
    ("mean pitch of the bass", |excerpt| mean(excerpt.bottom().map(pitch))),
    ("range of the melody, semitones", |excerpt| {
        deviation(&excerpt.top().map(pitch).collect::<Vec<_>>())
    }),
    ("mean melodic interval, semitones", |excerpt| mean(leaps(excerpt.top()))),
    ("melodic steps", |excerpt| share(leaps(excerpt.top()), |leap| (1.0..=2.0).contains(&leap))),
    ("melodic leaps of a sixth or more", |excerpt| share(leaps(excerpt.top()), |leap| leap > 7.0)),
    ("repeated melody notes", |excerpt| share(leaps(excerpt.top()), |leap| leap == 0.0)),
    ("turns of the melody", |excerpt| {
        let pitches: Vec<f64> = excerpt.top().map(pitch).collect();
        share(pitches.windows(3), |three| (three[1] - three[0]) * (three[2] - three[1]) < 0.0)
    }),
    ("mean bass interval, semitones", |excerpt| mean(leaps(excerpt.bottom()))),
    ("notes of a chord", |excerpt| {
        mean(excerpt.chords.iter().map(|chord| chord.notes.len() as f64))
    }),
    ("notes that sound", |excerpt| mean(sounding(excerpt).map(|notes| notes.len() as f64))),
    ("span of what sounds, semitones", |excerpt| mean(sounding(excerpt).map(|notes| span(&notes)))),
    ("chords with an octave", |excerpt| {
        let chords = excerpt.chords.iter().map(|chord| &excerpt.notes[chord.notes.clone()]);
        share(chords, |chord| {
            chord
                .iter()
                .any(|low| chord.iter().any(|high| high.pitch == low.pitch.saturating_add(12)))
        })
    }),
    ("chords out of reach of two hands", |excerpt| {
        let chords = excerpt.chords.iter().map(|chord| &excerpt.notes[chord.notes.clone()]);
        share(chords, |chord| !is_playable(chord))
    }),
];

fn pitch(note: &Sounding) -> f64 {
    f64::from(note.pitch)
}

/// Sizes of a voice's intervals.
fn leaps<'e>(voice: impl Iterator<Item = &'e Sounding>) -> Vec<f64> {
    let pitches: Vec<f64> = voice.map(pitch).collect();
    pitches.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect()
}

/// The pitches that sound just after each chord's onset, from the lowest.
fn sounding(excerpt: &Excerpt) -> impl Iterator<Item = Vec<u8>> {
    /// Most chords back that are searched for held notes: almost none is held for longer.
    const BACK: usize = 16;
    (0..excerpt.chords.len()).map(|at| {
        let (first, last) = (&excerpt.chords[at.saturating_sub(BACK)], &excerpt.chords[at]);
        let now = last.onset + last.spread;
        let notes = &excerpt.notes[first.notes.start..last.notes.end];
        let mut pitches: Vec<u8> =
            notes.iter().filter(|note| note.end > now).map(|note| note.pitch).collect();
        pitches.sort_unstable();
        pitches.dedup();
        pitches
    })
}

fn span(pitches: &[u8]) -> f64 {
    let ends = pitches.first().zip(pitches.last());
    ends.map_or(0.0, |(low, high)| f64::from(high - low))
}

/// Whether the notes of a chord, from the lowest, can be divided between two hands of five fingers
/// that reach a tenth each.
fn is_playable(chord: &[Sounding]) -> bool {
    let fits = |hand: &[Sounding]| {
        let ends = hand.first().zip(hand.last());
        hand.len() <= 5 && ends.is_none_or(|(low, high)| high.pitch - low.pitch <= 16)
    };
    (0..=chord.len()).any(|at| fits(&chord[..at]) && fits(&chord[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hands_reach_a_tenth_each() {
        let chord = |pitches: &[u8]| {
            let note = |&pitch| Sounding { onset: 0.0, end: 1.0, pitch, velocity: 80 };
            is_playable(&pitches.iter().map(note).collect::<Vec<_>>())
        };
        assert!(chord(&[30, 46, 70, 86]) && chord(&[60]) && chord(&[]));
        assert!(!chord(&[30, 50, 70, 86]));
        assert!(!chord(&[60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70]));
    }
}
