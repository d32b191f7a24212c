//! What a board does that has no model to play: it says why, blinks, and is silent.

use pianola_runtime::{Micros, ModelError};

/// How often the light blinks for an error, between two pauses.
pub fn blinks(error: &ModelError) -> u8 {
    match error {
        // Nothing there, or something else.
        ModelError::NotAModel => 1,
        // Damaged.
        ModelError::Truncated
        | ModelError::TrailingBytes
        | ModelError::BadHeader
        | ModelError::Checksum => 2,
        // For another version of the firmware.
        ModelError::Version | ModelError::Unsupported => 3,
        // Too large, or in the wrong place.
        ModelError::TooLarge | ModelError::Misaligned => 4,
        // Made wrongly.
        _ => 5,
    }
}

/// Whether the light is on, some time after the error: blinks of a quarter of a second, then a pause
/// of a second.
pub(crate) fn light(error: &ModelError, time: Micros) -> bool {
    const BLINK: Micros = 250_000;
    const PAUSE: Micros = 4;
    let slot = time / BLINK % (2 * Micros::from(blinks(error)) + PAUSE);
    slot < 2 * Micros::from(blinks(error)) && slot.is_multiple_of(2)
}
