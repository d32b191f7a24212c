//! Baselines that predict notes from counts, without a network. A model is judged by its gain on them.
//!
//! Two baselines predict the bins of a note ([`vocabulary`](pianola_runtime::vocabulary)) in the order
//! of the model: step, pitch, duration, velocity. The unigram has no context. The n-gram backs off
//! from long contexts to shorter ones by Witten and Bell's method ("The zero-frequency problem", 1991;
//! interpolated as in Chen and Goodman, 1998):
//!
//! P(bin | context) = (count + kinds · P(bin | shorter context)) / (total + kinds)
//!
//! with `total` notes after the context in the training songs and `kinds` different bins among
//! them. Below the empty context the distribution is uniform, so the unigram adds kinds / bins to
//! each count.

use std::collections::HashMap;

use crate::corpus::Song;
use pianola_runtime::vocabulary::{CHOICES, bins};

/// Parts of a note, in the order of [`vocabulary::PARTS`](pianola_runtime::vocabulary::PARTS).
const PARTS: usize = CHOICES.len();

const STEP: usize = 0;
const PITCH: usize = 1;
const DURATION: usize = 2;
const VELOCITY: usize = 3;

/// A field of a context: a part of an earlier note, or an earlier part of the note itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Number of notes back; 0 for the note itself.
    pub back: usize,
    /// Which part: 0 to 3, in the order of choice.
    pub part: usize,
    /// Coarseness: 2^`coarse` bins are merged, but bin 0, such as the step within a chord, stays
    /// separate. 0 for single bins, 3 for doublings of time, 7 for bin 0 or not.
    pub coarse: u8,
}

impl Field {
    fn of(self, note: &Bins) -> u8 {
        let bin = u16::from(note.get(self.part).copied().unwrap_or(0));
        ((bin + (1 << self.coarse.min(7)) - 1) >> self.coarse.min(7)) as u8
    }
}

const fn field(back: usize, part: usize, coarse: u8) -> Field {
    Field { back, part, coarse }
}

/// Most fields of a context: it is one 64-bit number, eight bits per field.
pub const MAX_FIELDS: usize = 8;

/// The n-gram's contexts; backing off drops the last field first.
///
/// They were searched on the validation songs of the reference split, both hands, up to five notes
/// back (`tests/examples/baseline_contexts.rs`); longer ones are seen too rarely to help.
pub const CONTEXTS: [&[Field]; PARTS] = [
    &[field(1, STEP, 0), field(1, DURATION, 0), field(2, STEP, 0)],
    &[field(0, STEP, 7), field(1, STEP, 7), field(1, PITCH, 0)],
    &[field(0, STEP, 0), field(1, DURATION, 0)],
    &[field(4, VELOCITY, 0), field(0, STEP, 3), field(1, VELOCITY, 0)],
];

/// Placeholder for a part of a note before the first: no bin has this number.
const BEFORE: u8 = u8::MAX;

/// A baseline, fitted.
#[derive(Clone, Debug)]
pub struct Baseline([Counts; PARTS]);

impl Baseline {
    /// The n-gram with [`CONTEXTS`].
    pub fn fit(songs: &[&Song]) -> Self {
        Self::with_contexts(songs, CONTEXTS)
    }

    /// The unigram.
    pub fn unigram(songs: &[&Song]) -> Self {
        Self::with_contexts(songs, [&[]; PARTS])
    }

    /// An n-gram with custom contexts. Of each, the first [`MAX_FIELDS`] fields that are known before
    /// the part is predicted are used.
    pub fn with_contexts(songs: &[&Song], contexts: [&[Field]; PARTS]) -> Self {
        let songs: Vec<_> = songs.iter().map(|song| bins_of(song)).collect();
        Self(std::array::from_fn(|part| Counts::of(&songs, part, contexts[part])))
    }

    /// Means over all notes of the songs, in nats: step, pitch, duration, velocity. Each song is
    /// scored whole, from its start.
    pub fn nll(&self, songs: &[&Song]) -> [f64; PARTS] {
        let (mut sums, mut notes) = ([0.0; PARTS], 0);
        for song in songs {
            let song = bins_of(song);
            notes += song.len();
            for at in 0..song.len() {
                for (part, (sum, counts)) in sums.iter_mut().zip(&self.0).enumerate() {
                    *sum -= counts.probability(&song, at, song[at][part]).ln();
                }
            }
        }
        sums.map(|sum| sum / notes.max(1) as f64)
    }
}

/// A note's bins, in the order in which they are predicted.
type Bins = [u8; PARTS];

fn bins_of(song: &Song) -> Vec<Bins> {
    song.notes.iter().map(bins).collect()
}

/// Counts for one part of a note.
#[derive(Clone, Debug)]
struct Counts {
    part: usize,
    context: Vec<Field>,
    /// Counts for the empty context, the first field, the first two fields and so on.
    lengths: Vec<Table>,
}

