//! An excerpt of a piece, prepared for the measures: onsets, releases and chords.

use std::ops::Range;

use pianola_runtime::Note;

/// Onsets this close to the first of a chord belong to it, in seconds: people spread chords.
pub const CHORD_SPREAD: f64 = 0.05;

/// A note at its place in the excerpt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sounding {
    /// Seconds from the first onset of the excerpt.
    pub onset: f64,
    /// Release, in the same seconds.
    pub end: f64,
    /// MIDI note number.
    pub pitch: u8,
    /// MIDI velocity.
    pub velocity: u8,
}

impl Sounding {
    /// Seconds that its key is held.
    pub fn duration(&self) -> f64 {
        self.end - self.onset
    }
}

/// Notes struck together.
#[derive(Clone, Debug, PartialEq)]
pub struct Chord {
    /// Its notes, by pitch, as a range of [`Excerpt::notes`].
    pub notes: Range<usize>,
    /// Its first onset.
    pub onset: f64,
    /// Seconds from its first to its last onset.
    pub spread: f64,
}

/// A run of notes of one piece.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// Chord by chord, those of a chord by pitch.
    pub notes: Vec<Sounding>,
    /// At least one.
    pub chords: Vec<Chord>,
}

impl Excerpt {
    /// Prepares notes; `None` if there are fewer than four chords, too few for the measures.
    pub fn new(notes: &[Note]) -> Option<Self> {
        let mut now = 0.0;
        let mut placed: Vec<Sounding> = Vec::with_capacity(notes.len());
        for (at, note) in notes.iter().enumerate() {
            now += if at == 0 { 0.0 } else { f64::from(note.step) };
            let end = now + f64::from(note.duration);
            let Note { pitch, velocity, .. } = *note;
            placed.push(Sounding { onset: now, end, pitch, velocity });
        }
        let mut chords: Vec<Chord> = Vec::new();
        for (at, note) in placed.iter().enumerate() {
            match chords.last_mut() {
                Some(chord) if note.onset - chord.onset <= CHORD_SPREAD => {
                    chord.notes.end = at + 1;
                    chord.spread = note.onset - chord.onset;
                }
                _ => chords.push(Chord { notes: at..at + 1, onset: note.onset, spread: 0.0 }),
            }
        }
        for chord in &chords {
            placed[chord.notes.clone()].sort_by_key(|note| note.pitch);
        }
        (chords.len() >= 4).then_some(Self { notes: placed, chords })
    }

    /// The highest note of each chord, as an approximation of the melody.
    pub fn top(&self) -> impl Iterator<Item = &Sounding> {
        self.chords.iter().filter_map(|chord| self.notes[chord.notes.clone()].last())
    }

    /// The lowest note of each chord.
    pub fn bottom(&self) -> impl Iterator<Item = &Sounding> {
        self.chords.iter().filter_map(|chord| self.notes[chord.notes.clone()].first())
    }

    /// Seconds from each chord to the next.
    pub fn intervals(&self) -> Vec<f64> {
        self.chords.windows(2).map(|pair| pair[1].onset - pair[0].onset).collect()
    }

    /// Seconds from the first onset to the last.
    pub fn length(&self) -> f64 {
        self.chords.last().map_or(0.0, |chord| chord.onset)
    }
}

/// The mean of some numbers; 0 if there are none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (count, sum) =
        values.into_iter().fold((0u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// The standard deviation of some numbers; 0 if there are none.
pub fn deviation(values: &[f64]) -> f64 {
    let mean_value = mean(values.iter().copied());
    mean(values.iter().map(|value| (value - mean_value).powi(2))).sqrt()
}

/// The share of items that satisfy a condition; 0 if there are none.
pub fn share<T>(items: impl IntoIterator<Item = T>, holds: impl Fn(T) -> bool) -> f64 {
    mean(items.into_iter().map(|item| f64::from(u8::from(holds(item)))))
}

/// A quantile of some numbers, `part` from 0 to 1; 0 if there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((part * last as f64).round() as usize).copied().unwrap_or(0.0)
}

/// Pearson's correlation of two sequences; 0 where either does not vary.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let covariance = mean(a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)));
    let scale = deviation(a) * deviation(b);
    if scale > 1e-12 { covariance / scale } else { 0.0 }
}

/// Entropy of some counts, in bits.
pub fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    let some = counts.iter().filter(|&&count| count > 0.0);
    some.map(|count| -(count / total) * (count / total).log2()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spread_chords_are_one_chord_by_pitch() {
        let note = |pitch, step| Note { pitch, velocity: 80, step, duration: 0.5 };
        let notes = [
            note(64, 3.0),
            note(60, 0.02),
            note(67, 0.02),
            note(72, 0.02),
            note(62, 0.5),
            note(65, 0.5),
        ];
        let excerpt = Excerpt::new(&notes).unwrap();
        let chords: Vec<_> = excerpt.chords.iter().map(|chord| chord.notes.clone()).collect();
        // The fourth note comes 60 ms after the first.
        assert_eq!(chords, [0..3, 3..4, 4..5, 5..6]);
        let top: Vec<_> = excerpt.top().map(|note| note.pitch).collect();
        let bottom: Vec<_> = excerpt.bottom().map(|note| note.pitch).collect();
        assert_eq!((top, bottom), (vec![67, 72, 62, 65], vec![60, 72, 62, 65]));
        assert!(Excerpt::new(&notes[..3]).is_none());
    }

    #[test]
    fn statistics_of_small_samples_are_as_counted_by_hand() {
        assert_eq!((mean([]), deviation(&[]), quantile(&[], 0.5)), (0.0, 0.0, 0.0));
        assert_eq!(deviation(&[1.0, 3.0]), 1.0);
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert!((correlation(&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0]) + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
        assert_eq!(entropy(&[1.0, 1.0, 0.0, 2.0]), 1.5);
        assert_eq!(share([1, 2, 3, 4], |number| number > 1), 0.75);
    }
}
