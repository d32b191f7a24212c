//! Sets of pitches as bit masks.

/// The bit of a pitch.
pub fn bit(pitch: u8) -> u128 {
    1 << (pitch & 127)
}

/// The pitches of a set.
pub fn pitches(set: u128) -> impl Iterator<Item = u8> {
    (0..128).filter(move |&pitch| set & bit(pitch) != 0)
}