/// Counts for contexts of one length.
#[derive(Clone, Debug, Default)]
struct Table {
    /// Number of times that a bin followed a context.
    counts: HashMap<(u64, u8), u32>,
    /// For each context, the number of notes that followed it and of their different bins.
    totals: HashMap<u64, (u32, u32)>,
}

impl Counts {
    fn of(songs: &[Vec<Bins>], part: usize, context: &[Field]) -> Self {
        let known = context.iter().filter(|field| field.back > 0 || field.part < part);
        let context: Vec<Field> = known.take(MAX_FIELDS).copied().collect();
        let mut lengths = vec![Table::default(); context.len() + 1];
        for song in songs {
            for (at, note) in song.iter().enumerate() {
                for (table, key) in lengths.iter_mut().zip(keys(&context, song, at)) {
                    let count = table.counts.entry((key, note[part])).or_default();
                    let (total, kinds) = table.totals.entry(key).or_default();
                    *kinds += u32::from(*count == 0);
                    *count += 1;
                    *total += 1;
                }
            }
        }
        Self { part, context, lengths }
    }

    /// Probability of a bin for this part of a note of a song.
    fn probability(&self, song: &[Bins], at: usize, bin: u8) -> f64 {
        let mut probability = 1.0 / CHOICES[self.part] as f64;
        for (table, key) in self.lengths.iter().zip(keys(&self.context, song, at)) {
            // An unseen context has no longer context that was seen.
            let Some(&(total, kinds)) = table.totals.get(&key) else { break };
            let count = table.counts.get(&(key, bin)).copied().unwrap_or(0);
            probability =
                (f64::from(count) + f64::from(kinds) * probability) / f64::from(total + kinds);
        }
        probability
    }
}

/// The contexts of a note, from the empty one to the longest.
fn keys(context: &[Field], song: &[Bins], at: usize) -> impl Iterator<Item = u64> {
    let bins = context.iter().map(move |field| {
        at.checked_sub(field.back).map_or(BEFORE, |place| field.of(&song[place]))
    });
    let longer = bins.scan(0, |key, bin| {
        *key = *key << 8 | u64::from(bin);
        Some(*key)
    });
    std::iter::once(0).chain(longer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pianola_runtime::Note;
    use proptest::prelude::*;

    fn song(notes: impl IntoIterator<Item = (u8, u8, f32, f32)>) -> Song {
        let note = |(pitch, velocity, step, duration)| Note { pitch, velocity, step, duration };
        Song { name: String::new(), notes: notes.into_iter().map(note).collect() }
    }

    #[test]
    fn counts_are_those_made_by_hand() {
        let heard = song([60, 60, 62].map(|pitch| (pitch, 80, 0.0, 1.0)));
        let close = |of: [f64; PARTS], part: usize, probabilities: &[f64]| {
            let mean = probabilities.iter().map(|p| -p.ln()).sum::<f64>();
            let mean = mean / probabilities.len() as f64;
            assert!((of[part] - mean).abs() < 1e-12, "{} is not {mean}", of[part]);
        };
        // Three notes, two kinds.
        let [of_60, of_62, of_64] = [2.0, 1.0, 0.0].map(|count| (count + 2.0 / 128.0) / 5.0);
        let unigram = Baseline::unigram(&[&heard]);
        close(unigram.nll(&[&heard]), PITCH, &[of_60, of_60, of_62]);
        close(unigram.nll(&[&heard]), VELOCITY, &[(3.0 + 1.0 / 32.0) / 4.0]);
        // At the start, 60 follows; after 60, two notes follow; after 64, none.
        let context = [field(1, PITCH, 0)];
        let bigram = Baseline::with_contexts(&[&heard], [&[], &context, &[], &[]]);
        let other = song([60, 62, 64, 64].map(|pitch| (pitch, 80, 0.0, 1.0)));
        let first = (1.0 + of_60) / 2.0;
        let second = (1.0 + 2.0 * of_62) / 4.0;
        close(bigram.nll(&[&other]), PITCH, &[first, second, of_64, of_64]);
        // The mean is over notes, not over songs.
        let (one, many) = (song([(60, 80, 0.0, 1.0)]), bigram.nll(&[&other])[PITCH]);
        let mean = (-first.ln() + 4.0 * many) / 5.0;
        assert!((bigram.nll(&[&one, &other])[PITCH] - mean).abs() < 1e-12);
        assert_eq!(bigram.nll(&[]), [0.0; PARTS]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn probabilities_add_up_to_1(
            notes in proptest::collection::vec((58u8..64, 60u8..70, 0f32..0.1, 0f32..0.2), 1..40)
        ) {
            let song = song(notes);
            let bins = bins_of(&song);
            for baseline in [Baseline::unigram(&[&song]), Baseline::fit(&[&song])] {
                for (counts, size) in baseline.0.iter().zip(CHOICES) {
                    for at in 0..bins.len() {
                        let of = |bin| counts.probability(&bins, at, bin);
                        let sum: f64 = (0..size as u8).map(of).sum();
                        prop_assert!((sum - 1.0).abs() < 1e-12, "{sum}");
                    }
                }
            }
        }
    }
}
