//! Features of the notes so far: which pitches sound, how long each still sounds, and when each was
//! last struck.
//!
//! An LSTM would have to keep all of this in its state. Given to the heads as features, it costs a
//! few table rows per note, and the heads learn their weights.

use crate::note::Note;
use crate::note::vocabulary::{TIME_BINS, VELOCITY_BINS, time_bin, velocity_bin};

/// Number of MIDI pitches.
const PITCHES: usize = 128;

/// Age classes of a strike: now, and doublings from below 1/8 s to below 16 s.
const AGES: usize = 9;

/// The notes so far, as the features describe them.
#[derive(Clone, Debug)]
pub struct History {
    /// Seconds since each pitch was last struck.
    age: [f32; PITCHES],
    /// Seconds that each pitch still sounds; 0 or less if it does not.
    rest: [f32; PITCHES],
    /// The last note; before the first, all zeros.
    last: Note,
    /// The last step outside a chord, in seconds; 0 before the first.
    pulse: f32,
}

/// The parts of a note that are known when its next part is predicted. It selects the head, and the
/// rows of the head's feature table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PartialNote {
    /// Nothing: its step comes next.
    Empty,
    /// Its step, in seconds: its pitch comes next.
    Step(f32),
    /// Its step and pitch: its duration comes next.
    Pitch(f32, u8),
    /// Its step, pitch and duration: its velocity comes next.
    Duration(f32, u8, f32),
}

impl PartialNote {
    /// The partial notes before each part of a note, in order.
    pub fn of(note: &Note) -> [Self; 4] {
        let Note { pitch, step, duration, .. } = *note;
        [
            Self::Empty,
            Self::Step(step),
            Self::Pitch(step, pitch),
            Self::Duration(step, pitch, duration),
        ]
    }
}

/// Feature rows of each head, in the order in which its parts are chosen: step, pitch, duration,
/// velocity.
pub const FEATURES: [usize; 4] = [
    3 * TIME_BINS,
    TIME_BINS + PITCHES + (AGES + 1) * PITCHES,
    3 * TIME_BINS + PITCHES,
    2 * TIME_BINS + PITCHES + VELOCITY_BINS,
];

/// Most feature rows that are active at once.
pub(crate) const MOST_ROWS: usize = 2 + 2 * PITCHES;

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// The history before the first note.
    pub const fn new() -> Self {
        let last = Note { pitch: 0, velocity: 0, step: 0.0, duration: 0.0 };
        Self { age: [f32::INFINITY; PITCHES], rest: [0.0; PITCHES], last, pulse: 0.0 }
    }

    /// Records a note with playable times.
    pub fn observe(&mut self, note: &Note) {
        self.age.iter_mut().for_each(|age| *age += note.step);
        self.rest.iter_mut().for_each(|rest| *rest -= note.step);
        let pitch = usize::from(note.pitch);
        if let (Some(age), Some(rest)) = (self.age.get_mut(pitch), self.rest.get_mut(pitch)) {
            (*age, *rest) = (0.0, note.duration);
        }
        self.last = *note;
        if time_bin(note.step) > 0 {
            self.pulse = note.step;
        }
    }

    /// Visits the active rows of a head's feature table, each below the head's number in
    /// [`FEATURES`]. A row that comes more than once counts each time.
    pub fn features(&self, known: PartialNote, mut visit: impl FnMut(usize)) {
        let time = |seconds: f32| usize::from(time_bin(seconds));
        let last = &self.last;
        match known {
            PartialNote::Empty => {
                visit(time(last.step));
                visit(TIME_BINS + time(last.duration));
                self.sounding(0.0).for_each(|rest| visit(2 * TIME_BINS + time(rest)));
            }
            PartialNote::Step(step) => {
                visit(time(step));
                visit(TIME_BINS + usize::from(last.pitch.min(127)));
                for (pitch, (age, rest)) in self.age.iter().zip(&self.rest).enumerate() {
                    let row = TIME_BINS + PITCHES + (AGES + 1) * pitch;
                    let age = age + step;
                    if age < 16.0 {
                        visit(row + age_class(age));
                    }
                    if rest - step > 0.0 {
                        visit(row + AGES);
                    }
                }
            }
            PartialNote::Pitch(step, pitch) => {
                visit(time(step));
                visit(TIME_BINS + time(last.duration));
                self.sounding(step).for_each(|rest| visit(2 * TIME_BINS + time(rest)));
                visit(3 * TIME_BINS + usize::from(pitch.min(127)));
            }
            PartialNote::Duration(step, pitch, duration) => {
                visit(time(step));
                visit(TIME_BINS + time(duration));
                visit(2 * TIME_BINS + usize::from(pitch.min(127)));
                visit(2 * TIME_BINS + PITCHES + usize::from(velocity_bin(last.velocity)));
            }
        }
    }

    /// Remaining seconds of each pitch that still sounds `later` seconds after the last onset.
    pub(crate) fn sounding(&self, later: f32) -> impl Iterator<Item = f32> {
        self.rest.iter().map(move |rest| rest - later).filter(|&rest| rest > 0.0)
    }

    /// The last step outside a chord, in seconds; 0 before the first.
    pub(crate) fn pulse(&self) -> f32 {
        self.pulse
    }

    /// Whether a pitch was struck at exactly `later` seconds after the last onset.
    pub(crate) fn is_struck(&self, pitch: u8, later: f32) -> bool {
        self.age.get(usize::from(pitch)).is_some_and(|age| age + later <= 0.0)
    }

    /// Ends the last note early, `duration` seconds after its onset.
    pub(crate) fn cut_last(&mut self, duration: f32) {
        if let Some(rest) = self.rest.get_mut(usize::from(self.last.pitch)) {
            *rest = duration;
        }
    }

    /// Number of pitches that still sound `later` seconds after the last onset.
    pub fn sounding_in(&self, later: f32) -> usize {
        self.sounding(later).count()
    }
}

