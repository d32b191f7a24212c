//! Structure: repetition of earlier motifs, rhythms and harmonies.

use std::collections::HashSet;
use std::hash::Hash;

use super::Measure;
use super::excerpt::{Excerpt, mean, share};

pub const MEASURES: &[Measure] = &[
    ("melody 4-grams that return", |excerpt| recurrence(&melody(excerpt), 4)),
    ("melody 6-grams that return", |excerpt| recurrence(&melody(excerpt), 6)),
    ("melody pitches that return", |excerpt| {
        recurrence(&excerpt.top().map(|note| i16::from(note.pitch)).collect::<Vec<_>>(), 5)
    }),
    ("bass 4-grams that return", |excerpt| {
        let pitches: Vec<_> = excerpt.bottom().map(|note| i16::from(note.pitch)).collect();
        recurrence(&steps(&pitches), 4)
    }),
    ("rhythm 6-grams that return", |excerpt| recurrence(&rhythm(excerpt), 6)),
    ("rhythm 10-grams that return", |excerpt| recurrence(&rhythm(excerpt), 10)),
    ("longest repeated melody, chords", |excerpt| longest_repeat(&melody(excerpt)) as f64),
    ("nearest earlier chroma", |excerpt| mean(nearest_chroma(excerpt))),
    ("chroma windows heard before", |excerpt| {
        share(nearest_chroma(excerpt), |nearest| nearest > 0.95)
    }),
    ("phrases of a Lempel-Ziv parse", |excerpt| phrases(&melody(excerpt))),
];

/// Differences of successive values.
fn steps(values: &[i16]) -> Vec<i16> {
    values.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Intervals of the melody, in semitones.
fn melody(excerpt: &Excerpt) -> Vec<i16> {
    steps(&excerpt.top().map(|note| i16::from(note.pitch)).collect::<Vec<_>>())
}

/// Ratios of successive inter-onset intervals, in thirds of an octave: the rhythm at any tempo.
fn rhythm(excerpt: &Excerpt) -> Vec<i16> {
    let intervals = excerpt.intervals();
    let ratio = |pair: &[f64]| (3.0 * (pair[1] / pair[0]).log2()).round() as i16;
    intervals.windows(2).map(ratio).collect()
}

/// The share of n-grams that occurred earlier in the sequence.
fn recurrence<T: Eq + Hash>(sequence: &[T], length: usize) -> f64 {
    let mut seen = HashSet::new();
    share(sequence.windows(length).map(|gram| !seen.insert(gram)).collect::<Vec<_>>(), |old| old)
}

/// Length of the longest run that occurs at two places.
fn longest_repeat<T: Eq + Hash>(sequence: &[T]) -> usize {
    let repeats = |length: usize| {
        let mut seen = HashSet::new();
        sequence.windows(length).any(|gram| !seen.insert(gram))
    };
    (1..sequence.len()).take_while(|&length| repeats(length)).last().unwrap_or(0)
}

/// Phrases of a Lempel-Ziv (LZ78) parse, as a share of what a sequence without any repetition has.
fn phrases<T: Eq + Hash>(sequence: &[T]) -> f64 {
    let (mut seen, mut start, mut count) = (HashSet::new(), 0, 0);
    for end in 1..=sequence.len() {
        if seen.insert(&sequence[start..end]) {
            (start, count) = (end, count + 1);
        }
    }
    if sequence.is_empty() { 1.0 } else { f64::from(count) / sequence.len() as f64 }
}

/// Chords of a window of chroma, and from one window to the next.
const WINDOW: usize = 12;
const HOP: usize = 4;

/// For each window of chords, its cosine similarity to the most similar window that ended before it.
/// Windows are compared in the order of their chords, so a returning passage counts, not a returning
/// key.
fn nearest_chroma(excerpt: &Excerpt) -> Vec<f64> {
    let chroma = |chords: &[super::excerpt::Chord]| {
        let mut values = vec![0.0; 12 * WINDOW / HOP];
        for (part, chords) in chords.chunks(HOP).enumerate() {
            for note in chords.iter().flat_map(|chord| &excerpt.notes[chord.notes.clone()]) {
                values[12 * part + usize::from(note.pitch % 12)] += 1.0;
            }
        }
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        values.iter_mut().for_each(|value| *value /= norm);
        values
    };
    let windows: Vec<Vec<f64>> = excerpt.chords.windows(WINDOW).map(chroma).collect();
    let similarity = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let nearest = |at: usize| {
        let earlier = windows[..at - WINDOW].iter();
        earlier.map(|window| similarity(window, &windows[at])).fold(0.0, f64::max)
    };
    (WINDOW + 1..windows.len()).step_by(HOP).map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted() {
        let sequence = [1, 2, 3, 1, 2, 3, 1, 2, 3];
        // Of 7 trigrams, the first three are new.
        assert_eq!(recurrence(&sequence, 3), 4.0 / 7.0);
        assert_eq!(recurrence(&sequence[..2], 3), 0.0);
        assert_eq!(longest_repeat(&sequence), 6);
        assert_eq!(longest_repeat(&[1, 2, 3]), 0);
        // 1, 2, 3, 12, 31, 23.
        assert_eq!(phrases(&sequence), 6.0 / 9.0);
        assert_eq!(phrases(&[1, 2, 3]), 1.0);
    }
}
