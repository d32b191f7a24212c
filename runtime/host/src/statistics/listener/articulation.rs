//! Articulation: how long keys are held.

use super::Measure;
use super::excerpt::{Excerpt, correlation, deviation, mean, quantile, share};

pub const MEASURES: &[Measure] = &[
    ("median duration, log2 s", |excerpt| quantile(&log_durations(excerpt), 0.5)),
    ("spread of durations, octaves", |excerpt| deviation(&log_durations(excerpt))),
    ("tenth percentile of durations, log2 s", |excerpt| quantile(&log_durations(excerpt), 0.1)),
    ("ninetieth percentile of durations, log2 s", |excerpt| quantile(&log_durations(excerpt), 0.9)),
    ("melody held to the next note", |excerpt| mean(legato(excerpt).map(|held| held.min(2.0)))),
    ("melody legato", |excerpt| share(legato(excerpt), |held| (0.9..1.15).contains(&held))),
    ("melody staccato", |excerpt| share(legato(excerpt), |held| held < 0.5)),
    ("releases at an onset", |excerpt| {
        let onsets: Vec<f64> = excerpt.chords.iter().map(|chord| chord.onset).collect();
        share(&excerpt.notes, |note| {
            let at = onsets.partition_point(|&onset| onset < note.end - 0.015);
            onsets.get(at).is_some_and(|&onset| onset <= note.end + 0.015)
        })
    }),
    ("equal durations within chords", |excerpt| {
        let chords = excerpt.chords.iter().filter(|chord| chord.notes.len() > 1);
        share(chords, |chord| {
            let notes = &excerpt.notes[chord.notes.clone()];
            let ends: Vec<f64> = notes.iter().map(|note| note.duration()).collect();
            deviation(&ends) < 0.1 * mean(ends.iter().copied())
        })
    }),
    ("silence", |excerpt| silence(excerpt) / excerpt.length().max(0.1)),
    ("duration against pitch", |excerpt| {
        let pitches: Vec<f64> = excerpt.notes.iter().map(|note| f64::from(note.pitch)).collect();
        correlation(&log_durations(excerpt), &pitches)
    }),
    ("duration against the interval that follows", |excerpt| {
        let intervals = excerpt.intervals();
        let (durations, intervals): (Vec<f64>, Vec<f64>) = excerpt
            .top()
            .zip(intervals)
            .map(|(note, interval)| (note.duration().max(1e-3).log2(), interval.max(1e-3).log2()))
            .unzip();
        correlation(&durations, &intervals)
    }),
];

fn log_durations(excerpt: &Excerpt) -> Vec<f64> {
    excerpt.notes.iter().map(|note| note.duration().max(1e-3).log2()).collect()
}

/// How long each melody note is held, as a share of the time to the next chord.
fn legato(excerpt: &Excerpt) -> impl Iterator<Item = f64> {
    let intervals = excerpt.intervals();
    let held = excerpt.top().zip(intervals);
    held.map(|(note, interval)| note.duration() / interval).collect::<Vec<_>>().into_iter()
}

/// Seconds up to the last onset in which no key is held.
fn silence(excerpt: &Excerpt) -> f64 {
    let (mut until, mut silent) = (0.0, 0.0);
    for chord in &excerpt.chords {
        silent += f64::max(0.0, chord.onset - until);
        let ends = excerpt.notes[chord.notes.clone()].iter().map(|note| note.end);
        until = ends.fold(until, f64::max);
    }
    silent
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use pianola_runtime::Note;

    #[test]
    fn silence_is_between_releases_and_onsets() {
        let notes = [0.5, 1.0, 0.25, 0.25, 0.5].map(|duration| Note {
            pitch: 60,
            velocity: 80,
            step: 0.75,
            duration,
        });
        let excerpt = Excerpt::new(&notes).unwrap();
        assert_eq!(silence(&excerpt), 0.25 + 0.5 + 0.5);
        let held: Vec<f64> = legato(&excerpt).collect();
        assert_eq!(held, [0.5 / 0.75, 1.0 / 0.75, 0.25 / 0.75, 0.25 / 0.75]);
    }
}
