//! A note as the model sees it, and the vocabulary of its parts.

pub mod passage;
mod scale;
pub mod vocabulary;

pub use scale::Scale;

/// One note, timed relative to the one before it.
///
/// ```
/// use pianola_runtime::Note;
/// // Middle C, a quarter of a second after the note before it, held for half a second.
/// let note = Note { pitch: 60, velocity: 80, step: 0.25, duration: 0.5 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Note {
    /// MIDI note number, 0 to 127; 60 is middle C.
    pub pitch: u8,
    /// MIDI velocity, 1 to 127.
    pub velocity: u8,
    /// Seconds from the onset of the note before to this onset, at least 0.
    pub step: f32,
    /// Seconds from this onset to the release, at least 0.
    pub duration: f32,
}

impl Note {
    /// Velocity of notes from a model without dynamics: mezzo-forte.
    pub const DEFAULT_VELOCITY: u8 = 80;

    /// Longest step or duration a model may ask for, in seconds.
    ///
    /// No note of the reference corpus is held longer, and 13 of 381,248 come later, where one hand
    /// rests. Without a bound, one bad prediction would leave the piano silent for minutes.
    pub const MAX_SECONDS: f32 = 15.0;

    /// A predicted time as it can be played, in seconds: NaN becomes 0, anything else is clamped to 0
    /// to [`Note::MAX_SECONDS`].
    ///
    /// ```
    /// use pianola_runtime::Note;
    /// assert_eq!(Note::playable_seconds(-0.01), 0.0);
    /// assert_eq!(Note::playable_seconds(f32::NAN), 0.0);
    /// assert_eq!(Note::playable_seconds(f32::INFINITY), Note::MAX_SECONDS);
    /// ```
    pub fn playable_seconds(predicted: f32) -> f32 {
        if predicted.is_nan() { 0.0 } else { predicted.clamp(0.0, Self::MAX_SECONDS) }
    }

    /// This note with playable times; see [`Note::playable_seconds`].
    #[must_use]
    pub fn playable(self) -> Self {
        let (step, duration) = (self.step, self.duration);
        Self {
            step: Self::playable_seconds(step),
            duration: Self::playable_seconds(duration),
            ..self
        }
    }
}
