//! Names of scales.

use std::fmt;
use std::str::FromStr;

use pianola_runtime::Scale;

/// A scale that is parsed from and printed as its name, such as f#-minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedScale(pub Scale);

/// Names of the pitch classes, from C on.
pub const PITCH_CLASSES: [&str; 12] =
    ["c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b"];

/// Roots of major scales, from C on, in the spelling with the fewest accidentals.
const MAJOR_ROOTS: [&str; 12] = ["c", "db", "d", "eb", "e", "f", "f#", "g", "ab", "a", "bb", "b"];

/// The same for minor scales.
const MINOR_ROOTS: [&str; 12] = ["c", "c#", "d", "eb", "e", "f", "f#", "g", "g#", "a", "bb", "b"];

/// Kinds of scales by name, with bit `n` for the pitch class `n` semitones above the root.
const KINDS: [(&str, u16); 22] = [
    ("major", 0b1010_1011_0101),
    ("minor", 0b0101_1010_1101),
    ("pentatonic", 0b0010_1001_0101),
    ("major-pentatonic", 0b0010_1001_0101),
    ("minor-pentatonic", 0b0100_1010_1001),
    ("blues", 0b0100_1110_1001),
    ("natural-minor", 0b0101_1010_1101),
    ("harmonic-minor", 0b1001_1010_1101),
    ("melodic-minor", 0b1010_1010_1101),
    ("ionian", 0b1010_1011_0101),
    ("dorian", 0b0110_1010_1101),
    ("phrygian", 0b0101_1010_1011),
    ("lydian", 0b1010_1101_0101),
    ("mixolydian", 0b0110_1011_0101),
    ("aeolian", 0b0101_1010_1101),
    ("locrian", 0b0101_0110_1011),
    ("dur", 0b1010_1011_0101),
    ("moll", 0b0101_1010_1101),
    ("majeur", 0b1010_1011_0101),
    ("mineur", 0b0101_1010_1101),
    ("maj", 0b1010_1011_0101),
    ("min", 0b0101_1010_1101),
];

/// Kinds that may follow a root without a separator, as in dm and Cdur.
const DIRECT: [&str; 10] =
    ["", "m", "maj", "min", "major", "minor", "dur", "moll", "majeur", "mineur"];

/// Language of a note name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// C, C#, Db, ... A#, Bb, B.
    English,
    /// C, Cis, Des, ... Ais, B, H.
    German,
    /// Do, do#, réb, ... la#, sib, si.
    French,
}

impl Spelling {
    /// Note names with their semitones above C; a name comes after longer ones that start with it.
    fn naturals(self) -> &'static [(&'static str, i32)] {
        match self {
            Self::English => {
                &[("c", 0), ("d", 2), ("e", 4), ("f", 5), ("g", 7), ("a", 9), ("b", 11)]
            }
            Self::German => &[
                ("ces", -1),
                ("cis", 1),
                ("c", 0),
                ("des", 1),
                ("dis", 3),
                ("d", 2),
                ("eis", 5),
                ("es", 3),
                ("e", 4),
                ("fes", 4),
                ("fis", 6),
                ("f", 5),
                ("ges", 6),
                ("gis", 8),
                ("g", 7),
                ("ais", 10),
                ("as", 8),
                ("a", 9),
                ("his", 12),
                ("h", 11),
                ("b", 10),
            ],
            Self::French => &[
                ("do", 0),
                ("ut", 0),
                ("ré", 2),
                ("re", 2),
                ("mi", 4),
                ("fa", 5),
                ("sol", 7),
                ("la", 9),
                ("si", 11),
            ],
        }
    }

    /// Suffixes that raise or lower a note.
    fn accidentals(self) -> &'static [(&'static str, i32)] {
        match self {
            Self::English => {
                &[("#", 1), ("♯", 1), ("-sharp", 1), ("b", -1), ("♭", -1), ("-flat", -1)]
            }
            Self::German => &[],
            Self::French => &[
                ("#", 1),
                ("♯", 1),
                ("-dièse", 1),
                ("-diese", 1),
                ("b", -1),
                ("♭", -1),
                ("-bémol", -1),
                ("-bemol", -1),
            ],
        }
    }

    /// Parses a note name in lower case: semitones above the C of its octave, and the rest of the text.
    pub fn note(self, name: &str) -> Option<(i32, &str)> {
        let starts = |&(start, above): &(&str, i32)| Some((above, name.strip_prefix(start)?));
        let (natural, rest) = self.naturals().iter().find_map(starts)?;
        let alters = |&(sign, by): &(&str, i32)| Some((natural + by, rest.strip_prefix(sign)?));
        Some(self.accidentals().iter().find_map(alters).unwrap_or((natural, rest)))
    }
}

/// The intervals of a kind of scale, and the languages in which its root may be named.
fn kind(name: &str) -> Option<(u16, &'static [Spelling])> {
    use Spelling::{English, French, German};
    let spellings: &[Spelling] = match name {
        // In German, b is a semitone below h.
        "dur" | "moll" => &[German],
        "majeur" | "mineur" => &[French],
        _ => &[English, French, German],
    };
    let name = match name {
        "" => "major",
        "m" => "minor",
        name => name.trim_start_matches('-'),
    };
    let (_, steps) = KINDS.iter().find(|(known, _)| *known == name)?;
    Some((*steps, spellings))
}

