//! Evaluates a model: its loss on real music, and the distributions of its samples.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::corpus::SEGMENT;
use crate::statistics::histograms::{Binning, NoteHistograms};
use crate::text::count;
use pianola_runtime::history::PartialNote;
use pianola_runtime::vocabulary::{Hands, bins};
use pianola_runtime::{
    Generator, MAX_HIDDEN, MAX_LAYERS, Model, ModelError, Network, Note, Prediction, Sampling,
};

/// Pieces sampled for the divergences.
pub const PIECES: u64 = 50;

/// Notes in each of them.
pub const PIECE_NOTES: usize = 100;

/// Temperature at which they are sampled.
pub const TEMPERATURE: f32 = 0.8;

/// Sums over notes of the parts of a loss.
#[derive(Clone, Copy, Debug)]
pub struct Sums<const N: usize> {
    /// A sum for each part.
    pub sums: [f64; N],
    /// Notes summed over.
    pub notes: usize,
}

/// The report's loss, for models with time regression: the cross-entropy of the pitch (nats), and the
/// squared errors of step and duration (s²).
pub type LossSum = Sums<3>;

/// The negative log-likelihoods of notes, for models that predict distributions of all parts: in nats, in the
/// order of [`PARTS`](pianola_runtime::vocabulary::PARTS).
pub type Nll = Sums<4>;

impl<const N: usize> Default for Sums<N> {
    fn default() -> Self {
        Self { sums: [0.0; N], notes: 0 }
    }
}

impl<const N: usize> Sums<N> {
    /// Sums over both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sums = std::array::from_fn(|part| self.sums[part] + other.sums[part]);
        Self { sums, notes: self.notes + other.notes }
    }

    /// Means per note.
    pub fn mean(&self) -> [f64; N] {
        self.sums.map(|sum| sum / self.notes.max(1) as f64)
    }
}

impl LossSum {
    /// Predicts each note of some segments from those before it, starting from BOS, as a batch: each
    /// weight is fetched once for all.
    ///
    /// # Errors
    /// As [`Network::from_model`].
    pub fn of_segments(
        model: &Model,
        segments: &[&[Note; SEGMENT]],
    ) -> Result<Vec<Self>, ModelError> {
        let start = Network::<MAX_LAYERS, MAX_HIDDEN>::from_model(model, Hands::Both)?;
        let mut networks = vec![start; segments.len()];
        let mut losses = vec![Self::default(); segments.len()];
        for at in 0..SEGMENT {
            let notes: Vec<Note> = segments.iter().map(|segment| segment[at]).collect();
            for ((loss, network), note) in losses.iter_mut().zip(&networks).zip(&notes) {
                let squared = |known, target: f32| match network.predict(known) {
                    Prediction::Seconds(seconds) => f64::from(seconds - target).powi(2),
                    _ => f64::NAN,
                };
                let pitch = match network.predict(PartialNote::Step(note.step)) {
                    Prediction::Choice(logits) => cross_entropy(&logits, note.pitch),
                    _ => f64::NAN,
                };
                let known = PartialNote::Pitch(note.step, note.pitch);
                let sums =
                    [pitch, squared(PartialNote::Empty, note.step), squared(known, note.duration)];
                *loss = loss.plus(Self { sums, notes: 1 });
            }
            Network::observe_batch(&mut networks, &notes);
        }
        Ok(losses)
    }
}

/// Negative log-probability of a choice, in nats.
fn cross_entropy(logits: &[f32], chosen: u8) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - top).exp()).sum();
    sum.ln() - f64::from(logits[usize::from(chosen)] - top)
}

/// A song to score.
#[derive(Clone, Copy, Debug)]
pub struct ScoredSong<'s> {
    /// Its notes.
    pub notes: &'s [Note],
    /// The hands whose notes these are.
    pub hands: Hands,
    /// A mark for each note, or for the first ones only: marked notes are also summed separately.
    pub marks: &'s [bool],
}

impl Nll {
    /// Predicts the notes of some songs, each from its start, as a batch: each weight is fetched once for
    /// all. Returns the sums over all notes of all songs, and over those that are marked.
    ///
    /// # Errors
    /// As [`Network::from_model`].
    pub fn of_songs(model: &Model, songs: &[ScoredSong]) -> Result<[Self; 2], ModelError> {
        let mut songs = songs.to_vec();
        let start = Network::<MAX_LAYERS, MAX_HIDDEN>::from_model(model, Hands::Both)?;
        let mut networks = vec![start; songs.len()];
        for (network, song) in networks.iter_mut().zip(&songs) {
            network.restart(song.hands);
        }
        let mut sums = [Self::default(); 2];
        let mut at = 0;
        loop {
            for index in (0..songs.len()).rev() {
                if songs[index].notes.len() <= at {
                    songs.swap_remove(index);
                    networks.swap_remove(index);
                }
            }
            if songs.is_empty() {
                return Ok(sums);
            }
            let notes: Vec<Note> = songs.iter().map(|song| song.notes[at]).collect();
            for ((network, note), song) in networks.iter().zip(&notes).zip(&songs) {
                let nll = Self { sums: Self::of_note(network, note), notes: 1 };
                sums[0] = sums[0].plus(nll);
                if song.marks.get(at) == Some(&true) {
                    sums[1] = sums[1].plus(nll);
                }
            }
            Network::observe_batch(&mut networks, &notes);
            at += 1;
        }
    }

    /// The loss of a single note; NaN where the model predicts nothing.
    fn of_note<const L: usize, const H: usize>(network: &Network<L, H>, note: &Note) -> [f64; 4] {
        let known = PartialNote::of(note);
        let bins = bins(note);
        std::array::from_fn(|part| match network.predict(known[part]) {
            Prediction::Choice(logits) => cross_entropy(&logits, bins[part]),
            _ => f64::NAN,
        })
    }
}

