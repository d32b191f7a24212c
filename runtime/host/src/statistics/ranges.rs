//! Usual ranges of real pieces, and whether sampled pieces keep to them.

use crate::statistics::comparison::{MEAN_PITCH, PITCH_CLASS_ENTROPY, POLYPHONY_RATE, Scalar};
use crate::statistics::music::Measures;

/// Measures whose usual range is reported: a piece outside it sounds wrong.
const RANGED: [Scalar; 3] = [POLYPHONY_RATE, PITCH_CLASS_ENTROPY, MEAN_PITCH];

/// Usual range of a measure: from its 1st to its 99th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// 1st percentile.
    pub low: f64,
    /// 99th percentile.
    pub high: f64,
}

impl Range {
    /// The range of some values, interpolated between the nearest two; `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let percentile = |percent: f64| {
            let place = percent / 100.0 * last as f64;
            let (below, part) = (place as usize, place.fract());
            values[below] + part * (values[(below + 1).min(last)] - values[below])
        };
        Some(Self { low: percentile(1.0), high: percentile(99.0) })
    }

    /// Whether a value lies in it.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A measure's usual range, and the share of sampled pieces inside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeKept {
    /// The measure.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its range over the real pieces.
    pub range: Range,
    /// Share of sampled pieces inside it.
    pub inside: f64,
}

/// Usual ranges and extremes of real pieces, and the sampled pieces' values.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Usual ranges.
    pub ranges: Vec<RangeKept>,
    /// Longest run of one pitch, in notes: in any sampled piece, in any song of the corpus.
    pub longest_run: [usize; 2],
    /// Most onsets within ten seconds: in any sampled piece, in any song of the corpus.
    pub densest_window: [usize; 2],
}

impl Limits {
    /// Ranges over real pieces, of the same length as the sampled ones, and extremes over the whole
    /// songs of the corpus.
    pub fn between(samples: &[Measures], real: &[Measures], corpus: &[Measures]) -> Self {
        let kept = |(name, unit, of): Scalar| {
            let range = Range::of(real.iter().map(of))?;
            let inside = samples.iter().filter(|piece| range.holds(of(piece))).count();
            let inside = inside as f64 / samples.len().max(1) as f64;
            Some(RangeKept { name, unit, range, inside })
        };
        let most = |of: fn(&Measures) -> usize| {
            [samples, corpus].map(|set| set.iter().map(of).max().unwrap_or(0))
        };
        Self {
            ranges: RANGED.into_iter().filter_map(kept).collect(),
            longest_run: most(|measures| measures.longest_run),
            densest_window: most(|measures| measures.densest_window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pianola_runtime::Note;

    fn piece(pitches: impl IntoIterator<Item = u8>, step: f32) -> Vec<Note> {
        let note = |pitch| Note { pitch, velocity: 80, step, duration: 1.5 * step };
        pitches.into_iter().map(note).collect()
    }

    #[test]
    fn percentiles_are_interpolated() {
        let range = Range::of((0..=200).rev().map(f64::from));
        assert_eq!(range, Some(Range { low: 2.0, high: 198.0 }));
        let range = Range::of([3.0, 1.0]);
        assert!(range.is_some_and(|r| (r.low - 1.02).abs() < 1e-9 && (r.high - 2.98).abs() < 1e-9));
        assert!(range.is_some_and(|r| r.holds(2.0) && !r.holds(1.0) && !r.holds(3.0)));
        assert_eq!(Range::of([]), None);
        assert_eq!(Range::of([5.0]), Some(Range { low: 5.0, high: 5.0 }));
    }

    #[test]
    fn sampled_pieces_are_inside_the_ranges_or_not() {
        let measures = |pitch| Measures::of(&piece([pitch; 4], 0.5));
        let (real, sample) = ([60, 61, 63].map(measures), [measures(66)]);
        let limits = Limits::between(&sample, &real, &[Measures::of(&piece([60; 9], 1.5))]);
        assert_eq!((limits.longest_run, limits.densest_window), ([4, 9], [4, 7]));
        let inside = limits.ranges.iter().map(|kept| (kept.name, kept.inside));
        let expected = [("polyphony rate", 1.0), ("pitch-class entropy", 1.0), ("mean pitch", 0.0)];
        assert_eq!(inside.collect::<Vec<_>>(), expected);
    }
}
