//! What a piece starts from.

use crate::note::vocabulary::Hands;

/// What a piece starts from: the same start gives the same notes.
///
/// A seed alone converts to a start: the piece is then for both hands.
///
/// ```
/// use pianola_runtime::{Start, vocabulary::Hands};
/// assert_eq!(Start::from(42), Start::new(42));
/// let melody = Start::new(42).with_hands(Hands::Right);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Start {
    /// Seed of the random numbers.
    pub seed: u64,
    /// The hands that play the piece.
    pub hands: Hands,
}

impl Start {
    /// A piece for both hands.
    pub const fn new(seed: u64) -> Self {
        Self { seed, hands: Hands::Both }
    }

    /// The same for these hands.
    #[must_use]
    pub const fn with_hands(self, hands: Hands) -> Self {
        Self { hands, ..self }
    }
}

impl From<u64> for Start {
    fn from(seed: u64) -> Self {
        Self::new(seed)
    }
}
