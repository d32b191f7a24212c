//! Places times within their bins, which the model does not predict.
//!
//! In music, onsets and releases coincide. In the training songs of the reference corpus, a sounding note ends
//! in the bin of three of four nonzero steps, and 98 % of those steps last exactly to that end. Of the durations
//! in whose bin another note ends, 99 % end together with it. Other times follow the pulse, which is the last
//! nonzero step: 68 % of the steps in its bin are equal to it, and 61 % of the durations whose bin has a
//! multiple of it are that multiple (docs/results.md has the command).
//!
//! A note therefore begins as another ends, chords end together and even runs stay even. Random positions within
//! the bins would leave small gaps between onsets and releases, which no song has, and on which the model would
//! be conditioned.

use crate::network::history::History;
use crate::note::vocabulary::{place, seconds, time_bin};

/// Position of a time without any other: the middle of its bin.
const MIDDLE: u32 = 1 << 19;

/// Largest multiple of the pulse that a duration is placed at.
const MOST_STEPS: u8 = 16;

/// A step with this bin, in seconds. If no note ends in the bin, the step is at the given place, or else follows
/// the pulse.
pub(crate) fn step(history: &History, bin: u8, given: Option<u32>) -> f32 {
    let step = seconds(bin, given.unwrap_or_else(|| place_of(history.pulse())));
    nearest_end(history, 0.0, step).unwrap_or(step)
}

/// A duration with this bin, in seconds, of a note after this step: placed as a step is, or at a
/// multiple of the pulse. It may be longer than can be played.
pub(crate) fn duration(history: &History, step: f32, bin: u8, given: Option<u32>) -> f32 {
    let pulse = if time_bin(step) > 0 { step } else { history.pulse() };
    let duration = seconds(bin, given.unwrap_or_else(|| place_of(pulse)));
    if let Some(end) = nearest_end(history, step, duration) {
        return end;
    }
    if given.is_some() {
        return duration;
    }
    let multiples = (1..=MOST_STEPS).map(|steps| pulse * f32::from(steps));
    nearest(duration, multiples).unwrap_or(duration)
}

/// The note end nearest to `time`, within its bin, among the notes that still sound after `later` seconds.
#[inline(never)] // boards have no flash for a copy at every call
fn nearest_end(history: &History, later: f32, time: f32) -> Option<f32> {
    nearest(time, history.sounding(later))
}

/// Position of a time that follows the pulse: its double and its half have the same position in their bins.
fn place_of(pulse: f32) -> u32 {
    if pulse > 0.0 { place(pulse) } else { MIDDLE }
}

/// The nearest to `time` among `times` that have its bin. A time of 0 has no nearest one.
fn nearest(time: f32, times: impl Iterator<Item = f32>) -> Option<f32> {
    let bin = time_bin(time);
    let away = |other: f32| (other - time).abs();
    times
        .filter(|&other| bin > 0 && time_bin(other) == bin)
        .min_by(|&a, &b| away(a).total_cmp(&away(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Note;
    use crate::note::vocabulary::TIME_BINS;
    use proptest::prelude::*;

    /// The notes observed: pitches from middle C up, each with a step and a duration.
    fn history(times: &[(f32, f32)]) -> History {
        let mut history = History::new();
        for (pitch, &(step, duration)) in (60..).zip(times) {
            history.observe(&Note { pitch, velocity: 80, step, duration });
        }
        history
    }

    #[test]
    fn a_step_goes_to_the_end_of_a_note_in_its_bin() {
        let history = history(&[(0.0, 0.51), (0.0, 0.53), (0.0, 2.0)]);
        let bin = time_bin(0.5);
        assert_eq!(step(&history, bin, Some(0)), 0.51);
        assert_eq!(step(&history, bin, Some(u32::MAX)), 0.53);
        // No note ends there.
        assert_eq!(step(&history, time_bin(0.25), Some(0)), 0.25);
        assert_eq!(step(&history, 0, Some(0)), 0.0);
    }

    #[test]
    fn an_even_run_goes_on_evenly_and_changes_to_half_the_pace() {
        let history = history(&[(0.0, 0.1), (0.13, 0.1), (0.0, 0.05)]);
        assert_eq!(step(&history, time_bin(0.13), None), 0.13);
        assert_eq!(step(&history, time_bin(0.26), None), 0.26);
        assert_eq!(step(&history, time_bin(0.13), Some(0)), 0.125);
    }

    #[test]
    fn a_duration_ends_with_another_note_or_after_as_many_steps() {
        let history = history(&[(0.0, 1.0), (0.13, 0.1)]);
        // A second after the start is 0.75 s after the next onset.
        let rest = 1.0 - 0.13 - 0.12;
        assert_eq!(duration(&history, 0.12, time_bin(0.76), None), rest);
        assert_eq!(duration(&history, 0.12, time_bin(0.76), Some(0)), rest);
        assert_eq!(duration(&history, 0.12, time_bin(0.37), None), 3.0 * 0.12);
        assert_eq!(duration(&history, 0.0, time_bin(0.4), None), 3.0 * 0.13);
        assert_eq!(duration(&history, 0.0, time_bin(0.4), Some(0)), 0.375);
        // No multiple is in the bin; it follows the pulse.
        assert_eq!(duration(&history, 0.12, time_bin(0.06), None), 0.06);
        assert_eq!(duration(&history, 0.12, 0, None), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn times_stay_in_their_bins(
            times in proptest::collection::vec((0f32..2.0, 0f32..15.0), 0..20),
            bin in 0..TIME_BINS as u8, given: Option<u32>, after in 0f32..15.0
        ) {
            let history = history(&times);
            prop_assert_eq!(time_bin(step(&history, bin, given)), bin);
            prop_assert_eq!(time_bin(duration(&history, after, bin, given)), bin);
        }
    }
}
