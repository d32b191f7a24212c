//! When two runs of notes are the same passage.
//!
//! Notes are read in the order of a score: by onset, and those of a chord from the lowest to the
//! highest. A note belongs to the chord of the note before it if its step is in bin 0 of
//! [`time_bin`], below 1/128 s. From each note to the next leads a *move*: by how many semitones,
//! and whether within a chord. Two runs are the same passage *up to transposition* if their moves
//! are the same, and *exactly* if their pitches are too.
//!
//! Durations, tempo and velocities do not count, so the same music in another tempo or with another
//! rhythm is found. The definition errs to one side: it may call two passages the same that a
//! listener would not, such as two scales, but no copy in another tempo escapes it.

use crate::note::vocabulary::time_bin;

/// Which notes count as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassageMatch {
    /// The same moves from any pitch (up to transposition).
    Transposed,
    /// The same moves from the same pitches.
    Exact,
}

impl PassageMatch {
    /// Both variants, each at the index of its discriminant.
    pub const ALL: [Self; 2] = [Self::Transposed, Self::Exact];

    /// Name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transposed => "transposed",
            Self::Exact => "exact",
        }
    }

    /// A move as a number below 2¹⁶ − 1: in bit 0 whether it stays within a chord, above it the
    /// interval or both pitches.
    pub fn number(self, from: u8, to: u8, in_chord: bool) -> u16 {
        let (from, to) = (u16::from(from.min(127)), u16::from(to.min(127)));
        let pitches = match self {
            Self::Transposed => 127 + to - from,
            Self::Exact => from << 7 | to,
        };
        pitches << 1 | u16::from(in_chord)
    }
}

/// Whether a note `step` seconds after another belongs to its chord.
pub fn joins(step: f32) -> bool {
    time_bin(step) == 0
}
