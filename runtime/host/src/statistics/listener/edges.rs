//! Beginnings and endings of pieces: one value per piece, not per excerpt.

use super::Measure;
use super::excerpt::{Excerpt, mean, quantile};
use super::harmony::tonic;

pub const MEASURES: &[Measure] = &[
    ("last sonority, log2 s", |piece| {
        let last = &piece.chords[piece.chords.len() - 1];
        let held = piece.notes[last.notes.clone()].iter().map(|note| note.end - last.onset);
        held.fold(1e-3, f64::max).log2()
    }),
    ("tonic in the last bass", |piece| {
        let last = &piece.notes[piece.chords[piece.chords.len() - 1].notes.clone()];
        f64::from(u8::from(usize::from(last[0].pitch % 12) == tonic(&piece.notes)))
    }),
    ("notes of the last chord", |piece| piece.chords[piece.chords.len() - 1].notes.len() as f64),
    ("last intervals against the median, octaves", |piece| {
        let intervals = piece.intervals();
        against_median(&intervals[intervals.len().saturating_sub(6)..], &intervals)
    }),
    ("last velocities against the mean", |piece| {
        velocity(piece, piece.chords.len().saturating_sub(6)..piece.chords.len())
    }),
    ("tonic in the first bass", |piece| {
        let first = &piece.notes[piece.chords[0].notes.clone()];
        f64::from(u8::from(usize::from(first[0].pitch % 12) == tonic(&piece.notes)))
    }),
    ("notes of the first chord", |piece| piece.chords[0].notes.len() as f64),
    ("first duration, log2 s", |piece| {
        piece.notes[piece.chords[0].notes.end - 1].duration().max(1e-3).log2()
    }),
    ("first intervals against the median, octaves", |piece| {
        let intervals = piece.intervals();
        against_median(&intervals[..intervals.len().min(6)], &intervals)
    }),
    ("first velocities against the mean", |piece| velocity(piece, 0..piece.chords.len().min(6))),
];

fn against_median(part: &[f64], all: &[f64]) -> f64 {
    (mean(part.iter().copied()).max(1e-3) / quantile(all, 0.5).max(1e-3)).log2()
}

/// Mean velocity of some chords minus that of the piece.
fn velocity(piece: &Excerpt, chords: std::ops::Range<usize>) -> f64 {
    let chords = &piece.chords[chords];
    let ends = chords.first().zip(chords.last());
    let notes = ends.map_or(0..0, |(first, last)| first.notes.start..last.notes.end);
    let velocity = |notes: &[super::excerpt::Sounding]| {
        mean(notes.iter().map(|note| f64::from(note.velocity)))
    };
    velocity(&piece.notes[notes]) - velocity(&piece.notes)
}
