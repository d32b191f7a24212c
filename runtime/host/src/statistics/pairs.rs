//! Pairs of pieces whose distances are compared: all of them or, of very many, a random sample.

use rand_pcg::{Pcg32, rand_core::Rng};

/// Most pairs that are compared. A sample of as many takes seconds, and adds a standard error of at most 0.0005 to an
/// overlapped area (see [`Pairs::sampling_error`]).
pub const MOST_PAIRS: usize = 1 << 21;

/// Pairs of indices into two sets, the second of which may be the first.
pub struct Pairs {
    /// Sizes of the two sets; one size for pairs within one set.
    sizes: (usize, Option<usize>),
    most: usize,
}

impl Pairs {
    /// All pairs within a set of this size, or `most` random ones.
    pub fn within(size: usize, most: usize) -> Self {
        Self { sizes: (size, None), most }
    }

    /// All pairs of one of a set with one of another, or `most` random ones.
    pub fn across(first: usize, second: usize, most: usize) -> Self {
        Self { sizes: (first, Some(second)), most }
    }

    /// Number of pairs.
    fn count(&self) -> usize {
        match self.sizes {
            (size, None) => size.saturating_mul(size.saturating_sub(1)) / 2,
            (first, Some(second)) => first.saturating_mul(second),
        }
    }

    /// Upper bound of the standard error that the sampling of pairs adds to an overlapped area; 0 if all pairs are
    /// compared. How much the area varies with the pieces is not part of it.
    ///
    /// The area is the mass that one density has where it is the lower one, plus the mass that the other has elsewhere.
    /// A share that is estimated from n pairs has a standard error of at most 1 / (2 √n).
    pub fn sampling_error(&self) -> f64 {
        if self.count() <= self.most { 0.0 } else { 0.5 / (self.most as f64).sqrt() }
    }

    /// A number for each pair. Random pairs are drawn with replacement, the same each time.
    pub fn map(&self, number: impl Fn([usize; 2]) -> f64) -> Vec<f64> {
        if self.count() <= self.most {
            return match self.sizes {
                (size, None) => {
                    let pairs = (0..size).flat_map(|a| (0..a).map(move |b| [a, b]));
                    pairs.map(number).collect()
                }
                (first, Some(second)) => {
                    let pairs = (0..first).flat_map(|a| (0..second).map(move |b| [a, b]));
                    pairs.map(number).collect()
                }
            };
        }
        // Two streams: the pairs of the two kinds are independent.
        let mut random = Pcg32::new(1, u64::from(self.sizes.1.is_some()));
        let mut below =
            |size: usize| ((u128::from(random.next_u64()) * size as u128) >> 64) as usize;
        let draw = || match self.sizes {
            (size, None) => {
                let (a, b) = (below(size), below(size - 1));
                [a, if b < a { b } else { b + 1 }]
            }
            (first, Some(second)) => [below(first), below(second)],
        };
        std::iter::repeat_with(draw).take(self.most).map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::overlap::overlapped_area;

    #[test]
    fn few_pairs_are_all_there_in_order() {
        let number = |[a, b]: [usize; 2]| (10 * a + b) as f64;
        assert_eq!(Pairs::within(3, MOST_PAIRS).map(number), [10.0, 20.0, 21.0]);
        assert_eq!(Pairs::across(2, 3, MOST_PAIRS).map(number), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!(Pairs::within(0, MOST_PAIRS).map(number), [0.0; 0]);
        assert_eq!(Pairs::within(1, MOST_PAIRS).count(), 0);
        assert_eq!(Pairs::within(2048, MOST_PAIRS).sampling_error(), 0.0);
    }

    #[test]
    fn a_sample_is_within_three_standard_errors() {
        // Numbers on two uneven scales, so that the two distributions of distances overlap in part.
        let real: Vec<f64> = (0..400).map(|at| f64::from(at * at % 397)).collect();
        let samples: Vec<f64> = (0..300).map(|at| 150.0 + f64::from(at * 7 % 311)).collect();
        let overlap = |most: usize| {
            let within = Pairs::within(real.len(), most);
            let across = Pairs::across(samples.len(), real.len(), most);
            let area = overlapped_area(
                &within.map(|[a, b]| (real[a] - real[b]).abs()),
                &across.map(|[a, b]| (samples[a] - real[b]).abs()),
            );
            (area, within.sampling_error().hypot(across.sampling_error()))
        };
        let (exact, none) = overlap(MOST_PAIRS);
        assert_eq!(none, 0.0);
        for most in [2_000, 20_000, 70_000] {
            let (sampled, error) = overlap(most);
            let wrong = exact.zip(sampled).map(|(exact, sampled)| (exact - sampled).abs());
            // Two standard errors, and a third: the narrower kernels of fewer numbers lower an overlap.
            assert!(wrong.is_some_and(|wrong| wrong < 3.0 * error), "{wrong:?} {error}");
            assert_eq!(overlap(most), (sampled, error), "the same each time");
        }
    }

    #[test]
    fn the_error_is_the_documented_one_and_a_pair_never_joins_a_piece_with_itself() {
        let pairs = Pairs::within(1 << 20, MOST_PAIRS);
        let across = Pairs::across(1 << 20, 1 << 20, MOST_PAIRS);
        let error = pairs.sampling_error();
        assert_eq!(format!("{error:.5}"), "0.00035");
        assert_eq!(format!("{:.5}", error.hypot(across.sampling_error())), "0.00049");
        let same = pairs.map(|[a, b]| if a == b || a.max(b) >= 1 << 20 { 1.0 } else { 0.0 });
        assert_eq!((same.len(), same.iter().sum::<f64>()), (MOST_PAIRS, 0.0));
    }
}
