//! Notes of a performance, by performer.

use pianola_runtime::Instant;

/// Performer of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performer {
    /// The other player.
    Person,
    Pianola,
}

/// A note that was played, or is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    pub performer: Performer,
    pub pitch: u8,
    pub velocity: u8,
    pub start: Instant,
    /// None while it sounds.
    pub end: Option<Instant>,
}
