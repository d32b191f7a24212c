//! Audible properties of a piece as numbers: tonality, polyphony, tempo, register and repetition.
//!
//! The measures are those of Yang and Lerch, "On the evaluation of generative models in music"
//! (2020), and of MusPy (Dong et al., 2020), as far as they need neither bars nor beats, which a
//! performance does not have, and some that reveal a broken model at once.

use pianola_runtime::Note;
use pianola_runtime::vocabulary::{TIME_BINS, time_bin};

/// C7: the share of notes above it is measured, because few pieces go there often.
pub const HIGH: u8 = 96;

/// Seconds of the window in which notes are counted.
pub const WINDOW: f64 = 10.0;

/// Bins of the intervals between successive notes, from 127 semitones down to 127 up.
pub const INTERVALS: usize = 255;

/// Pitch classes of the C major scale. A minor has the same, so twelve sets are all that major and
/// natural minor scales have.
const MAJOR: [usize; 7] = [0, 2, 4, 5, 7, 9, 11];

/// The measures of one piece. One without notes has zeros.
///
/// The step of the first note is ignored: a piece starts with its first onset, even if it is an
/// excerpt.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// Notes.
    pub notes: usize,
    /// Entropy of the pitch classes, in bits: 0 for one class, 3.58 for all twelve alike.
    pub pitch_class_entropy: f64,
    /// Largest share of notes that lie in one major or natural minor scale, as in MusPy.
    pub scale_consistency: f64,
    /// Share of the time in which at least two pitches sound, relative to that in which any does.
    /// (MusPy divides by the total time, including silence.)
    pub polyphony_rate: f64,
    /// Pitches that sound on average, while any does.
    pub mean_polyphony: f64,
    /// Notes per second, from the first onset to the last release.
    pub notes_per_second: f64,
    /// Mean MIDI note number.
    pub mean_pitch: f64,
    /// Share of notes above C7 ([`HIGH`]).
    pub high_share: f64,
    /// Most notes of one pitch that follow one another.
    pub longest_run: usize,
    /// Most onsets in any [`WINDOW`] of ten seconds.
    pub densest_window: usize,
    /// Shares of the bins of the time from one onset to the next; 0 within a chord.
    pub steps: Vec<f64>,
    /// Shares of the bins of durations.
    pub durations: Vec<f64>,
    /// Shares of the intervals from one note to the next, in semitones: that of no semitone in the
    /// middle of [`INTERVALS`].
    pub intervals: Vec<f64>,
}

impl Measures {
    /// Measures a piece.
    pub fn of(piece: &[Note]) -> Self {
        let onsets = onsets(piece);
        let mut classes = [0.0; 12];
        let mut pitch_sum = 0.0;
        for note in piece {
            classes[usize::from(note.pitch % 12)] += 1.0;
            pitch_sum += f64::from(note.pitch);
        }
        let notes = piece.len() as f64;
        let releases = piece.iter().zip(&onsets).map(|(note, on)| on + f64::from(note.duration));
        let length = releases.fold(0.0, f64::max);
        let (some, several, pitch_seconds) = sounding(piece, &onsets);
        let high = piece.iter().filter(|note| note.pitch > HIGH).count();
        let duration = |note: &Note| usize::from(time_bin(note.duration));
        let step = |note: &Note| usize::from(time_bin(note.step));
        let interval = |pair: &[Note]| {
            (INTERVALS / 2 + usize::from(pair[1].pitch)).saturating_sub(usize::from(pair[0].pitch))
        };
        Self {
            notes: piece.len(),
            pitch_class_entropy: entropy(&classes),
            scale_consistency: ratio(most_in_a_scale(&classes), notes),
            polyphony_rate: ratio(several, some),
            mean_polyphony: ratio(pitch_seconds, some),
            notes_per_second: ratio(notes, length),
            mean_pitch: ratio(pitch_sum, notes),
            high_share: ratio(high as f64, notes),
            longest_run: piece
                .chunk_by(|a, b| a.pitch == b.pitch)
                .map(<[Note]>::len)
                .max()
                .unwrap_or(0),
            densest_window: densest_window(&onsets),
            steps: shares(TIME_BINS, piece.iter().skip(1).map(step)),
            durations: shares(TIME_BINS, piece.iter().map(duration)),
            intervals: shares(INTERVALS, piece.windows(2).map(interval)),
        }
    }
}

/// Seconds from the first onset to each.
fn onsets(piece: &[Note]) -> Vec<f64> {
    let mut now = 0.0;
    let onset = |(at, note): (usize, &Note)| {
        now += if at == 0 { 0.0 } else { f64::from(note.step) };
        now
    };
    piece.iter().enumerate().map(onset).collect()
}

/// Seconds in which any pitch sounds and in which at least two do, and the total seconds of all
/// pitches. A pitch that is struck while it sounds counts once.
fn sounding(piece: &[Note], onsets: &[f64]) -> (f64, f64, f64) {
    // (when, whether a note starts, its pitch)
    let mut events: Vec<(f64, bool, u8)> = Vec::with_capacity(2 * piece.len());
    for (note, &onset) in piece.iter().zip(onsets) {
        events.push((onset, true, note.pitch));
        events.push((onset + f64::from(note.duration), false, note.pitch));
    }
    // Stable: a note without length starts before it ends.
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut some, mut several, mut pitch_seconds) = (0.0, 0.0, 0.0);
    let (mut notes_of, mut pitches, mut last) = ([0u32; 256], 0u32, 0.0);
    for (when, starts, pitch) in events {
        let seconds = when - last;
        last = when;
        some += if pitches > 0 { seconds } else { 0.0 };
        several += if pitches > 1 { seconds } else { 0.0 };
        pitch_seconds += f64::from(pitches) * seconds;
        let notes = &mut notes_of[usize::from(pitch)];
        let before = *notes > 0;
        *notes = if starts { *notes + 1 } else { notes.saturating_sub(1) };
        match (before, *notes > 0) {
            (false, true) => pitches += 1,
            (true, false) => pitches -= 1,
            _ => {}
        }
    }
    (some, several, pitch_seconds)
}

