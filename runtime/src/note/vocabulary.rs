//! The parts of a note as classes: a *bin* for each of its times, and one for its velocity.
//!
//! Times are binned on a logarithmic scale, eight bins per doubling, from 1/128 s to 16 s: a bin is
//! the exponent and the first three bits of the fraction of an IEEE single. Shorter times share
//! bin 0: the notes of a chord begin together. The model does not predict the position of a time
//! within its bin.

use crate::note::Note;

/// Bins of a step or a duration.
pub const TIME_BINS: usize = 1 + 11 * 8;

/// Bins of a velocity, four velocities each.
pub const VELOCITY_BINS: usize = 32;

/// The parts of a note in the order in which they are predicted.
pub const PARTS: [&str; 4] = ["step", "pitch", "duration", "velocity"];

/// Number of classes of each part.
pub const CHOICES: [usize; 4] = [TIME_BINS, 128, TIME_BINS, VELOCITY_BINS];

/// Number of classes of each part as an input: those to predict and, for the pitch, [`BOS`](crate::BOS) and
/// [`RIGHT_HAND`].
pub const INPUT_CLASSES: [usize; 4] =
    [TIME_BINS, RIGHT_HAND as usize + 1, TIME_BINS, VELOCITY_BINS];

/// Pitch token that is added to each note, and to the start token, of a piece for the right hand
/// alone.
pub const RIGHT_HAND: u8 = 129;

/// The hands that play a piece.
///
/// An expressive model is trained on whole pieces and on their right hands alone. Every note is
/// conditioned on which of the two it is, so a melody leaves no gaps for a left hand, and a piece
/// for both hands keeps both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Hands {
    /// Both hands.
    #[default]
    Both,
    /// The right hand alone.
    Right,
}

/// Low bits of a single's fraction that a bin does not fix.
const OPEN: u32 = 20;

/// Bin 1 among all bins of positive singles: the bin of 1/128 s.
const FIRST: u32 = (1.0f32 / 128.0).to_bits() >> OPEN;

/// The bin of a time in seconds; NaN has bin 0.
///
/// ```
/// use pianola_runtime::vocabulary::{TIME_BINS, time_bin};
/// assert_eq!([0.0, 0.005, 1.0 / 128.0, 1.0, 1.12, 1.13].map(time_bin), [0, 0, 1, 57, 57, 58]);
/// assert_eq!(usize::from(time_bin(15.0)), TIME_BINS - 1);
/// ```
#[inline]
pub fn time_bin(seconds: f32) -> u8 {
    if seconds.is_nan() || seconds <= 0.0 {
        return 0;
    }
    let bin = (seconds.to_bits() >> OPEN).saturating_add(1).saturating_sub(FIRST);
    bin.min(TIME_BINS as u32 - 1) as u8
}

/// A time in a bin, in seconds: 0 in bin 0. In other bins, the lowest 20 bits of `place` are the
/// position between its ends, as a fraction.
#[inline]
pub fn seconds(bin: u8, place: u32) -> f32 {
    match u32::from(bin).min(TIME_BINS as u32 - 1).checked_sub(1) {
        Some(bin) => f32::from_bits((FIRST + bin) << OPEN | place & ((1 << OPEN) - 1)),
        None => 0.0,
    }
}

/// Position of a time within its bin, as the `place` of [`seconds`]; bin 0 has none.
#[inline]
pub(crate) fn place(seconds: f32) -> u32 {
    seconds.to_bits() & ((1 << OPEN) - 1)
}

/// The bin of a MIDI velocity.
#[inline]
pub fn velocity_bin(velocity: u8) -> u8 {
    velocity.min(127) / 4
}

/// A velocity in a bin: the lowest two bits of `place` say which of the four; never 0, which would
/// be a note-off.
#[inline]
pub fn velocity(bin: u8, place: u32) -> u8 {
    (bin.min(VELOCITY_BINS as u8 - 1) * 4 + (place & 3) as u8).max(1)
}

/// The bins of a note's parts, in the order of [`PARTS`].
pub fn bins(note: &Note) -> [u8; 4] {
    let pitch = note.pitch.min(127);
    [time_bin(note.step), pitch, time_bin(note.duration), velocity_bin(note.velocity)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1024 }))]

        #[test]
        fn what_a_bin_gives_is_in_it(bin in 0..TIME_BINS as u8, place: u32, velocity_place: u32) {
            let time = seconds(bin, place);
            prop_assert_eq!(time_bin(time), bin);
            prop_assert_eq!(seconds(bin, super::place(time)), time);
            let bin = bin.min(VELOCITY_BINS as u8 - 1);
            prop_assert_eq!(velocity_bin(velocity(bin, velocity_place)), bin);
        }

        #[test]
        fn bins_follow_time_and_are_an_eighth_of_an_octave_wide(a in 0f32..15.0, b in 0f32..15.0) {
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(time_bin(a) <= time_bin(b));
            if time_bin(a) == time_bin(b) && time_bin(a) > 0 {
                prop_assert!(b <= 1.125 * a);
            }
        }
    }

    #[test]
    fn extremes_have_bins() {
        let last = TIME_BINS as u8 - 1;
        let times = [f32::NAN, -1.0, -0.0, f32::MIN_POSITIVE, 16.0, f32::MAX, f32::INFINITY];
        assert_eq!(times.map(time_bin), [0, 0, 0, 0, last, last, last]);
        assert_eq!([0, 1, 127, 255].map(velocity_bin), [0, 0, 31, 31]);
        assert_eq!(seconds(255, u32::MAX), 16.0f32.next_down());
    }
}
