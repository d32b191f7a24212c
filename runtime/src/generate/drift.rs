//! The drift guard: keeps the statistics of long pieces in the range of real ones. Without it, a network
//! that continues its own notes for long drifts to one end of the keyboard, to an unusual pace, to few or
//! uniformly distributed pitch classes, or to very soft or very loud notes.

use crate::generate::pace::Pace;
use crate::note::Note;
use crate::note::vocabulary::{Hands, VELOCITY_BINS};

/// Running means over the last notes, in which the latest note counts most.
#[derive(Clone, Debug)]
pub(crate) struct DriftGuard {
    /// Mean pitch.
    center: f32,
    /// Mean step, in seconds.
    pace: f32,
    /// Mean step over many more notes, in seconds.
    lasting_pace: f32,
    /// Mean step when another player last played, in seconds; 0 if none has.
    meant_pace: f32,
    /// Mean velocity, counted from the last note of another player if there is one.
    loudness: f32,
    /// Number of notes in this mean.
    counted: f32,
    /// Mean velocity of another player's last notes, or else of the first notes of the piece.
    meant_loudness: f32,
    /// Number of another player's notes in this mean.
    others: f32,
    /// Shares of the pitch classes.
    classes: [f32; 12],
}

/// Notes in the mean step, and in the mean velocity of another player.
const SHORT_MEMORY: f32 = 32.0;

/// Notes in the mean pitch.
const MEMORY: f32 = 64.0;

/// Notes in the pitch classes' shares and in the mean velocity.
const LONG_MEMORY: f32 = 256.0;

/// Notes in the lasting pace: about the length of a song.
const LONGEST_MEMORY: f32 = 1024.0;

/// Target mean pitch: the mean of the reference corpus.
const MIDDLE: f32 = 64.0;

/// Usual range of the mean pitch of the last notes.
const USUAL: (f32, f32) = (57.0, 70.0);

/// Semitones by which the target is higher for the right hand alone: measured on the training songs' first
/// instrument.
const RIGHT_HAND: f32 = 9.0;

/// Logit penalty per semitone from the target, for each semitone of the mean outside its range.
const PULL: f32 = 0.05;

/// The mean step of the reference corpus, in seconds.
const MODERATE: f32 = 0.1;

/// Usual range of a song's mean step, in seconds: 0.075 to 0.15 in the middle half of the reference corpus's
/// training songs. A long piece needs a pace that suits its length: slow songs are short. This range is therefore
/// shifted against the lasting pace: if that is 0.09 s instead of 0.1, by 10 % to slower steps. The lasting pace
/// converges to between 0.089 and 0.118 s.
const PACES: (f32, f32) = (0.08, 0.14);

/// Largest shift of the range, as a ratio.
const MOVED: f32 = 1.5;

/// Cap on another player's steps, in seconds: longer ones may be pauses and say nothing about pace.
const PAUSE: f32 = 1.0;

/// Logit penalty per bin of a time, for each unit of `r - 1 / r`, if the mean is `r` times the nearest usual
/// one: symmetric on both sides.
const HURRY: f32 = 0.06;

/// Penalty of a step of 0 where the pace is too fast, in bins: a fast pace comes mainly from full chords in
/// close succession.
const CHORD: f32 = 24.0;

/// Smallest `r`, for a mean of 0.
const LEAST: f32 = 0.01;

/// Usual deviation of the mean velocity from its target.
const SWELL: f32 = 4.0;

/// Logit penalty per velocity bin, for each unit of velocity by which the mean is too loud.
const HUSH: f32 = 0.04;

/// Usual range of the effective number of pitch classes, weighted by their shares: 5.8 to 10.2 in 90 % of the
/// passages of the reference corpus's training songs.
const CLASSES: (f32, f32) = (6.0, 10.0);

/// Initial share of each class: together they count as 8 classes, neither few nor many.
const UNHEARD: f32 = 0.102;

/// Logit penalty of a pitch class's share for each class too few, and bonus for each too many: where there
/// are many, shares differ little.
const LEAN: (f32, f32) = (2.0, 20.0);