/// Most notes in one of the twelve scales.
fn most_in_a_scale(classes: &[f64; 12]) -> f64 {
    let within = |root: usize| MAJOR.iter().map(|degree| classes[(root + degree) % 12]).sum();
    (0..12).map(within).fold(0.0, f64::max)
}

/// Most onsets within less than [`WINDOW`] seconds.
fn densest_window(onsets: &[f64]) -> usize {
    let ends = onsets.iter().map(|onset| onsets.partition_point(|on| *on < onset + WINDOW));
    ends.enumerate().map(|(first, end)| end - first).max().unwrap_or(0)
}

fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    let counted = counts.iter().filter(|count| **count > 0.0);
    counted.map(|count| -count / total * (count / total).log2()).sum()
}

fn shares(bins: usize, values: impl Iterator<Item = usize>) -> Vec<f64> {
    let (mut counts, mut total) = (vec![0.0; bins], 0.0);
    for value in values {
        counts[value.min(bins - 1)] += 1.0;
        total += 1.0;
    }
    counts.iter_mut().for_each(|count| *count = ratio(*count, total));
    counts
}

/// `part` / `whole`; 0 if `whole` is 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note(pitch: u8, step: f32, duration: f32) -> Note {
        Note { pitch, velocity: 80, step, duration }
    }

    fn close(measured: f64, figure: f64) {
        assert!((measured - figure).abs() < 1e-9, "{measured}, not {figure}");
    }

    #[test]
    fn a_small_piece_measures_as_by_hand() {
        // C for 2 s; with it E for 1 s; after 3 s, of which one is silent, E flat and a high C, 1
        // s.
        let piece =
            [note(60, 9.0, 2.0), note(64, 0.0, 1.0), note(63, 3.0, 1.0), note(108, 0.0, 1.0)];
        let measures = Measures::of(&piece);
        assert_eq!(measures.notes, 4);
        close(measures.pitch_class_entropy, 1.5); // two C in four: 1/2, 1/4, 1/4
        close(measures.scale_consistency, 0.75); // E and E flat are in no scale together with C
        close(measures.polyphony_rate, 2.0 / 3.0); // 2 s of 3
        close(measures.mean_polyphony, 5.0 / 3.0);
        close(measures.notes_per_second, 1.0);
        close(measures.mean_pitch, 73.75);
        close(measures.high_share, 0.25);
        assert_eq!((measures.longest_run, measures.densest_window), (1, 4));
        close(measures.steps[0], 2.0 / 3.0);
        close(measures.steps[usize::from(time_bin(3.0))], 1.0 / 3.0);
        close(measures.durations[usize::from(time_bin(1.0))], 0.75);
        for interval in [4, -1, 45] {
            close(measures.intervals[(127 + interval) as usize], 1.0 / 3.0);
        }
    }

    #[test]
    fn a_pitch_struck_again_is_one_pitch_and_a_run() {
        let measures = Measures::of(&[note(60, 0.0, 3.0), note(60, 1.0, 1.0), note(60, 9.0, 1.0)]);
        assert_eq!((measures.polyphony_rate, measures.mean_polyphony), (0.0, 1.0));
        // The last is ten seconds after the first.
        assert_eq!((measures.longest_run, measures.densest_window), (3, 2));
        close(measures.scale_consistency, 1.0);
        assert_eq!(measures.pitch_class_entropy, 0.0);
    }

    #[test]
    fn nothing_and_silence_measure_0() {
        let nothing = Measures::of(&[]);
        assert_eq!((nothing.notes, nothing.longest_run, nothing.densest_window), (0, 0, 0));
        let silent = Measures::of(&[note(60, 0.0, 0.0)]);
        assert_eq!((silent.notes_per_second, silent.mean_polyphony), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn measures_stay_in_their_bounds(
            notes in proptest::collection::vec((0u8..=255, 0f32..15.0, 0f32..15.0), 1..60)
        ) {
            let piece: Vec<Note> = notes.into_iter().map(|(p, s, d)| note(p, s, d)).collect();
            let measures = Measures::of(&piece);
            prop_assert!((0.0..=12f64.log2() + 1e-9).contains(&measures.pitch_class_entropy));
            prop_assert!((7.0 / 12.0 - 1e-9..=1.0).contains(&measures.scale_consistency));
            prop_assert!((0.0..=1.0).contains(&measures.polyphony_rate));
            prop_assert!(measures.mean_polyphony <= piece.len() as f64 + 1e-9);
            prop_assert!((1..=piece.len()).contains(&measures.longest_run));
            prop_assert!((1..=piece.len()).contains(&measures.densest_window));
            for (histogram, count) in
                [(&measures.steps, piece.len() - 1), (&measures.durations, piece.len())]
            {
                let sum: f64 = histogram.iter().sum();
                prop_assert!((sum - f64::from(u8::from(count > 0))).abs() < 1e-9);
            }
            // Measures do not depend on where a piece is cut from.
            let mut later = piece.clone();
            later[0].step += 1.0;
            prop_assert_eq!(Measures::of(&later), measures);
        }
    }
}
