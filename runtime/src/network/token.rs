//! The inputs of the network: notes, and the token that starts every sequence.

use crate::model::format::BOS;
use crate::note::Note;

/// One input of the network: a note, or the start token.
#[derive(Clone, Copy)]
pub(crate) struct Token(pub Note);

impl Token {
    /// The token that starts every sequence.
    pub const BOS: Self = Self(Note { pitch: BOS, velocity: 0, step: 0.0, duration: 0.0 });
}

#[cfg(feature = "std")]
impl Token {
    /// As words, for another thread.
    pub fn to_bits(self) -> [u32; 3] {
        let Note { pitch, velocity, step, duration } = self.0;
        [u32::from(pitch) | u32::from(velocity) << 8, step.to_bits(), duration.to_bits()]
    }

    pub fn from_bits([key, step, duration]: [u32; 3]) -> Self {
        let (step, duration) = (f32::from_bits(step), f32::from_bits(duration));
        Self(Note { pitch: key as u8, velocity: (key >> 8) as u8, step, duration })
    }
}

impl From<&Note> for Token {
    fn from(note: &Note) -> Self {
        Self(Note { pitch: note.pitch.min(127), ..*note })
    }
}
