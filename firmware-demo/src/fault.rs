//! The behaviour of a board without a playable model: it reports why, blinks and stays silent.

use pianola_runtime::{Instant, ModelError};

/// Number of blinks for an error, between two pauses.
pub fn blinks(error: &ModelError) -> u8 {
    match error {
        // No model file.
        ModelError::NotAModel => 1,
        // Damaged.
        ModelError::Truncated
        | ModelError::TrailingBytes
        | ModelError::BadHeader
        | ModelError::Checksum => 2,
        // For another version of the firmware.
        ModelError::Version | ModelError::Unsupported => 3,
        // Too large, or misaligned.
        ModelError::TooLarge | ModelError::Misaligned => 4,
        // Malformed.
        _ => 5,
    }
}

/// Whether the light is on at a time: blinks of a quarter of a second, then a pause of a second.
pub(crate) fn light(error: &ModelError, now: Instant) -> bool {
    /// Microseconds that the light is on, and off, in each blink.
    const BLINK: u64 = 250_000;
    /// Length of a pause, in multiples of that.
    const PAUSE: u64 = 4;
    let slot = now.as_micros() / BLINK % (2 * u64::from(blinks(error)) + PAUSE);
    slot < 2 * u64::from(blinks(error)) && slot.is_multiple_of(2)
}
