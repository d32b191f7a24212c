//! Beat, bars and pace.

use super::Measure;
use super::excerpt::{
    CHORD_SPREAD, Excerpt, correlation, deviation, entropy, mean, quantile, share,
};

pub const MEASURES: &[Measure] = &[
    ("median inter-onset interval, log2 s", |excerpt| {
        quantile(&excerpt.intervals(), 0.5).max(1e-3).log2()
    }),
    ("spread of inter-onset intervals, octaves", |excerpt| deviation(&log_intervals(excerpt))),
    ("entropy of inter-onset intervals, bits", |excerpt| {
        let mut counts = [0.0; 40];
        for interval in log_intervals(excerpt) {
            counts[(4.0 * (interval + 6.0)).clamp(0.0, 39.0) as usize] += 1.0;
        }
        entropy(&counts)
    }),
    ("simple ratios of intervals", |excerpt| share(ratios(excerpt), is_simple)),
    ("equal successive intervals", |excerpt| share(ratios(excerpt), |ratio| ratio.abs() < 0.1)),
    ("normalised pairwise variability", |excerpt| {
        let intervals = excerpt.intervals();
        mean(intervals.windows(2).map(|pair| 2.0 * (pair[0] - pair[1]).abs() / (pair[0] + pair[1])))
    }),
    ("grid regularity", |excerpt| mean(pulses(excerpt).map(|(_, strength)| strength))),
    ("change of pulse, octaves", |excerpt| {
        let periods: Vec<f64> = pulses(excerpt).map(|(period, _)| period.log2()).collect();
        mean(periods.windows(2).map(|pair| (pair[1] - pair[0]).abs()))
    }),
    ("onset autocorrelation up to 1 s", |excerpt| autocorrelation(excerpt, 10, 50)),
    ("onset autocorrelation, 1 to 4 s", |excerpt| autocorrelation(excerpt, 50, 200)),
    ("chords", |excerpt| share(&excerpt.chords, |chord| chord.notes.len() > 1)),
    ("spread of chords, ms", |excerpt| {
        let chords = excerpt.chords.iter().filter(|chord| chord.notes.len() > 1);
        1000.0 * mean(chords.map(|chord| chord.spread))
    }),
    ("chords struck at once", |excerpt| {
        let chords = excerpt.chords.iter().filter(|chord| chord.notes.len() > 1);
        share(chords, |chord| chord.spread < 0.004)
    }),
    ("intervals of 50 to 80 ms", |excerpt| {
        share(excerpt.intervals(), |interval| interval < CHORD_SPREAD + 0.03)
    }),
    ("notes per second", |excerpt| excerpt.notes.len() as f64 / excerpt.length().max(0.1)),
    ("longest interval, log2 s", |excerpt| quantile(&excerpt.intervals(), 1.0).max(1e-3).log2()),
    ("change of pace, octaves", |excerpt| {
        let intervals = excerpt.intervals();
        let (first, second) = intervals.split_at(intervals.len() / 2);
        let [first, second] = [first, second].map(|half| mean(half.iter().copied()).max(1e-3));
        (second / first).log2().abs()
    }),
];

fn log_intervals(excerpt: &Excerpt) -> Vec<f64> {
    excerpt.intervals().into_iter().map(|interval| interval.max(1e-3).log2()).collect()
}

/// Ratios of successive intervals, in octaves.
fn ratios(excerpt: &Excerpt) -> Vec<f64> {
    log_intervals(excerpt).windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Whether a ratio is near 1, 2, 3, 4 or their inverses, or 3 : 2.
fn is_simple(ratio: f64) -> bool {
    [0.0, 1.0, 1.585, 2.0, 0.585].iter().any(|simple| (ratio.abs() - simple).abs() < 0.08)
}

/// Seconds of a window in which one pulse is estimated.
const WINDOW: f64 = 6.0;

/// For each window, the period that the onsets keep to best, and how well they do: the length of
/// the mean of their phases, 1 for a perfect grid, less what as many random onsets would have.
fn pulses(excerpt: &Excerpt) -> impl Iterator<Item = (f64, f64)> {
    let windows = 1 + (excerpt.length() / WINDOW) as usize;
    let onsets = |window: usize| {
        let start = window as f64 * WINDOW;
        let inside = excerpt.chords.iter().map(|chord| chord.onset - start);
        inside.filter(|at| (0.0..WINDOW).contains(at)).collect::<Vec<f64>>()
    };
    (0..windows).map(onsets).filter(|onsets| onsets.len() >= 8).map(|onsets| {
        let periods = (0..60).map(|step| 0.12 * (f64::from(step) / 18.0).exp2());
        let strength = |period: f64| {
            let turn = std::f64::consts::TAU / period;
            let sine = mean(onsets.iter().map(|at| (turn * at).sin()));
            let cosine = mean(onsets.iter().map(|at| (turn * at).cos()));
            sine.hypot(cosine)
        };
        let best =
            periods.map(|period| (strength(period), period)).max_by(|a, b| a.0.total_cmp(&b.0));
        let (strength, period) = best.unwrap_or((0.0, 1.0));
        (period, strength - 1.0 / (onsets.len() as f64).sqrt())
    })
}

/// Frames of onset strength a second.
const FRAMES: f64 = 50.0;

/// The largest autocorrelation of the onset strength at lags of `from` to `to` frames of 20 ms.
fn autocorrelation(excerpt: &Excerpt, from: usize, to: usize) -> f64 {
    let frames = (excerpt.length() * FRAMES) as usize + 1;
    let mut strength = vec![0.0; frames];
    for note in &excerpt.notes {
        // Spread over neighbours: people do not play to within 20 ms.
        let at = (note.onset * FRAMES) as usize;
        for (offset, weight) in [(0, 1.0), (1, 0.5), (2, 0.25)] {
            for frame in [at.checked_sub(offset), Some(at + offset)].into_iter().flatten() {
                if let Some(value) = strength.get_mut(frame) {
                    *value += weight * f64::from(note.velocity) / 127.0;
                }
            }
        }
    }
    let lags = from..to.min(frames / 2);
    lags.map(|lag| correlation(&strength[..frames - lag], &strength[lag..])).fold(0.0, f64::max)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use pianola_runtime::Note;

    fn excerpt(steps: impl Iterator<Item = f32>) -> Excerpt {
        let notes: Vec<_> =
            steps.map(|step| Note { pitch: 60, velocity: 80, step, duration: 0.1 }).collect();
        Excerpt::new(&notes).unwrap()
    }

    #[test]
    fn a_grid_is_regular_and_random_onsets_are_not() {
        let grid = excerpt((0..100).map(|at| if at % 3 == 0 { 0.5 } else { 0.25 }));
        let mut state = 1u32;
        let random = excerpt((0..100).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.1 + (state >> 8) as f32 / (1 << 24) as f32 * 0.5
        }));
        let regularity = |excerpt: &Excerpt| mean(pulses(excerpt).map(|(_, strength)| strength));
        assert!(regularity(&grid) > 0.7, "{}", regularity(&grid));
        assert!(regularity(&random) < 0.5, "{}", regularity(&random));
        assert!(autocorrelation(&grid, 10, 200) > 0.8);
        assert!(autocorrelation(&random, 10, 200) < 0.6);
        assert_eq!(share(ratios(&grid), is_simple), 1.0);
    }
}
