//! A look-ahead limiter: reduces the gain smoothly, a little before a sample that would clip.

use std::collections::VecDeque;

use crate::sound::{RATE, Sample};

/// Peak level of a file, 1 dB below full scale: players that resample need headroom.
pub const PEAK: f32 = 0.891;

/// Look-ahead in samples: 5 ms.
const AHEAD: usize = RATE as usize / 200;

/// Release time constant, in seconds.
const RELEASE: f32 = 0.15;

/// Limits sound to [`PEAK`].
pub struct Limiter {
    /// Samples in the look-ahead delay.
    delayed: VecDeque<Sample>,
    /// Sliding-window minimum of the gains that samples need, with their numbers: the lowest in the
    /// window, and after each the lowest that came later.
    lowest: VecDeque<(u64, f32)>,
    /// Window of gains to be averaged, and its sum.
    gains: VecDeque<f32>,
    sum: f64,
    /// The gain before averaging.
    held: f32,
    count: u64,
    release: f32,
}

impl Limiter {
    pub fn new() -> Self {
        Self {
            delayed: VecDeque::with_capacity(AHEAD),
            lowest: VecDeque::with_capacity(AHEAD),
            gains: VecDeque::from(vec![1.0; AHEAD]),
            sum: AHEAD as f64,
            held: 1.0,
            count: 0,
            release: 1.0 - (-1.0 / (RELEASE * RATE as f32)).exp(),
        }
    }

    /// Takes a sample, and returns the one that came [`AHEAD`] - 1 before it, if there is one.
    fn pass(&mut self, sample: Sample) -> Option<Sample> {
        let loudest = sample[0].abs().max(sample[1].abs());
        let asked = if loudest > PEAK { PEAK / loudest } else { 1.0 };
        while self.lowest.back().is_some_and(|&(_, later)| later >= asked) {
            self.lowest.pop_back();
        }
        self.lowest.push_back((self.count, asked));
        self.count += 1;
        if self.lowest.front().is_some_and(|&(at, _)| at + (AHEAD as u64) < self.count) {
            self.lowest.pop_front();
        }
        let lowest = self.lowest.front().map_or(1.0, |&(_, gain)| gain);
        let released = self.held + self.release * (lowest - self.held);
        self.held = lowest.min(released);
        // By the time a sample leaves, all averaged gains are at or below the one that it needs.
        self.sum += f64::from(self.held) - f64::from(self.gains.pop_front().unwrap_or(1.0));
        self.gains.push_back(self.held);
        self.delayed.push_back(sample);
        if self.delayed.len() < AHEAD {
            return None;
        }
        let gain = (self.sum / AHEAD as f64) as f32;
        // Clips the last bit, which rounding may exceed.
        self.delayed.pop_front().map(|sides| sides.map(|side| (side * gain).clamp(-PEAK, PEAK)))
    }

    /// Limits a block; appends the output to `out`.
    pub fn limit(&mut self, block: &[Sample], out: &mut Vec<Sample>) {
        out.extend(block.iter().filter_map(|&sample| self.pass(sample)));
    }

    /// Flushes the look-ahead delay.
    pub fn finish(mut self, out: &mut Vec<Sample>) {
        out.extend((1..AHEAD).filter_map(|_| self.pass([0.0; 2])));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limited(samples: &[Sample]) -> Vec<Sample> {
        let (mut limiter, mut out) = (Limiter::new(), Vec::new());
        samples.chunks(100).for_each(|block| limiter.limit(block, &mut out));
        limiter.finish(&mut out);
        out
    }

    #[test]
    fn what_fits_passes_unchanged() {
        let samples: Vec<Sample> = (0..2000).map(|at| [(at as f32 * 0.1).sin() * 0.8; 2]).collect();
        let out = limited(&samples);
        assert_eq!(out.len(), samples.len());
        assert!(out.iter().zip(&samples).all(|(a, b)| (a[0] - b[0]).abs() < 1e-6));
    }

    #[test]
    fn a_peak_is_turned_down_and_let_go() {
        let mut samples = vec![[0.1, -0.1]; 3 * RATE as usize];
        samples[RATE as usize] = [4.0, 0.0];
        let out = limited(&samples);
        assert!((out[RATE as usize][0] - PEAK).abs() < 0.01);
        assert!((out[RATE as usize - 2 * AHEAD][0] - 0.1).abs() < 1e-6, "not before");
        assert!(out[RATE as usize + 100][0] < 0.03, "still down");
        assert!((out[2 * RATE as usize + RATE as usize / 2][0] - 0.1).abs() < 1e-4, "let go");
    }

    proptest! {
        #[test]
        fn nothing_is_too_loud(samples in prop::collection::vec([-9f32..9.0, -9f32..9.0], 0..1500)) {
            let out = limited(&samples);
            prop_assert_eq!(out.len(), samples.len());
            prop_assert!(out.iter().flatten().all(|side| side.abs() <= PEAK));
        }
    }
}