impl DriftGuard {
    /// The state before the first note.
    pub const fn new() -> Self {
        Self {
            center: MIDDLE,
            pace: MODERATE,
            lasting_pace: MODERATE,
            meant_pace: 0.0,
            loudness: 0.0,
            counted: 0.0,
            meant_loudness: 0.0,
            others: 0.0,
            classes: [UNHEARD; 12],
        }
    }

    /// Records a generated note.
    pub fn observe(&mut self, note: &Note) {
        self.center += (f32::from(note.pitch) - self.center) / MEMORY;
        self.pace += (note.step - self.pace) / SHORT_MEMORY;
        self.lasting_pace += (note.step - self.lasting_pace) / LONGEST_MEMORY;
        self.counted = (self.counted + 1.0).min(LONG_MEMORY);
        self.loudness += (f32::from(note.velocity) - self.loudness) / self.counted;
        if self.others == 0.0 && self.counted < LONG_MEMORY {
            self.meant_loudness = self.loudness;
        }
        self.classes.iter_mut().for_each(|share| *share -= *share / LONG_MEMORY);
        if let Some(share) = self.classes.get_mut(usize::from(note.pitch % 12)) {
            *share += 1.0 / LONG_MEMORY;
        }
    }

    /// Records another player's note: slow, soft or loud playing is answered in kind.
    pub fn observe_other(&mut self, note: &Note) {
        self.observe(&Note { step: note.step.min(PAUSE), ..*note });
        self.meant_pace = self.pace;
        self.forget_lasting_pace();
        self.others = (self.others + 1.0).min(SHORT_MEMORY);
        self.meant_loudness += (f32::from(note.velocity) - self.meant_loudness) / self.others;
        (self.loudness, self.counted) = (self.meant_loudness, SHORT_MEMORY);
    }

    /// Resets the lasting pace, because it was another player's or was requested.
    pub fn forget_lasting_pace(&mut self) {
        self.lasting_pace = MODERATE;
    }

    /// Biases times towards the usual range of paces; away from slow ones only where a piece is `whole`:
    /// melodies, and pieces of limited polyphony, are slower than pieces of both hands.
    pub fn pace(&self, whole: bool) -> Pace {
        let moved = (MODERATE / self.lasting_pace).clamp(1.0 / MOVED, MOVED);
        let slowest = if whole { self.meant_pace.max(moved * PACES.1) } else { f32::INFINITY };
        let goal = self.pace.max(moved * PACES.0).min(slowest);
        let ratio = (self.pace / goal).max(LEAST);
        Pace { goal, cost: HURRY * (ratio - 1.0 / ratio), chord: CHORD, fall: 0.0 }
    }

    /// The logits of a velocity's bins, biased towards the target loudness of the piece.
    pub fn bias_velocity(&self, logits: &[f32]) -> [f32; VELOCITY_BINS] {
        let usual = (self.meant_loudness - SWELL, self.meant_loudness + SWELL);
        let cost = HUSH * beyond(self.loudness, usual);
        let mut biased = [f32::NEG_INFINITY; VELOCITY_BINS];
        for (bin, (biased, logit)) in (0u8..).zip(biased.iter_mut().zip(logits)) {
            *biased = logit - cost * f32::from(bin);
        }
        biased
    }

    /// A logit bonus for each pitch, towards the usual range of mean pitch and pitch classes.
    pub fn pitch_bias(&self, hands: Hands) -> impl Fn(u8) -> f32 + '_ {
        let higher = if hands == Hands::Right { RIGHT_HAND } else { 0.0 };
        let pull = PULL * beyond(self.center - higher, USUAL);
        let classes = 1.0 / self.classes.iter().map(|share| share * share).sum::<f32>();
        let strayed = beyond(classes, CLASSES);
        let lean = strayed * if strayed < 0.0 { LEAN.0 } else { LEAN.1 };
        move |pitch| {
            let share = self.classes.get(usize::from(pitch % 12)).copied().unwrap_or_default();
            lean * share - pull * (f32::from(pitch) - MIDDLE - higher)
        }
    }
}