/// The class of an age below 16 s: 0 for now, then one per doubling.
fn age_class(age: f32) -> usize {
    const LIMITS: [f32; AGES - 2] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
    if age <= 0.0 { 0 } else { 1 + LIMITS.iter().filter(|&&limit| age >= limit).count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn features(history: &History, known: PartialNote) -> Vec<usize> {
        let mut rows = Vec::new();
        history.features(known, |row| rows.push(row));
        rows
    }

    #[test]
    fn tells_what_sounds_and_what_was_struck() {
        let mut history = History::new();
        assert_eq!(features(&history, PartialNote::Step(0.0)), [0, TIME_BINS]);
        history.observe(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 1.0 });
        history.observe(&Note { pitch: 64, velocity: 80, step: 0.25, duration: 0.5 });
        assert_eq!([0.0, 0.5, 0.75].map(|later| history.sounding_in(later)), [2, 1, 0]);
        let row = |pitch: usize, class: usize| TIME_BINS + PITCHES + (AGES + 1) * pitch + class;
        // At once: one struck a quarter of a second ago, one now; both sound.
        let rows = [0, TIME_BINS + 64, row(60, 3), row(60, AGES), row(64, 0), row(64, AGES)];
        assert_eq!(features(&history, PartialNote::Step(0.0)), rows);
        // Three quarters of a second later neither does.
        let rows = features(&history, PartialNote::Step(0.75));
        assert_eq!(rows[2..], [row(60, 5), row(64, 4)]);
    }

    #[test]
    fn a_moment_has_no_more_rows_than_that() {
        let mut history = History::new();
        for pitch in 0..128 {
            history.observe(&Note { pitch, velocity: 80, step: 0.0, duration: 9.0 });
        }
        assert_eq!(features(&history, PartialNote::Step(1.0)).len(), MOST_ROWS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn rows_are_those_of_the_head(
            notes in proptest::collection::vec((0u8..128, 0u8..128, 0f32..15.0, 0f32..15.0), 0..20),
            step in 0f32..15.0, pitch: u8, duration in 0f32..15.0
        ) {
            let mut history = History::new();
            for (pitch, velocity, step, duration) in notes {
                history.observe(&Note { pitch, velocity, step, duration });
            }
            let known = [
                PartialNote::Empty, PartialNote::Step(step), PartialNote::Pitch(step, pitch),
                PartialNote::Duration(step, pitch, duration),
            ];
            for (known, count) in known.into_iter().zip(FEATURES) {
                let rows = features(&history, known);
                prop_assert!(rows.len() <= MOST_ROWS);
                for row in rows {
                    prop_assert!(row < count, "{known:?}: {row}");
                }
            }
        }
    }
}
