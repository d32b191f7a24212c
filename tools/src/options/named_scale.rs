//! Scales as people write them.

use std::fmt;
use std::str::FromStr;

use pianola_runtime::Scale;

/// A scale that is read and shown by its name, such as f#-minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedScale(pub Scale);

/// The pitch classes, from C on.
pub const PITCH_CLASSES: [&str; 12] =
    ["c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b"];

/// Semitones of a note above the C of its octave, from its name in lower case, and what follows the name.
pub fn named_note(name: &str) -> Option<(i32, &str)> {
    let mut letters = name.chars();
    let natural = match letters.next()? {
        'c' => 0,
        'd' => 2,
        'e' => 4,
        'f' => 5,
        'g' => 7,
        'a' => 9,
        'b' => 11,
        _ => return None,
    };
    let rest = letters.as_str();
    Some(match rest.chars().next() {
        Some('#' | 's') => (natural + 1, &rest[1..]),
        Some('b') => (natural - 1, &rest[1..]),
        _ => (natural, rest),
    })
}

impl FromStr for NamedScale {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a root and major, minor or pentatonic, such as f#-minor";
        let name = name.to_lowercase();
        let (root, kind) = name.split_once(['-', ' ']).ok_or(EXPECTED)?;
        let (above, "") = named_note(root).ok_or(EXPECTED)? else { return Err(EXPECTED) };
        let root = above.rem_euclid(12) as u8;
        match kind {
            "major" => Ok(Self(Scale::major(root))),
            "minor" => Ok(Self(Scale::minor(root))),
            "pentatonic" => Ok(Self(Scale::pentatonic(root))),
            _ => Err(EXPECTED),
        }
    }
}

impl fmt::Display for NamedScale {
    /// A major scale with the minor one that it is as well: which of the two is meant, only the music
    /// says.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (root, name) in (0..).zip(PITCH_CLASSES) {
            if self.0 == Scale::major(root) {
                let relative = PITCH_CLASSES[(usize::from(root) + 9) % 12];
                return write!(f, "{name}-major, {relative}-minor");
            }
            if self.0 == Scale::pentatonic(root) {
                return write!(f, "{name}-pentatonic");
            }
        }
        f.write_str("every pitch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(name: &str) -> Option<Scale> {
        name.parse().ok().map(|NamedScale(scale)| scale)
    }

    #[test]
    fn scales_are_read_as_people_write_them() {
        assert_eq!(scale("c-major"), Some(Scale::major(0)));
        assert_eq!(scale("F#-minor"), Some(Scale::minor(6)));
        assert_eq!(scale("Bb pentatonic"), Some(Scale::pentatonic(10)));
        assert_eq!(scale("cb-major"), Some(Scale::major(11)));
        for wrong in ["", "c", "h-major", "c-dorian", "c##-major"] {
            assert_eq!(scale(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        assert_eq!(NamedScale(Scale::minor(6)).to_string(), "a-major, f#-minor");
        let all: Vec<Scale> = (0..=12).chain(25..=36).map(Scale::numbered).collect();
        assert_eq!(all.len(), 25);
        assert_eq!(NamedScale(all[0]).to_string(), "every pitch");
        for number in 1..=36 {
            let number = Scale::numbered(number);
            assert!(all.contains(&number));
            let shown = NamedScale(number).to_string();
            assert!(shown.split(", ").all(|name| scale(name) == Some(number)), "{shown}");
        }
    }
}
