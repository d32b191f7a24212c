//! The network's prediction of a part of the next note.

use core::ops::Deref;

use crate::kernels::ROWS;
use crate::model::format::PITCHES;

/// The network's prediction of a part of the next note.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to put it elsewhere")]
pub enum Prediction {
    /// A logit for each choice.
    Choice(Logits),
    /// A time in seconds, by regression; not yet made playable.
    Seconds(f32),
    /// Nothing: the model does not predict this part of a note.
    Unknown,
}

impl Prediction {
    /// The predicted numbers: a logit for each choice, a time in seconds, or none.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Choice(logits) => logits,
            Self::Seconds(seconds) => core::slice::from_ref(seconds),
            Self::Unknown => &[],
        }
    }
}

/// Unnormalised log-probabilities of choices: pitch tokens, which in the report's model include
/// [`BOS`](crate::BOS), or the bins of a time or a velocity.
#[derive(Clone, Debug)]
pub struct Logits {
    pub(super) values: [f32; LOGITS],
    pub(super) count: usize,
}

/// Most choices, in whole blocks of rows.
pub(super) const LOGITS: usize = PITCHES.next_multiple_of(ROWS);

impl Deref for Logits {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.values.get(..self.count).unwrap_or_default()
    }
}
