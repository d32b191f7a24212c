//! The drift guard: keeps the statistics of long pieces in the range of real ones. Without it, a network
//! that continues its own notes for long drifts to one end of the keyboard, to an unusual pace, to few pitch
//! classes or all alike, to very soft or very loud notes.

use crate::generate::pace::Pace;
use crate::note::Note;
use crate::note::vocabulary::{Hands, VELOCITY_BINS};

/// Means over the last notes, the latest counting most.
#[derive(Clone, Debug)]
pub(crate) struct DriftGuard {
    /// Mean pitch.
    center: f32,
    /// Mean step, in seconds.
    pace: f32,
    /// The same over many more notes.
    lasting_pace: f32,
    /// The mean step when someone else last played; 0 if nobody has.
    meant_pace: f32,
    /// Mean velocity; since someone else last played, if anyone has.
    loudness: f32,
    /// Notes that it is of.
    counted: f32,
    /// Mean velocity of someone else's last notes; if nobody has played, of the first notes of the piece.
    meant_loudness: f32,
    /// Notes of someone else that it is of.
    others: f32,
    /// Shares of the pitch classes.
    classes: [f32; 12],
}

/// Notes that the mean step goes over, and the loudness of someone else.
const SHORT_MEMORY: f32 = 32.0;

/// Notes that the mean pitch goes over.
const MEMORY: f32 = 64.0;

/// Notes that the pitch classes' shares and the mean velocity go over.
const LONG_MEMORY: f32 = 256.0;

/// Notes that the lasting pace goes over: as many as a song has.
const LONGEST_MEMORY: f32 = 1024.0;

/// Where the middle of the music is, as a pitch: the mean of the reference corpus.
const MIDDLE: f32 = 64.0;

/// Where the mean of the last notes usually is.
const USUAL: (f32, f32) = (57.0, 70.0);

/// Semitones that the right hand alone has its middle higher: in the training songs, as a first instrument.
const RIGHT_HAND: f32 = 9.0;

/// What a semitone away from the middle costs for each that the mean has strayed.
const PULL: f32 = 0.05;

/// The mean step of the reference corpus, in seconds.
const MODERATE: f32 = 0.1;

/// Where the mean step of a song usually is, in seconds: in the middle half of the reference corpus's training
/// songs from 0.075 to 0.15. A piece that goes on for long is to have a pace that lasts: slow songs are short. So
/// this range is moved against the lasting pace: where that is 0.09 s instead of 0.1, by 10 % to slower steps. What
/// lasts is led to between 0.089 and 0.118 s.
const PACES: (f32, f32) = (0.08, 0.14);

/// The most that it is moved by, as a ratio.
const MOVED: f32 = 1.5;

/// As which longer steps of someone else's count, in seconds: they may be pauses, and no pace.
const PAUSE: f32 = 1.0;

/// What a bin of a time costs where the mean is `r` times the nearest usual one, in logits for each of
/// `r - 1 / r`: the same to either side of it.
const HURRY: f32 = 0.06;

/// What a step of nothing costs where the pace is too fast, in bins: full chords, one upon the other, are what
/// makes it fast.
const CHORD: f32 = 24.0;

/// The least `r`, for a mean of nothing at all.
const LEAST: f32 = 0.01;

/// How far the mean velocity usually goes from what is meant.
const SWELL: f32 = 4.0;

/// What a bin of velocities costs for each velocity that the mean is too loud.
const HUSH: f32 = 0.04;

/// How many pitch classes there usually are, weighed by their shares: in nine of ten passages of the
/// reference corpus's training songs 5.8 to 10.2.
const CLASSES: (f32, f32) = (6.0, 10.0);

/// What stands for a class's share at the start: all together they count as 8, neither few nor many.
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

    /// Records a note that someone else played: slow, soft or loud playing is answered alike.
    pub fn observe_other(&mut self, note: &Note) {
        self.observe(&Note { step: note.step.min(PAUSE), ..*note });
        self.meant_pace = self.pace;
        self.forget_lasting_pace();
        self.others = (self.others + 1.0).min(SHORT_MEMORY);
        self.meant_loudness += (f32::from(note.velocity) - self.meant_loudness) / self.others;
        (self.loudness, self.counted) = (self.meant_loudness, SHORT_MEMORY);
    }

    /// Resets the lasting pace: it was another player's, or asked for.
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

    /// The logits of a velocity's bins, biased towards the loudness that the piece is meant to have.
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

/// How far a value lies above a range, or, negative, below it.
fn beyond(value: f32, (least, most): (f32, f32)) -> f32 {
    value - value.max(least).min(most) // `clamp` can panic
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: Note = Note { pitch: 60, velocity: 80, step: MODERATE, duration: 0.1 };

    /// After so many notes at a step.
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
        // What is rather fast has not lasted, as it is another's; what is too fast is led back all the same.
        assert_eq!(heard(0.085), 0.0);
        assert!(heard(0.05) < 0.0);
    }

    #[test]
    fn a_pause_is_no_slow_music() {
        let mut drift = after(300, MODERATE);
        drift.observe_other(&Note { step: 15.0, ..NOTE });
        assert!(drift.pace < PACES.1 && drift.pace(true).cost == 0.0, "{}", drift.pace);
    }

    /// What the loudest bin gains on the softest.
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
        // Of few notes the first counts no more than the others.
        assert_eq!(play(&[30, 80, 80, 80, 80, 80, 80, 80], false), 0.0);
        assert_eq!(play(&[74; 100], true), 0.0);
        // In turns, its own notes do not count for what is meant.
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
