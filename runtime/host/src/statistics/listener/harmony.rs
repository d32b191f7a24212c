//! Keys, chords and consonance.

use super::Measure;
use super::excerpt::{Excerpt, Sounding, correlation, entropy, mean, share};

pub const MEASURES: &[Measure] = &[
    ("entropy of pitch classes, bits", |excerpt| entropy(&classes(&excerpt.notes))),
    ("key clarity", |excerpt| key(&classes(&excerpt.notes)).clarity),
    ("notes of the key's scale", |excerpt| {
        let key = key(&classes(&excerpt.notes));
        share(&excerpt.notes, |note| key.has(note.pitch))
    }),
    ("key clarity of 32 notes", |excerpt| {
        mean(excerpt.notes.chunks_exact(32).map(|notes| key(&classes(notes)).clarity))
    }),
    ("fifths between first and last key", |excerpt| {
        let third = excerpt.notes.len() / 3;
        let [first, last] =
            [&excerpt.notes[..third], &excerpt.notes[excerpt.notes.len() - third..]]
                .map(|part| key(&classes(part)).fifths());
        let apart = (first + 12 - last) % 12;
        apart.min(12 - apart) as f64
    }),
    ("change of chroma", |excerpt| {
        let chroma: Vec<[f64; 12]> = excerpt.notes.chunks_exact(16).map(classes).collect();
        mean(chroma.windows(2).map(|pair| 1.0 - correlation(&pair[0], &pair[1])))
    }),
    ("fit of triads", |excerpt| mean(triads(excerpt).iter().map(|&(fit, _)| fit))),
    ("root falls a fifth", |excerpt| {
        let changes: Vec<u8> = changes(excerpt);
        share(changes, |interval| interval == 5)
    }),
    ("changes of triad", |excerpt| {
        changes(excerpt).len() as f64 / triads(excerpt).len().max(1) as f64
    }),
    ("tonic in the bass", |excerpt| {
        let tonic = key(&classes(&excerpt.notes)).tonic;
        share(excerpt.bottom(), |note| usize::from(note.pitch % 12) == tonic)
    }),
    ("dominant in the bass", |excerpt| {
        let tonic = key(&classes(&excerpt.notes)).tonic;
        share(excerpt.bottom(), |note| usize::from(note.pitch % 12) == (tonic + 7) % 12)
    }),
    ("seconds within chords", |excerpt| vertical(excerpt, &[1, 2])),
    ("tritones within chords", |excerpt| vertical(excerpt, &[6])),
    ("thirds and sixths within chords", |excerpt| vertical(excerpt, &[3, 4])),
    ("fourths and fifths within chords", |excerpt| vertical(excerpt, &[5])),
];

/// Seconds that each pitch class is held; each note counts for at most two seconds.
fn classes(notes: &[Sounding]) -> [f64; 12] {
    let mut classes = [0.0; 12];
    for note in notes {
        classes[usize::from(note.pitch % 12)] += note.duration().clamp(0.05, 2.0);
    }
    classes
}

/// Pitch class of the tonic of the key that fits some notes best.
pub fn tonic(notes: &[Sounding]) -> usize {
    key(&classes(notes)).tonic
}

/// A key, and its clarity.
struct Key {
    tonic: usize,
    minor: bool,
    /// Correlation with its profile, up to 1.
    clarity: f64,
}

/// Key profiles of Krumhansl and Kessler (1982), from the tonic up.
const MAJOR: [f64; 12] = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
const MINOR: [f64; 12] = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];

impl Key {
    /// Whether a pitch belongs to the major or harmonic minor scale.
    fn has(&self, pitch: u8) -> bool {
        let degree = (usize::from(pitch) + 12 - self.tonic) % 12;
        let scale: [usize; 7] =
            if self.minor { [0, 2, 3, 5, 7, 8, 11] } else { [0, 2, 4, 5, 7, 9, 11] };
        scale.contains(&degree)
    }

    /// Its place on the circle of fifths; a minor key has that of its relative major.
    fn fifths(&self) -> usize {
        let major = if self.minor { self.tonic + 3 } else { self.tonic };
        major * 7 % 12
    }
}

/// The key that fits best.
fn key(classes: &[f64; 12]) -> Key {
    let candidate = |tonic: usize, minor: bool| {
        let profile = if minor { MINOR } else { MAJOR };
        let turned: [f64; 12] = std::array::from_fn(|class| profile[(class + 12 - tonic) % 12]);
        Key { tonic, minor, clarity: correlation(classes, &turned) }
    };
    let none = Key { tonic: 0, minor: false, clarity: -1.0 };
    let candidates = (0..12).flat_map(|tonic| [candidate(tonic, false), candidate(tonic, true)]);
    candidates.fold(none, |best, key| if key.clarity > best.clarity { key } else { best })
}

/// For each eight notes, the share of them in the best major or minor triad, and its root.
fn triads(excerpt: &Excerpt) -> Vec<(f64, u8)> {
    let best = |notes: &[Sounding]| {
        let classes = classes(notes);
        let total: f64 = classes.iter().sum();
        let triad = |root: u8, third: usize| {
            let degrees = [0, third, 7].map(|degree| classes[(usize::from(root) + degree) % 12]);
            (degrees.iter().sum::<f64>() / total, root)
        };
        let all = (0..12).flat_map(|root| [triad(root, 4), triad(root, 3)]);
        all.fold((0.0, 0), |best, triad| if triad.0 > best.0 { triad } else { best })
    };
    excerpt.notes.chunks_exact(8).map(best).collect()
}

/// Semitones up from each root to the next that differs.
fn changes(excerpt: &Excerpt) -> Vec<u8> {
    let triads = triads(excerpt);
    let intervals = triads.windows(2).map(|pair| (pair[1].1 + 12 - pair[0].1) % 12);
    intervals.filter(|&interval| interval != 0).collect()
}

/// The share of the pairs of notes struck together that are some interval classes apart.
fn vertical(excerpt: &Excerpt, wanted: &[u8]) -> f64 {
    let pairs = excerpt.chords.iter().flat_map(|chord| {
        let notes = &excerpt.notes[chord.notes.clone()];
        notes.iter().enumerate().flat_map(move |(at, low)| {
            notes[at + 1..].iter().map(move |high| (high.pitch - low.pitch) % 12)
        })
    });
    share(pairs, |interval| wanted.contains(&interval.min(12 - interval)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pitches: &[u8]) -> Vec<Sounding> {
        let note = |&pitch| Sounding { onset: 0.0, end: 0.5, pitch, velocity: 80 };
        pitches.iter().map(note).collect()
    }

    #[test]
    fn scales_tell_their_keys() {
        for tonic in 0..12u8 {
            let scale = [0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0].map(|degree| 48 + tonic + degree);
            let major = key(&classes(&held(&scale)));
            assert_eq!((major.tonic, major.minor), (usize::from(tonic), false));
            assert!(scale.iter().all(|&pitch| major.has(pitch)) && major.clarity > 0.8);
            let scale = [0, 2, 3, 5, 7, 8, 11, 12, 7, 3, 0].map(|degree| 48 + tonic + degree);
            let minor = key(&classes(&held(&scale)));
            assert_eq!((minor.tonic, minor.minor), (usize::from(tonic), true));
        }
        let [c, g, a_minor] = [(0, false), (7, false), (9, true)]
            .map(|(tonic, minor)| Key { tonic, minor, clarity: 1.0 }.fifths());
        assert_eq!((c, g, a_minor), (0, 1, 0));
    }
}
