//! Notes that someone plays on the keys of another instrument.

use heapless::Deque;
use pianola_runtime::{Micros, Note};

/// Keys pressed and not yet heard, in the order of their onsets: a note has its duration, and can be
/// heard, once its key is released.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pressed: Deque<Key, 32>,
    /// Onset of the note before.
    last: Option<Micros>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    pitch: u8,
    velocity: u8,
    onset: Micros,
    step: Micros,
    release: Option<Micros>,
}

impl Keys {
    /// A key is pressed. More than there is room for are not heard.
    pub fn press(&mut self, pitch: u8, velocity: u8, now: Micros) {
        self.release(pitch, now);
        let step = self.last.map_or(0, |last| now.saturating_sub(last));
        let key = Key { pitch, velocity, onset: now, step, release: None };
        if self.pressed.push_back(key).is_ok() {
            self.last = Some(now);
        }
    }

    /// A key is released.
    pub fn release(&mut self, pitch: u8, now: Micros) {
        let held = |key: &&mut Key| key.pitch == pitch && key.release.is_none();
        if let Some(key) = self.pressed.iter_mut().find(held) {
            key.release = Some(now);
        }
    }

    /// The next note to be heard, if those before it are over.
    pub fn next(&mut self) -> Option<Note> {
        let Key { pitch, velocity, onset, step, release } = *self.pressed.front()?;
        let duration = release?.saturating_sub(onset);
        self.pressed.pop_front();
        let seconds = |micros: Micros| micros as f32 / 1e6;
        Some(Note { pitch, velocity, step: seconds(step), duration: seconds(duration) })
    }
}
