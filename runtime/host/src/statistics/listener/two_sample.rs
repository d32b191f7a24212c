//! A classifier two-sample test: how well a random forest distinguishes two sets of pieces.

use std::fmt;

use rand_pcg::Pcg32;
use rayon::prelude::*;
use smartcore::ensemble::random_forest_regressor::{
    RandomForestRegressor, RandomForestRegressorParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

/// The measures of one excerpt.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Number of its piece within its set.
    pub piece: usize,
    /// A value for each measure.
    pub values: Vec<f64>,
}

/// Area under the receiver operating characteristic: the probability that an excerpt of the first
/// set gets a higher score than one of the second. 0.5 is chance, 1 is perfect separation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Auc {
    /// The area, 0 to 1.
    pub auc: f64,
    /// Lower bound of its 95 % confidence interval, by resampling pieces. The forests stay the same,
    /// so the interval leaves out what other folds would change.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
}

impl fmt::Display for Auc {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.3}  ({:.3} to {:.3})", self.auc, self.low, self.high)
    }
}

/// Folds of the cross-validation, by piece: no excerpt is scored by a forest trained on its piece.
const FOLDS: usize = 5;

/// Trees of a forest.
const TREES: usize = 120;

/// Resamples behind a confidence interval.
const RESAMPLES: usize = 400;

/// PCG stream of the folds and resamples, separate from those that draw notes.
const STREAM: u64 = 0x1157;

/// Measures how well some measures separate two sets; `None` if a set has fewer pieces than there are
/// folds. The same sets give the same areas.
pub fn tell_apart(sets: [&[Sample]; 2], measures: &[usize]) -> Option<Auc> {
    let pieces = sets.map(|set| set.iter().map(|sample| sample.piece + 1).max().unwrap_or(0));
    if pieces.iter().any(|&pieces| pieces < FOLDS) {
        return None;
    }
    let mut random = Pcg32::new(1, STREAM);
    let folds = pieces.map(|pieces| shuffled_folds(pieces, &mut random));
    let samples: Vec<(usize, &Sample)> = sets
        .iter()
        .enumerate()
        .flat_map(|(set, samples)| samples.iter().map(move |s| (set, s)))
        .collect();
    let fold = |&(set, sample): &(usize, &Sample)| folds[set][sample.piece];
    let row = |&(_, sample): &(usize, &Sample)| {
        measures.iter().map(|&measure| sample.values[measure]).collect::<Vec<f64>>()
    };
    let scores: Vec<Vec<(usize, usize, f64)>> = (0..FOLDS)
        .into_par_iter()
        .map(|held_out| {
            let (test, train): (Vec<_>, Vec<_>) =
                samples.iter().copied().partition(|sample| fold(sample) == held_out);
            let labels: Vec<f64> = train.iter().map(|&(set, _)| (1 - set) as f64).collect();
            let scored =
                score(train.iter().map(row).collect(), labels, test.iter().map(row).collect());
            let tagged = test.iter().zip(scored);
            tagged.map(|(&(set, sample), score)| (set, sample.piece, score)).collect()
        })
        .collect();
    let mut by_piece = pieces.map(|pieces| vec![Vec::new(); pieces]);
    for (set, piece, score) in scores.into_iter().flatten() {
        by_piece[set][piece].push(score);
    }
    Some(with_interval(&by_piece, &mut random))
}

/// A fold for each piece, in folds of nearly equal size.
fn shuffled_folds(pieces: usize, random: &mut Pcg32) -> Vec<usize> {
    let mut folds: Vec<usize> = (0..pieces).map(|piece| piece % FOLDS).collect();
    crate::corpus::shuffle(&mut folds, random);
    folds
}

