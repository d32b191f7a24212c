//! Biases times towards a pace: faster or slower than the model's own.

use crate::note::vocabulary::{TIME_BINS, time_bin};

/// A pace to bias times towards, and how strongly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Target mean step, in seconds.
    pub goal: f32,
    /// Logit penalty per bin of a time; below 0, a bonus.
    pub cost: f32,
    /// Where bins have a bonus, the penalty of a time of 0, as between the notes of a chord, in bins.
    pub chord: f32,
    /// How fast the bonus decays per bin beyond four times the goal, as a share: 1 where the bonus is large enough
    /// to open gaps, 0 where it is not.
    pub fall: f32,
}

impl Pace {
    /// No bias: the model's own pace.
    pub const FREE: Self = Self { goal: 0.0, cost: 0.0, chord: 0.0, fall: 0.0 };

    /// The logits of a step's or a duration's bins, biased.
    ///
    /// To speed up, all times below half the goal have the same penalty. To slow down, all times above four times
    /// the goal have the same bonus, or a decaying one: more extreme times do not change the pace, but only add
    /// fragments and gaps. A step of 0 keeps its probability when speeding up, so that chords do not grow, and gets
    /// less likely when slowing down.
    #[inline(never)] // boards have no flash for a copy at every call
    pub fn bias(self, logits: &[f32]) -> [f32; TIME_BINS] {
        let mut biased = [f32::NEG_INFINITY; TIME_BINS];
        if self.cost == 0.0 {
            biased.iter_mut().zip(logits).for_each(|(biased, logit)| *biased = *logit);
            return biased;
        }
        let limit = time_bin(if self.cost > 0.0 { self.goal / 2.0 } else { 4.0 * self.goal });
        let limit = f32::from(limit);
        for (bin, (biased, logit)) in (0u8..).zip(biased.iter_mut().zip(logits)) {
            let bin = f32::from(bin);
            let counted = if self.cost > 0.0 {
                bin.max(limit)
            } else {
                // Up to the limit, the second argument is at least `bin`.
                bin.min((limit - self.fall * (bin - limit)).max(0.0))
            };
            *biased = logit - self.cost * counted;
        }
        if let ([nothing, meant @ ..], [at_once, biased @ ..]) = (logits, &mut biased) {
            *at_once = nothing + self.chord * self.cost.min(0.0);
            let gain = log_of_sum(meant) - log_of_sum(biased);
            if gain.is_finite() {
                biased.iter_mut().for_each(|logit| *logit += gain);
            }
        }
        biased
    }
}

/// The logarithm of the sum of the exponentials.
#[inline(never)]
fn log_of_sum(logits: &[f32]) -> f32 {
    let top = logits.iter().copied().fold(f32::MIN, f32::max);
    top + libm::logf(logits.iter().map(|logit| libm::expf(logit - top)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Probabilities of some logits' choices, and the mean bin of those that are not 0.
    fn of(logits: &[f32; TIME_BINS]) -> ([f32; TIME_BINS], f32) {
        let all = log_of_sum(logits);
        let shares = logits.map(|logit| libm::expf(logit - all));
        let bins: f32 = shares.iter().zip(0u8..).map(|(share, bin)| share * f32::from(bin)).sum();
        (shares, bins / (1.0 - shares[0]))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn time_goes_faster_or_slower_and_chords_stay(
            logits in proptest::collection::vec(-4f32..4.0, TIME_BINS), goal in 0.01f32..2.0, cost in -5f32..5.0
        ) {
            let logits: [f32; TIME_BINS] = core::array::from_fn(|bin| logits[bin]);
            let (meant, mean) = of(&logits);
            let of_biased = Pace { goal, cost, chord: 0.0, fall: 0.0 }.bias(&logits);
            let (biased, biased_mean) = of(&of_biased);
            prop_assert!((biased[0] - meant[0]).abs() < 1e-3 * meant[0] + 1e-6, "{} {}", biased[0], meant[0]);
            let (thinned, _) = of(&Pace { goal, cost, chord: 8.0, fall: 0.0 }.bias(&logits));
            prop_assert!(cost > -0.01 || thinned[0] < biased[0]);
            prop_assert!(cost < 0.0 || thinned[0] == biased[0]);
            prop_assert!((log_of_sum(&of_biased) - log_of_sum(&logits)).abs() < 1e-3);
            prop_assert!(cost * (biased_mean - mean) < 1e-3, "{mean} {biased_mean}");
        }
    }

    #[test]
    fn nothing_is_led_for_nothing() {
        let logits = core::array::from_fn(|bin| (bin as f32 / 7.0).sin());
        assert_eq!(Pace::FREE.bias(&logits), logits);
    }

    /// Neither fragments nor gaps get more likely.
    #[test]
    fn beyond_its_limits_times_keep_their_proportions() {
        let even = [0.0; TIME_BINS];
        let faster = Pace { goal: 0.2, cost: 0.1, chord: 0.0, fall: 0.0 }.bias(&even);
        let [short, limit, long] = [0.02, 0.1, 0.5].map(|time| faster[usize::from(time_bin(time))]);
        assert!(short == limit && limit > long);
        let slower = Pace { goal: 0.2, cost: -0.1, chord: 0.0, fall: 0.0 }.bias(&even);
        let [short, limit, long] = [0.2, 0.8, 3.0].map(|time| slower[usize::from(time_bin(time))]);
        assert!(short < limit && limit == long);
        let slower = Pace { goal: 0.2, cost: -0.1, chord: 0.0, fall: 1.0 }.bias(&even);
        let [short, limit, long, longer] =
            [0.2, 0.8, 3.0, 12.0].map(|time| slower[usize::from(time_bin(time))]);
        assert!(short < limit && limit > long && long > longer);
        // Two doublings above the limit have the same bonus as two below.
        assert!((slower[usize::from(time_bin(3.2))] - short).abs() < 1e-4);
    }

    /// NaN logits do not affect the others.
    #[test]
    fn what_is_no_number_takes_nothing_else_with_it() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut logits = [0.0; TIME_BINS];
            logits[40] = odd;
            let biased = Pace { goal: 0.1, cost: 0.05, chord: 0.0, fall: 0.0 }.bias(&logits);
            assert_eq!(biased.iter().filter(|logit| logit.is_finite()).count(), TIME_BINS - 1);
        }
        let mut only_chords = [f32::NEG_INFINITY; TIME_BINS];
        only_chords[0] = 0.0;
        assert_eq!(
            Pace { goal: 0.1, cost: 0.05, chord: 0.0, fall: 0.0 }.bias(&only_chords),
            only_chords
        );
    }
}
