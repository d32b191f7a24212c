//! Keeps long pieces from straying: to one end of the keyboard, to a pace that few songs keep up, to a few
//! pitch classes or to all of them alike. A network that goes on from its own notes for long has nothing else
//! to hold it.

use crate::note::Note;
use crate::pace::Pace;
use crate::vocabulary::Hands;

/// Means over the last notes, the latest counting most.
#[derive(Clone, Debug)]
pub(crate) struct Drift {
    /// Mean pitch.
    center: f32,
    /// Mean step, in seconds.
    pace: f32,
    /// The longest that it may be.
    slowest: f32,
    /// Shares of the pitch classes.
    classes: [f32; 12],
}

/// Notes that the mean pitch and step go over.
const MEMORY: f32 = 64.0;

/// Notes that the pitch classes' shares go over.
const LONG_MEMORY: f32 = 256.0;

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
/// songs from 0.075 to 0.15. A piece that goes on for long is to have a pace that lasts: slow songs are short.
const PACES: (f32, f32) = (0.08, 0.14);

/// What a bin of a time costs where the mean is `r` times the nearest usual one, in logits for each of
/// `r - 1 / r`: the same to either side of it.
const HURRY: f32 = 0.06;

/// What a step of nothing costs where the pace is too fast, in bins: full chords, one upon the other, are what
/// makes it fast.
const CHORD: f32 = 24.0;

/// The least `r`, for a mean of nothing at all.
const LEAST: f32 = 0.01;

/// How many pitch classes there usually are, weighed by their shares: in nine of ten passages of the
/// reference corpus's training songs 5.8 to 10.2.
const CLASSES: (f32, f32) = (6.0, 10.0);

/// What stands for a class's share at the start: all together they count as 8, neither few nor many.
const UNHEARD: f32 = 0.102;

/// What a class's share costs for each class that there are too few, and is worth for each that there are
/// too many: where there are many, shares differ little.
const LEAN: (f32, f32) = (2.0, 20.0);

impl Drift {
    /// That of a piece that has not begun.
    pub const fn new() -> Self {
        Self { center: MIDDLE, pace: MODERATE, slowest: PACES.1, classes: [UNHEARD; 12] }
    }

    /// Takes in a note.
    pub fn hear(&mut self, note: &Note) {
        self.center += (f32::from(note.pitch) - self.center) / MEMORY;
        self.pace += (note.step - self.pace) / MEMORY;
        self.classes.iter_mut().for_each(|share| *share -= *share / LONG_MEMORY);
        if let Some(share) = self.classes.get_mut(usize::from(note.pitch % 12)) {
            *share += 1.0 / LONG_MEMORY;
        }
    }

    /// Takes the pace of what was just heard for one that is meant: who plays slowly is answered so.
    pub fn accept_pace(&mut self) {
        self.slowest = self.pace.max(PACES.1);
    }

    /// Leads the pace back to where it usually is; from slow ones only where a piece is `whole`. Melodies are
    /// slower than pieces of both hands, and so is who waits for notes to end.
    pub fn pace(&self, whole: bool) -> Pace {
        let slowest = if whole { self.slowest } else { f32::INFINITY };
        let goal = self.pace.max(PACES.0).min(slowest); // `clamp` can panic
        let ratio = (self.pace / goal).max(LEAST);
        Pace { goal, cost: HURRY * (ratio - 1.0 / ratio), chord: CHORD }
    }

    /// What each pitch is worth, to lead the pitches back.
    pub fn lead(&self, hands: Hands) -> impl Fn(u8) -> f32 + '_ {
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
    value - value.clamp(least, most)
}
