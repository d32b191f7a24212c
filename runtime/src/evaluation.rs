//! The report's way to measure a model: its loss on real music and how its own music is
//! distributed.

use std::fmt;

use serde_json::{Value, json};

use crate::corpus::SEGMENT;
use crate::measures::{Binning, NoteHistograms};
use crate::{
    Generator, MAX_HIDDEN, MAX_LAYERS, Model, ModelError, Network, Note, PITCHES, Sampling,
};

/// Pieces sampled for the divergences.
pub const PIECES: u64 = 50;

/// Notes in each of them.
pub const PIECE_NOTES: usize = 100;

/// Temperature at which they are sampled.
pub const TEMPERATURE: f32 = 0.8;

/// Sums of the report's loss over notes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossSum {
    /// Sums of the cross-entropy of the pitch (nats), and of the squared errors of step and
    /// duration (s²).
    pub sums: [f64; 3],
    /// Notes summed over.
    pub notes: usize,
}

impl LossSum {
    /// Predicts each note of some segments from those before it, starting from BOS; together, so
    /// that they share each weight that is fetched.
    ///
    /// # Errors
    /// None: every model that can be read fits.
    pub fn of_segments(
        model: &Model,
        segments: &[&[Note; SEGMENT]],
    ) -> Result<Vec<Self>, ModelError> {
        let start = Network::<MAX_LAYERS, MAX_HIDDEN>::new(model)?;
        let mut networks = vec![start; segments.len()];
        let mut losses = vec![Self::default(); segments.len()];
        for at in 0..SEGMENT {
            let notes: Vec<Note> = segments.iter().map(|segment| segment[at]).collect();
            for ((loss, network), note) in losses.iter_mut().zip(&networks).zip(&notes) {
                let prediction = network.predict();
                let squared = |predicted: f32, target: f32| f64::from(predicted - target).powi(2);
                *loss = loss.plus(Self {
                    sums: [
                        cross_entropy(&prediction.pitch, note.pitch),
                        squared(prediction.step, note.step),
                        squared(prediction.duration, note.duration),
                    ],
                    notes: 1,
                });
            }
            Network::hear_together(&mut networks, &notes);
        }
        Ok(losses)
    }

    /// Sums over both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sums = std::array::from_fn(|part| self.sums[part] + other.sums[part]);
        Self { sums, notes: self.notes + other.notes }
    }

    /// Means per note: pitch, step and duration.
    pub fn mean(&self) -> [f64; 3] {
        self.sums.map(|sum| sum / self.notes.max(1) as f64)
    }
}

fn cross_entropy(logits: &[f32; PITCHES], pitch: u8) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - top).exp()).sum();
    sum.ln() - f64::from(logits[usize::from(pitch)] - top)
}

/// The notes of the [`PIECES`] pieces sampled for the divergences, one piece after the other.
///
/// # Errors
/// None: every model that can be read fits.
pub fn sample_pieces(model: &Model) -> Result<Vec<Note>, ModelError> {
    let mut generators = (0..PIECES)
        .map(|piece| Generator::<MAX_LAYERS, MAX_HIDDEN>::new(model, piece))
        .collect::<Result<Vec<_>, _>>()?;
    let sampling = Sampling { temperature: TEMPERATURE, ..Sampling::default() };
    let silence = Note { pitch: 0, velocity: 0, step: 0.0, duration: 0.0 };
    let mut together = vec![vec![silence; generators.len()]; PIECE_NOTES];
    for notes in &mut together {
        Generator::next_notes(&mut generators, &sampling, notes);
    }
    let pieces = (0..generators.len()).flat_map(|piece| together.iter().map(move |n| n[piece]));
    Ok(pieces.collect())
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

    /// As JSON: `{"published": {"pitch": …, "step": …, "duration": …}, "corrected": …, "fine": …}`.
    pub fn to_json(&self) -> Value {
        let parts = self.0.iter().map(|&(binning, [pitch, step, duration])| {
            let divergence = json!({"pitch": pitch, "step": step, "duration": duration});
            (binning.name().to_string(), divergence)
        });
        Value::Object(parts.collect())
    }
}

/// A model's figures on one set of a corpus.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The model file.
    pub model: String,
    /// Segments the loss was taken over.
    pub segments: usize,
    /// Notes the loss was taken over.
    pub notes: usize,
    /// Mean loss per note: pitch (nats), step and duration (s²).
    pub loss: [f64; 3],
    /// Divergences between the model's samples and the set.
    pub divergences: Divergences,
}

impl Evaluation {
    /// As JSON, with the loss's total beside its parts.
    pub fn to_json(&self) -> Value {
        json!({
            "model": self.model,
            "segments": self.segments,
            "notes": self.notes,
            "loss": loss_to_json(self.loss),
            "jsd": self.divergences.to_json(),
        })
    }
}

/// The three parts of a loss and their total as JSON.
pub fn loss_to_json(loss: [f64; 3]) -> Value {
    let [pitch, step, duration] = loss;
    json!({"total": loss.iter().sum::<f64>(), "pitch": pitch, "step": step, "duration": duration})
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [pitch, step, duration] = self.loss;
        writeln!(f, "{}: {} segments, {} notes", self.model, self.segments, self.notes)?;
        writeln!(f, "{:24}{:>10}{:>10}{:>10}{:>10}", "", "total", "pitch", "step", "duration")?;
        let total = pitch + step + duration;
        writeln!(f, "{:24}{total:>10.4}{pitch:>10.4}{step:>10.4}{duration:>10.4}", "loss")?;
        for (binning, [pitch, step, duration]) in &self.divergences.0 {
            let name = format!("divergence, {}", binning.name());
            writeln!(f, "{name:34}{pitch:>10.4}{step:>10.4}{duration:>10.4}")?;
        }
        Ok(())
    }
}
