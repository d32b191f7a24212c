//! Sets of pitch classes.

/// The pitch classes that may be played, in all octaves.
///
/// ```
/// use pianola_runtime::Scale;
/// let g_major = Scale::major(7);
/// assert!(g_major.contains(66) && !g_major.contains(65)); // F sharp, F
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scale(u16);

impl Scale {
    /// All twelve.
    pub const CHROMATIC: Self = Self(0xfff);

    /// The major scale on a pitch class, 0 for C.
    pub const fn major(root: u8) -> Self {
        Self::on(root, 0b1010_1011_0101)
    }

    /// The natural minor scale on a pitch class, 0 for C.
    pub const fn minor(root: u8) -> Self {
        Self::on(root, 0b0101_1010_1101)
    }

    /// The major pentatonic scale on a pitch class, 0 for C.
    pub const fn pentatonic(root: u8) -> Self {
        Self::on(root, 0b0010_1001_0101)
    }

    /// Any scale on a pitch class, 0 for C: bit `n` of `steps` stands for the pitch class `n` semitones above it.
    pub const fn with_steps(root: u8, steps: u16) -> Self {
        Self::on(root, steps & 0xfff)
    }

    /// The scale of a MIDI controller's value: 0 is chromatic, then come twelve major scales from C on,
    /// twelve minor and twelve pentatonic ones; larger values are chromatic again.
    pub const fn numbered(value: u8) -> Self {
        match value {
            1..=12 => Self::major(value - 1),
            13..=24 => Self::minor(value - 13),
            25..=36 => Self::pentatonic(value - 25),
            _ => Self::CHROMATIC,
        }
    }

    /// Whether a pitch belongs to it.
    pub const fn contains(self, pitch: u8) -> bool {
        self.0 >> (pitch % 12) & 1 == 1
    }

    /// Moves steps, of which bit 0 is the root, to a pitch class.
    const fn on(root: u8, steps: u16) -> Self {
        let shifted = (steps as u32) << (root % 12);
        Self((shifted | shifted >> 12) as u16 & 0xfff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn scales_have_their_pitch_classes() {
        let classes = |scale: Scale| (0..12).filter(|&pitch| scale.contains(pitch)).collect();
        let of: [Vec<u8>; 4] =
            [Scale::major(0), Scale::major(7), Scale::minor(9), Scale::pentatonic(10)].map(classes);
        assert_eq!(of[0], [0, 2, 4, 5, 7, 9, 11]);
        assert_eq!(of[1], [0, 2, 4, 6, 7, 9, 11]);
        assert_eq!(of[2], of[0]);
        assert_eq!(of[3], [0, 2, 5, 7, 10]);
    }

    #[test]
    fn scales_have_numbers() {
        let numbered = [0, 1, 12, 13, 24, 25, 36, 37, 127].map(Scale::numbered);
        let every = Scale::CHROMATIC;
        let expected = [
            every,
            Scale::major(0),
            Scale::major(11),
            Scale::minor(0),
            Scale::minor(11),
            Scale::pentatonic(0),
            Scale::pentatonic(11),
            every,
            every,
        ];
        assert_eq!(numbered, expected);
    }
}
