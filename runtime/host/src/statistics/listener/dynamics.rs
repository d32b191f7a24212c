//! Loudness.

use super::Measure;
use super::excerpt::{Excerpt, correlation, deviation, mean, quantile};

pub const MEASURES: &[Measure] = &[
    ("mean velocity", |excerpt| mean(velocities(excerpt))),
    ("spread of velocities", |excerpt| deviation(&velocities(excerpt))),
    ("range of velocities", |excerpt| {
        let velocities = velocities(excerpt);
        quantile(&velocities, 0.95) - quantile(&velocities, 0.05)
    }),
    ("velocity against the chord before", |excerpt| {
        let loudest: Vec<f64> = excerpt
            .chords
            .iter()
            .map(|chord| {
                let notes = excerpt.notes[chord.notes.clone()].iter();
                notes.map(|note| f64::from(note.velocity)).fold(0.0, f64::max)
            })
            .collect();
        correlation(&loudest[1..], &loudest[..loudest.len() - 1])
    }),
    ("velocity change from chord to chord", |excerpt| {
        let top: Vec<f64> = excerpt.top().map(|note| f64::from(note.velocity)).collect();
        mean(top.windows(2).map(|pair| (pair[1] - pair[0]).abs()))
    }),
    ("velocity against pitch", |excerpt| {
        let pitches: Vec<f64> = excerpt.notes.iter().map(|note| f64::from(note.pitch)).collect();
        correlation(&velocities(excerpt), &pitches)
    }),
    ("melody above the rest of its chord", |excerpt| {
        let chords = excerpt.chords.iter().filter(|chord| chord.notes.len() > 1);
        mean(chords.filter_map(|chord| {
            let (top, rest) = excerpt.notes[chord.notes.clone()].split_last()?;
            Some(f64::from(top.velocity) - mean(rest.iter().map(|note| f64::from(note.velocity))))
        }))
    }),
    ("change of loudness", |excerpt| {
        let velocities = velocities(excerpt);
        let (first, second) = velocities.split_at(velocities.len() / 2);
        (mean(second.iter().copied()) - mean(first.iter().copied())).abs()
    }),
    ("different velocities", |excerpt| {
        let mut velocities: Vec<u8> = excerpt.notes.iter().map(|note| note.velocity).collect();
        velocities.sort_unstable();
        velocities.dedup();
        velocities.len() as f64
    }),
];

fn velocities(excerpt: &Excerpt) -> Vec<f64> {
    excerpt.notes.iter().map(|note| f64::from(note.velocity)).collect()
}
