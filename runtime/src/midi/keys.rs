//! Notes played on the keys of another instrument.

use crate::midi::time::{Instant, Micros};
use crate::note::Note;
use heapless::Deque;

/// Keys that are pressed but not yet returned as notes, in the order of their onsets. A note has its
/// duration, and can be observed, once its key is released or held too long.
///
/// ```
/// use pianola_runtime::{Instant, Keys, Note};
/// let [pressed, released] = [1_000_000, 1_500_000].map(Instant::from_micros);
/// let mut keys = Keys::default();
/// keys.press(60, 80, pressed);
/// assert_eq!(keys.next(released), None); // it is held
/// keys.release(60, released);
/// let note = Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 };
/// assert_eq!(keys.next(released), Some(note));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pressed: Deque<Key, 32>,
    /// Onset of the note before.
    last: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    pitch: u8,
    velocity: u8,
    onset: Instant,
    step: Micros,
    release: Option<Instant>,
}

impl Keys {
    /// Longest time that a key counts as held: the longest duration of a note.
    pub const LONGEST: Micros = Micros::from_seconds(Note::MAX_SECONDS);

    /// A key is pressed. Keys beyond the capacity are ignored.
    pub fn press(&mut self, pitch: u8, velocity: u8, now: Instant) {
        self.release(pitch, now);
        let step = self.last.map_or(Micros::ZERO, |last| now - last);
        let key = Key { pitch, velocity, onset: now, step, release: None };
        if self.pressed.push_back(key).is_ok() {
            self.last = Some(now);
        }
    }

    /// Another player has played a note: the step of the next note counts from its onset.
    pub fn count_from(&mut self, onset: Instant) {
        self.last = Some(onset);
    }

    /// A key is released.
    pub fn release(&mut self, pitch: u8, now: Instant) {
        let held = |key: &&mut Key| key.pitch == pitch && key.release.is_none();
        if let Some(key) = self.pressed.iter_mut().find(held) {
            key.release = Some(now);
        }
    }

    /// All keys are released.
    pub fn release_all(&mut self, now: Instant) {
        for key in &mut self.pressed {
            key.release = key.release.or(Some(now));
        }
    }

    /// The next complete note, in the order of onsets. A key that is held for longer than
    /// [`LONGEST`](Self::LONGEST) is complete too: its release may never come.
    pub fn next(&mut self, now: Instant) -> Option<Note> {
        let key = *self.pressed.front()?;
        let forgotten = (now - key.onset > Self::LONGEST).then_some(now);
        let end = key.release.or(forgotten)?;
        self.pressed.pop_front();
        Some(key.note(end))
    }

    /// The next note, complete or not: a key that is still held ends now, and its later release is
    /// ignored.
    pub fn flush(&mut self, now: Instant) -> Option<Note> {
        let key = self.pressed.pop_front()?;
        Some(key.note(key.release.unwrap_or(now)))
    }

    /// Whether a key is held.
    pub fn is_held(&self, pitch: u8) -> bool {
        self.pressed.iter().any(|key| key.pitch == pitch && key.release.is_none())
    }

    /// Whether there is no room for another key.
    pub fn is_full(&self) -> bool {
        self.pressed.is_full()
    }
}

impl Key {
    /// The note if it ends at `end`.
    fn note(&self, end: Instant) -> Note {
        let duration = (end - self.onset).as_seconds();
        Note { pitch: self.pitch, velocity: self.velocity, step: self.step.as_seconds(), duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn notes_are_heard_in_the_order_of_their_onsets_with_their_times() {
        let mut keys = Keys::default();
        keys.press(60, 80, at(1_000_000));
        keys.press(64, 90, at(1_500_000));
        keys.release(64, at(2_000_000));
        assert_eq!(keys.next(at(2_000_000)), None);
        keys.release(60, at(3_000_000));
        let heard = [keys.next(at(3_000_000)), keys.next(at(3_000_000)), keys.next(at(3_000_000))];
        let first = Note { pitch: 60, velocity: 80, step: 0.0, duration: 2.0 };
        let second = Note { pitch: 64, velocity: 90, step: 0.5, duration: 0.5 };
        assert_eq!(heard, [Some(first), Some(second), None]);
    }

    #[test]
    fn a_key_whose_release_is_lost_does_not_block_the_others() {
        let mut keys = Keys::default();
        keys.press(60, 80, at(0));
        keys.press(64, 90, at(1_000_000));
        keys.release(64, at(2_000_000));
        assert_eq!(keys.next(at(14_000_000)), None);
        assert!(keys.next(at(16_000_000)).is_some_and(|note| note.pitch == 60));
        assert!(keys.next(at(16_000_000)).is_some_and(|note| note.pitch == 64));
    }

    #[test]
    fn keys_still_held_are_heard_as_far_as_they_have_come() {
        let mut keys = Keys::default();
        assert!(!keys.is_full());
        keys.press(60, 80, at(1_000_000));
        keys.press(64, 90, at(1_500_000));
        keys.release(64, at(2_000_000));
        let heard =
            [keys.flush(at(4_000_000)), keys.flush(at(4_000_000)), keys.flush(at(4_000_000))];
        let held = Note { pitch: 60, velocity: 80, step: 0.0, duration: 3.0 };
        let released = Note { pitch: 64, velocity: 90, step: 0.5, duration: 0.5 };
        assert_eq!(heard, [Some(held), Some(released), None]);
        // The next step counts from the last press, and the late release is ignored.
        keys.release(60, at(5_000_000));
        keys.press(67, 70, at(6_000_000));
        keys.release(67, at(6_500_000));
        let next = Note { pitch: 67, velocity: 70, step: 4.5, duration: 0.5 };
        assert_eq!(keys.next(at(7_000_000)), Some(next));
    }
}
