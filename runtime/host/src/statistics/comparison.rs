//! Compares sampled pieces with real ones.
//!
//! As in Yang and Lerch (2020), a measure is compared by distances: between each two real pieces, and
//! between each sampled and each real piece. If the sampled pieces are like the real ones, both sets of
//! distances have the same distribution, and the areas under their densities overlap
//! ([`overlap`](crate::statistics::overlap)). Training songs do not match other real songs perfectly
//! either: their overlap is the *ceiling*, and a model's overlap is reported as a share of it.
//!
//! Measures depend on length, so all pieces are cut into [`excerpts`] of the same length.

use pianola_runtime::Note;

use crate::statistics::music::Measures;
use crate::statistics::overlap::overlapped_area;
use crate::statistics::pairs::Pairs;

/// Most notes of an excerpt.
pub const EXCERPT: usize = 1000;

/// Cuts a piece into consecutive excerpts of `length` notes. The last may have down to a quarter of
/// that, and is left out if it has less.
pub fn excerpts(piece: &[Note], length: usize) -> impl Iterator<Item = &[Note]> {
    let length = length.max(1);
    piece.chunks(length).filter(move |excerpt| 4 * excerpt.len() >= length)
}

/// A scalar measure: its name, its unit and its function.
pub(super) type Scalar = (&'static str, &'static str, fn(&Measures) -> f64);

/// A measure that is a histogram.
type Spectrum = (&'static str, fn(&Measures) -> &[f64]);

pub(super) const PITCH_CLASS_ENTROPY: Scalar =
    ("pitch-class entropy", "bits", |measures| measures.pitch_class_entropy);
pub(super) const POLYPHONY_RATE: Scalar =
    ("polyphony rate", "share", |measures| measures.polyphony_rate);
pub(super) const MEAN_PITCH: Scalar = ("mean pitch", "MIDI", |measures| measures.mean_pitch);

const SCALARS: [Scalar; 9] = [
    PITCH_CLASS_ENTROPY,
    ("scale consistency", "share", |measures| measures.scale_consistency),
    POLYPHONY_RATE,
    ("mean polyphony", "pitches", |measures| measures.mean_polyphony),
    ("notes per second", "1/s", |measures| measures.notes_per_second),
    MEAN_PITCH,
    ("notes above C7", "share", |measures| measures.high_share),
    ("longest run of a pitch", "notes", |measures| measures.longest_run as f64),
    ("densest 10 s", "notes", |measures| measures.densest_window as f64),
];

const SPECTRA: [Spectrum; 3] = [
    ("steps", |measures| &measures.steps),
    ("durations", |measures| &measures.durations),
    ("intervals", |measures| &measures.intervals),
];

/// One measure over two sets of pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The measure.
    pub name: &'static str,
    /// Its unit; empty for histograms.
    pub unit: &'static str,
    /// Its means over the sampled and the real pieces; none for histograms.
    pub means: Option<[f64; 2]>,
    /// Overlapped area of the distances between real pieces and of those between sampled and real
    /// ones, 0 to 1; none if there is no such distance.
    pub overlap: Option<f64>,
}

/// All measures over two sets of pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// A row for each measure.
    pub rows: Vec<Row>,
    /// Upper bound of the standard error that the sampling of pairs adds to the overlaps: 0 if all pairs were compared.
    pub pair_sampling_error: f64,
}

impl Comparison {
    /// Number of rows.
    pub const ROWS: usize = SCALARS.len() + SPECTRA.len();