/// Distance of a value above a range, or, negative, below it.
fn beyond(value: f32, (least, most): (f32, f32)) -> f32 {
    value - value.max(least).min(most) // `clamp` can panic
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: Note = Note { pitch: 60, velocity: 80, step: MODERATE, duration: 0.1 };

    /// The guard after `notes` notes at a step.
    fn after(notes: usize, step: f32) -> DriftGuard {
        let mut drift = DriftGuard::new();
        (0..notes).for_each(|_| drift.observe(&Note { step, ..NOTE }));
        drift
    }

    #[test]
    fn a_usual_pace_is_left_alone() {
        for notes in [0, 500, 3000] {
            assert_eq!(after(notes, MODERATE).pace(true).cost, 0.0);
        }
    }

    #[test]
    fn a_pace_that_is_rather_fast_or_slow_is_led_back_if_it_lasts() {
        for (step, direction) in [(0.085, -1.0), (0.13, 1.0)] {
            let cost = |notes| after(notes, step).pace(true).cost;
            assert_eq!(cost(200), 0.0, "{step}");
            assert!(cost(3000) * direction > 0.0, "{step}: {}", cost(3000));
            let mut asked_for = after(3000, step);
            asked_for.forget_lasting_pace();
            assert_eq!(asked_for.pace(true).cost, 0.0, "{step}");
        }
    }

    #[test]
    fn slow_music_is_led_back_unless_it_is_a_melody_or_was_heard() {
        let heard = |step| {
            let mut drift = DriftGuard::new();
            (0..3000).for_each(|_| drift.observe_other(&Note { step, ..NOTE }));
            drift.pace(true).cost
        };
        assert!(after(3000, 0.3).pace(true).cost > 0.0);
        assert_eq!(after(3000, 0.3).pace(false).cost, 0.0);
        assert_eq!(heard(0.3), 0.0);
        // A rather fast pace is not lasting, as it is another player's; a too fast one is corrected all the same.
        assert_eq!(heard(0.085), 0.0);
        assert!(heard(0.05) < 0.0);
    }

    #[test]
    fn a_pause_is_no_slow_music() {
        let mut drift = after(300, MODERATE);
        drift.observe_other(&Note { step: 15.0, ..NOTE });
        assert!(drift.pace < PACES.1 && drift.pace(true).cost == 0.0, "{}", drift.pace);
    }

    /// Gain of the loudest bin over the softest.
    fn gain(drift: &DriftGuard) -> f32 {
        let biased = drift.bias_velocity(&[0.0; VELOCITY_BINS]);
        biased[VELOCITY_BINS - 1] - biased[0]
    }

    #[test]
    fn a_piece_is_led_back_to_the_loudness_of_its_start_if_it_strays_far() {
        let after = |velocity| {
            let mut drift = DriftGuard::new();
            (0..300).for_each(|_| drift.observe(&Note { velocity: 60, ..NOTE }));
            assert_eq!(gain(&drift), 0.0);
            (0..300).for_each(|_| drift.observe(&Note { velocity, ..NOTE }));
            gain(&drift)
        };
        assert!(after(30) > 0.5 && after(90) < -0.5, "{}, {}", after(30), after(90));
        assert_eq!([57, 63].map(after), [0.0; 2]);
    }

    #[test]
    fn who_plays_softly_or_loudly_is_answered_so() {
        let mut drift = DriftGuard::new();
        let mut play = |velocities: &[u8], own: bool| {
            for &velocity in velocities {
                let note = Note { velocity, ..NOTE };
                if own { drift.observe(&note) } else { drift.observe_other(&note) }
            }
            gain(&drift)
        };
        // Among few notes, the first counts no more than the others.
        assert_eq!(play(&[30, 80, 80, 80, 80, 80, 80, 80], false), 0.0);
        assert_eq!(play(&[74; 100], true), 0.0);
        // When players alternate, the model's own notes do not count towards the target.
        for _ in 0..20 {
            assert_eq!(play(&[30; 16], false), 0.0);
            assert!(play(&[90; 16], true) < -0.2);
        }
        assert!(play(&[90; 16], true) < -0.5);
        assert_eq!(play(&[90; 200], false), 0.0);
        assert_eq!(play(&[90; 100], true), 0.0);
        assert!(play(&[30; 100], true) > 0.5);
    }
}
