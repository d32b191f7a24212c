//! Turns the keys of another player into notes that the model observes.

use pianola_runtime::{Event, Instant, Keys, Micros, Note, TransportCommand};

use crate::live::performance::Mode;

/// Transcribes keys to notes. Steps count from the previous note of either player.
pub struct Transcriber {
    mode: Mode,
    keys: Keys,
    /// Onset of the last note of either player.
    last: Option<Instant>,
    /// Mean duration of the other player's last notes, in seconds.
    typical: f32,
}

/// Number of notes in the running mean of durations.
const NOTES: f32 = 8.0;

impl Transcriber {
    pub fn new(mode: Mode) -> Self {
        Self { mode, keys: Keys::default(), last: None, typical: 0.3 }
    }

    /// Resets the state for another piece.
    pub fn restart(&mut self) {
        *self = Self::new(self.mode);
    }

    /// Pianola has started a note.
    pub fn started(&mut self, onset: Instant) {
        self.last = Some(onset);
        self.keys.count_from(onset);
    }

    /// Handles a message, and passes each note to `observe`: when its key is released or, in accompany
    /// mode, when it is pressed. Its duration is unknown then; the mean of the notes before is assumed
    /// instead.
    pub fn take(&mut self, event: Event, at: Instant, mut observe: impl FnMut(&Note)) {
        match event {
            Event::Press(pitch, velocity) => {
                if self.keys.is_full() {
                    // The note of a key held for long is observed with its duration so far.
                    self.keys.flush(at).iter().for_each(|note| self.end(note, &mut observe));
                }
                let step = self.last.map_or(Micros::ZERO, |last| at - last);
                self.last = Some(at);
                self.keys.press(pitch, velocity, at);
                if self.mode == Mode::Accompany {
                    let (step, duration) = (step.as_seconds(), self.typical);
                    observe(&Note { pitch, velocity, step, duration });
                }
            }
            Event::Release(pitch) => self.keys.release(pitch, at),
            Event::Transport(TransportCommand::Panic) => self.keys.release_all(at),
            _ => {}
        }
        while let Some(note) = self.keys.next(at) {
            self.end(&note, &mut observe);
        }
    }

    /// Handles a note that is over.
    fn end(&mut self, note: &Note, observe: &mut impl FnMut(&Note)) {
        match self.mode {
            Mode::Answer => observe(note),
            Mode::Accompany => self.typical += (note.duration - self.typical) / NOTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The observed notes of a performance that starts with one of Pianola's. The board's test has the same.
    fn transcribed(mode: Mode) -> Vec<Note> {
        let mut transcriber = Transcriber::new(mode);
        let mut notes = Vec::new();
        transcriber.started(Instant::from_micros(1_000_000));
        for (event, micros) in [
            (Event::Press(60, 70), 1_250_000),
            (Event::Press(64, 80), 1_750_000),
            (Event::Release(64), 2_000_000),
            (Event::Release(60), 2_250_000),
            (Event::Press(67, 90), 2_500_000),
            (Event::Transport(TransportCommand::Panic), 3_000_000),
            (Event::Press(72, 60), 3_500_000),
            (Event::Release(72), 4_000_000),
        ] {
            transcriber.take(event, Instant::from_micros(micros), |note| notes.push(*note));
        }
        notes
    }

    #[test]
    fn notes_are_heard_at_their_release_when_pianola_is_silent() {
        let first = Note { pitch: 60, velocity: 70, step: 0.25, duration: 1.0 };
        let second = Note { pitch: 64, velocity: 80, step: 0.5, duration: 0.25 };
        let third = Note { pitch: 67, velocity: 90, step: 0.75, duration: 0.5 };
        let fourth = Note { pitch: 72, velocity: 60, step: 1.0, duration: 0.5 };
        assert_eq!(transcribed(Mode::Answer), [first, second, third, fourth]);
    }

    #[test]
    fn notes_are_heard_at_once_when_pianola_plays_on() {
        let notes = transcribed(Mode::Accompany);
        let known: Vec<_> = notes.iter().map(|note| (note.pitch, note.step)).collect();
        assert_eq!(known, [(60, 0.25), (64, 0.5), (67, 0.75), (72, 1.0)]);
        assert_eq!((notes[0].duration, notes[1].duration), (0.3, 0.3));
        // (1 − 0.3) / 8 more, then (0.25 − 0.3875) / 8.
        assert!((notes[2].duration - 0.370_312_5).abs() < 1e-6);
    }
}