    /// Compares sampled pieces with real ones, by `most_pairs` random pairs if there are more; calls `step` after each
    /// row.
    pub fn between(
        samples: &[Measures],
        real: &[Measures],
        most_pairs: usize,
        step: &mut dyn FnMut(),
    ) -> Self {
        let within = Pairs::within(real.len(), most_pairs);
        let across = Pairs::across(samples.len(), real.len(), most_pairs);
        let pair_sampling_error = within.sampling_error().hypot(across.sampling_error());
        let mut rows = Vec::with_capacity(Self::ROWS);
        for (name, unit, of) in SCALARS {
            let [samples, real] = [samples, real].map(|set| set.iter().map(of).collect::<Vec<_>>());
            let means = Some([mean(&samples), mean(&real)]);
            let distance = |a: &f64, b: &f64| (a - b).abs();
            let overlap = overlapped_area(
                &within.map(|[a, b]| distance(&real[a], &real[b])),
                &across.map(|[a, b]| distance(&samples[a], &real[b])),
            );
            rows.push(Row { name, unit, means, overlap });
            step();
        }
        for (name, of) in SPECTRA {
            let distance = |a: &[f64], b: &[f64]| {
                a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
            };
            let overlap = overlapped_area(
                &within.map(|[a, b]| distance(of(&real[a]), of(&real[b]))),
                &across.map(|[a, b]| distance(of(&samples[a]), of(&real[b]))),
            );
            rows.push(Row { name, unit: "", means: None, overlap });
            step();
        }
        Self { rows, pair_sampling_error }
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::pairs::MOST_PAIRS;
    use proptest::prelude::*;

    fn piece(pitches: impl IntoIterator<Item = u8>, step: f32) -> Vec<Note> {
        let note = |pitch| Note { pitch, velocity: 80, step, duration: 1.5 * step };
        pitches.into_iter().map(note).collect()
    }

    fn between(samples: &[Measures], real: &[Measures]) -> Comparison {
        Comparison::between(samples, real, MOST_PAIRS, &mut || {})
    }

    #[test]
    fn excerpts_leave_out_short_tails() {
        let notes = piece([60; 100], 1.0);
        let lengths =
            |length| -> Vec<usize> { excerpts(&notes, length).map(<[Note]>::len).collect() };
        assert_eq!(lengths(40), [40, 40, 20]);
        assert_eq!(lengths(80), [80, 20]);
        assert_eq!(lengths(81), [81]);
        assert_eq!(lengths(400), [100]);
        assert_eq!(lengths(401), [0; 0]);
        assert_eq!(lengths(0).len(), 100);
    }

    #[test]
    fn distances_within_and_across_are_those_made_by_hand() {
        // Mean pitches of 60, 61, 63 are 1, 2, 3 apart; from 66 they are 6, 5, 3 away.
        let measures = |pitch| Measures::of(&piece([pitch; 4], 0.5));
        let (real, sample) = ([60, 61, 63].map(measures), [measures(66)]);
        let comparison = between(&sample, &real);
        let row = comparison.rows.iter().find(|row| row.name == "mean pitch");
        let overlap = overlapped_area(&[1.0, 2.0, 3.0], &[6.0, 5.0, 3.0]);
        assert_eq!(row.and_then(|row| row.overlap), overlap);
        assert_eq!(row.and_then(|row| row.means), Some([66.0, 184.0 / 3.0]));
        // One real piece has no other to differ from.
        let alone = between(&sample, &real[..1]);
        assert!(alone.rows.iter().all(|row| row.overlap.is_none()));
    }

    fn pieces(count: usize) -> impl Strategy<Value = Vec<Measures>> {
        let piece = (proptest::collection::vec(40u8..100, 8..30), 0.02f32..0.5)
            .prop_map(|(pitches, step)| Measures::of(&piece(pitches, step)));
        proptest::collection::vec(piece, count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn overlaps_are_shares(samples in pieces(5), real in pieces(7)) {
            for row in between(&samples, &real).rows {
                let overlap = row.overlap.unwrap_or(f64::NAN);
                prop_assert!((0.0..=1.0 + 1e-9).contains(&overlap), "{}: {overlap}", row.name);
            }
        }

        #[test]
        fn a_set_overlaps_with_itself(set in pieces(80)) {
            // Not 1: each piece has distance 0 from itself.
            for row in between(&set, &set).rows {
                prop_assert!(row.overlap.is_some_and(|overlap| overlap > 0.9), "{row:?}");
            }
        }
    }
}