/// The parts of a loss and their total.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossByPart {
    /// Each part, by its name.
    #[serde(flatten)]
    pub parts: BTreeMap<&'static str, f64>,
    /// Their sum.
    pub total: f64,
}

impl LossByPart {
    /// Names the parts of a loss.
    pub fn new(parts: &[&'static str], loss: &[f64]) -> Self {
        let total = loss.iter().sum();
        Self { parts: parts.iter().copied().zip(loss.iter().copied()).collect(), total }
    }
}

/// The notes of some of the [`PIECES`] pieces sampled for the report's divergences, one piece after the other:
/// at its [`TEMPERATURE`]. Their seeds are their numbers.
///
/// # Errors
/// As [`Network::from_model`].
pub fn sample_pieces(model: &Model, pieces: Range<u64>) -> Result<Vec<Note>, ModelError> {
    let seeds: Vec<u64> = pieces.collect();
    let pieces = compose(model, &seeds, PIECE_NOTES, &Sampling::with_temperature(TEMPERATURE))?;
    Ok(pieces.concat())
}

/// Pieces from scratch, one for each seed, generated as a batch.
///
/// # Errors
/// As [`Network::from_model`].
pub fn compose(
    model: &Model,
    seeds: &[u64],
    notes: usize,
    sampling: &Sampling,
) -> Result<Vec<Vec<Note>>, ModelError> {
    let mut generators = seeds
        .iter()
        .map(|&seed| Generator::<MAX_LAYERS, MAX_HIDDEN>::from_model(model, seed))
        .collect::<Result<Vec<_>, _>>()?;
    let silence = Note { pitch: 0, velocity: 0, step: 0.0, duration: 0.0 };
    let mut next = vec![silence; seeds.len()];
    let mut pieces = vec![Vec::with_capacity(notes); seeds.len()];
    for _ in 0..notes {
        Generator::next_notes(&mut generators, sampling, &mut next);
        pieces.iter_mut().zip(&next).for_each(|(piece, note)| piece.push(*note));
    }
    Ok(pieces)
}

/// Jensen–Shannon divergences between sampled and real notes.
#[derive(Clone, Debug)]
pub struct Divergences(Vec<(Binning, [f64; 3])>);

impl Divergences {
    /// Measures under every binning.
    pub fn between<'a>(
        sampled: impl IntoIterator<Item = &'a Note> + Clone,
        real: impl IntoIterator<Item = &'a Note> + Clone,
    ) -> Self {
        let measure = |binning| {
            let sampled = NoteHistograms::count(binning, sampled.clone());
            (binning, sampled.divergence(&NoteHistograms::count(binning, real.clone())))
        };
        Self(Binning::ALL.into_iter().map(measure).collect())
    }

    /// Combines each divergence of several sets into one number, such as their mean.
    pub fn summary(sets: &[Self], number: impl Fn(&[f64]) -> f64) -> Self {
        let summary = |(at, binning): (usize, Binning)| {
            let parts = std::array::from_fn(|part| {
                let each: Vec<f64> = sets.iter().map(|Self(set)| set[at].1[part]).collect();
                number(&each)
            });
            (binning, parts)
        };
        Self(Binning::ALL.into_iter().enumerate().map(summary).collect())
    }

    /// By binning.
    pub fn by_binning(&self) -> BTreeMap<&'static str, Divergence> {
        let named = |&(binning, [pitch, step, duration]): &(Binning, [f64; 3])| {
            (binning.name(), Divergence { pitch, step, duration })
        };
        self.0.iter().map(named).collect()
    }
}

/// Jensen-Shannon divergences under one binning, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Divergence {
    /// Of pitches.
    pub pitch: f64,
    /// Of inter-onset intervals.
    pub step: f64,
    /// Of durations.
    pub duration: f64,
}

/// As a map from the binning's name to its [`Divergence`].
impl Serialize for Divergences {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_binning().serialize(serializer)
    }
}

/// A model's results on one set of a corpus.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The model file.
    pub model: String,
    /// Segments the loss was taken over.
    pub segments: usize,
    /// Notes the loss was taken over.
    pub notes: usize,
    /// Mean loss per note: pitch (nats), step and duration (s²).
    #[serde(serialize_with = "with_total")]
    pub loss: [f64; 3],
    /// Divergences between the model's samples and the set.
    #[serde(rename = "jsd")]
    pub divergences: Divergences,
}

/// The report's loss, with its total beside its parts.
fn with_total<S: Serializer>(loss: &[f64; 3], serializer: S) -> Result<S::Ok, S::Error> {
    LossByPart::new(&["pitch", "step", "duration"], loss).serialize(serializer)
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [pitch, step, duration] = self.loss;
        writeln!(
            f,
            "{}: {}, {}",
            self.model,
            count(self.segments, "segment"),
            count(self.notes, "note")
        )?;
        writeln!(f, "{:34}{:>10}{:>10}{:>10}{:>10}", "", "total", "pitch", "step", "duration")?;
        let total = pitch + step + duration;
        writeln!(f, "{:34}{total:>10.4}{pitch:>10.4}{step:>10.4}{duration:>10.4}", "loss")?;
        write!(f, "\n{}", self.divergences)
    }
}

impl fmt::Display for Divergences {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{:34}{:>10}{:>10}{:>10}", "", "pitch", "step", "duration")?;
        for (binning, [pitch, step, duration]) in &self.0 {
            let name = format!("divergence, {}", binning.name());
            writeln!(f, "{name:34}{pitch:>10.4}{step:>10.4}{duration:>10.4}")?;
        }
        Ok(())
    }
}