impl FromStr for NamedScale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a root and a scale, such as f#-minor, bb-major or d-dorian";
        let text = text.trim().to_lowercase();
        let words: Vec<&str> =
            text.split([' ', '-', '_']).filter(|word| !word.is_empty()).collect();
        let text = words.join("-");
        if text == "chromatic" {
            return Ok(Self(Scale::CHROMATIC));
        }
        for spelling in [Spelling::English, Spelling::French, Spelling::German] {
            let Some((above, rest)) = spelling.note(&text) else { continue };
            let (rest, separated) = match rest.strip_prefix('-') {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            if !separated && !DIRECT.contains(&rest) || separated && matches!(rest, "" | "m") {
                continue;
            }
            let Some((steps, spellings)) = kind(rest) else { continue };
            if spellings.contains(&spelling) {
                return Ok(Self(Scale::with_steps(above.rem_euclid(12) as u8, steps)));
            }
        }
        Err(EXPECTED)
    }
}

impl fmt::Display for NamedScale {
    /// A major scale and its relative minor have the same notes: the mask alone cannot distinguish
    /// them.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0 == Scale::CHROMATIC {
            return f.write_str("every pitch");
        }
        for (kind, steps) in KINDS {
            let roots = if kind.contains("minor") { &MINOR_ROOTS } else { &MAJOR_ROOTS };
            for (root, name) in (0..).zip(roots) {
                if self.0 == Scale::with_steps(root, steps) {
                    let relative = MINOR_ROOTS[(usize::from(root) + 9) % 12];
                    return match kind {
                        "major" => write!(f, "{name}-major, {relative}-minor"),
                        _ => write!(f, "{name}-{kind}"),
                    };
                }
            }
        }
        f.write_str("another scale")
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
        for (names, expected) in [
            (&["c-major", "C", "C dur", "do majeur", "ut majeur"][..], Scale::major(0)),
            (&["F#-minor", "f#m", "fis-moll", "fa# mineur", "fa dièse mineur"], Scale::minor(6)),
            (&["Bb pentatonic", "b flat major pentatonic", "b♭-pentatonic"], Scale::pentatonic(10)),
            (&["dm", "d min", "D-Moll", "ré mineur", "Re mineur", "d-aeolian"], Scale::minor(2)),
            (&["cb-major", "h-dur", "B-major", "Ces-Dur", "si majeur"], Scale::major(11)),
            (&["B-Dur", "bb", "si bémol majeur"], Scale::major(10)),
            (&["es-moll", "ebm", "e flat minor", "mib mineur"], Scale::minor(3)),
            (&["as-dur", "Ab", "as", "as-major"], Scale::major(8)),
            (&["es", "Es", "es-major", "eb"], Scale::major(3)),
            (&["d-dorian", "g mixolydian", "F-Lydian", "b locrian", "e-phrygian"], Scale::major(0)),
            (&["a-harmonic-minor", "a harmonic minor"], Scale::with_steps(9, 0b1001_1010_1101)),
            (&["c-melodic-minor"], Scale::with_steps(0, 0b1010_1010_1101)),
            (&["c-blues"], Scale::with_steps(0, 0b0100_1110_1001)),
            (&["dmoll", "Dmin", "dminor", "rémineur"], Scale::minor(2)),
            (&["Cdur", "cmaj", "domajeur"], Scale::major(0)),
            (&["hmoll", "Bmin"], Scale::minor(11)),
            (&["bmoll", "bbmin"], Scale::minor(10)),
            (&["esmoll", "Es moll"], Scale::minor(3)),
            (&["fismoll", "Fis-Moll"], Scale::minor(6)),
            (&["asdur", "As-Dur"], Scale::major(8)),
            (&["chromatic"], Scale::CHROMATIC),
        ] {
            for name in names {
                assert_eq!(scale(name), Some(expected), "{name}");
            }
        }
        for wrong in
            ["", "-", "x", "c-happy", "c##-major", "h-majeur", "do-dur", "dodur", "m", "c-m-m"]
        {
            assert_eq!(scale(wrong), None, "{wrong}");
        }
        let a_minor: Vec<u8> = (0..12)
            .filter(|&pitch| scale("a-harmonic-minor").is_some_and(|scale| scale.contains(pitch)))
            .collect();
        assert_eq!(a_minor, [0, 2, 4, 5, 8, 9, 11]);
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        assert_eq!(NamedScale(Scale::minor(6)).to_string(), "a-major, f#-minor");
        assert_eq!(NamedScale(Scale::major(10)).to_string(), "bb-major, g-minor");
        assert_eq!(NamedScale(Scale::major(8)).to_string(), "ab-major, f-minor");
        let all: Vec<Scale> = (0..=12).chain(25..=36).map(Scale::numbered).collect();
        assert_eq!(all.len(), 25);
        assert_eq!(NamedScale(all[0]).to_string(), "every pitch");
        for number in 1..=36 {
            let number = Scale::numbered(number);
            assert!(all.contains(&number));
        }
        let kinds = KINDS.iter().flat_map(|(_, steps)| (0..12).map(|root| (root, *steps)));
        for expected in kinds.map(|(root, steps)| Scale::with_steps(root, steps)) {
            let shown = NamedScale(expected).to_string();
            assert!(shown.split(", ").all(|name| scale(name) == Some(expected)), "{shown}");
        }
    }
}