/// Scores test rows by a forest of the training rows. If training fails, all scores are equal.
fn score(train: Vec<Vec<f64>>, labels: Vec<f64>, test: Vec<Vec<f64>>) -> Vec<f64> {
    let unknown = vec![0.5; test.len()];
    // Regression on 0 and 1 gives shares of votes, where classification gives only the winner.
    let parameters = RandomForestRegressorParameters::default()
        .with_n_trees(TREES)
        .with_min_samples_leaf(2)
        .with_m(((train.first().map_or(1, Vec::len) as f64).sqrt().ceil() as usize).max(1))
        .with_seed(1);
    let scored = DenseMatrix::from_2d_vec(&train).and_then(|train| {
        let forest = RandomForestRegressor::fit(&train, &labels, parameters)?;
        forest.predict(&DenseMatrix::from_2d_vec(&test)?)
    });
    scored.unwrap_or(unknown)
}

/// The area over all scores, and over resampled pieces.
fn with_interval(by_piece: &[Vec<Vec<f64>>; 2], random: &mut Pcg32) -> Auc {
    let all = |set: &Vec<Vec<f64>>| set.iter().flatten().copied().collect::<Vec<f64>>();
    let auc = area(&all(&by_piece[0]), &all(&by_piece[1]));
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let [first, second] = by_piece.each_ref().map(|set| {
                let draw = |_| &set[crate::corpus::below(random, set.len() as u32) as usize];
                (0..set.len()).flat_map(draw).copied().collect::<Vec<f64>>()
            });
            area(&first, &second)
        })
        .collect();
    resampled.sort_by(f64::total_cmp);
    let at = |part: f64| resampled[(part * (RESAMPLES - 1) as f64).round() as usize];
    Auc { auc, low: at(0.025), high: at(0.975) }
}

/// Mann and Whitney's U over the number of pairs; a tie counts half.
pub fn area(first: &[f64], second: &[f64]) -> f64 {
    let mut ranked: Vec<(f64, bool)> = first.iter().map(|&score| (score, true)).collect();
    ranked.extend(second.iter().map(|&score| (score, false)));
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let firsts = tied.iter().filter(|(_, is_first)| *is_first).count() as f64;
        let seconds = tied.len() as f64 - firsts;
        wins += firsts * (below + seconds / 2.0);
        below += seconds;
    }
    let pairs = first.len() as f64 * second.len() as f64;
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_pcg::rand_core::Rng;

    #[test]
    fn the_area_counts_pairs_in_order() {
        assert_eq!(area(&[2.0, 3.0], &[0.0, 1.0]), 1.0);
        assert_eq!(area(&[0.0, 1.0], &[2.0, 3.0]), 0.0);
        assert_eq!(area(&[1.0, 3.0], &[2.0, 2.0]), 0.5);
        assert_eq!(area(&[1.0], &[1.0]), 0.5);
        assert_eq!(area(&[], &[1.0]), 0.5);
    }

    fn set(pieces: usize, shift: f64, seed: u64) -> Vec<Sample> {
        let mut random = Pcg32::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), seed);
        let mut uniform = move || f64::from(random.next_u32()) / f64::from(u32::MAX);
        let sample =
            |at| Sample { piece: at / 4, values: vec![uniform(), uniform() + shift, uniform()] };
        (0..4 * pieces).map(sample).collect()
    }

    #[test]
    fn alike_sets_are_not_told_apart_and_others_are() {
        let (a, b, shifted) = (set(80, 0.0, 1), set(80, 0.0, 2), set(80, 0.6, 3));
        let alike = tell_apart([&a, &b], &[0, 1, 2]).unwrap();
        assert!(
            (0.4..0.6).contains(&alike.auc) && alike.low < 0.5 && alike.high > 0.5,
            "{alike:?}"
        );
        let other = tell_apart([&shifted, &a], &[0, 1, 2]).unwrap();
        assert!(other.auc > 0.85 && other.low > 0.75, "{other:?}");
        // Measures with equal distributions do not separate them.
        let blind = tell_apart([&shifted, &a], &[0, 2]).unwrap();
        assert!((0.35..0.65).contains(&blind.auc), "{blind:?}");
        assert_eq!(tell_apart([&a[..12], &b], &[0]), None);
        assert_eq!(tell_apart([&a, &b], &[0, 1, 2]).unwrap(), alike);
    }
}
