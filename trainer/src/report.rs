//! The report's network in libtorch, and its training data: segments of 64 notes.

use pianola_host::corpus::{SEGMENT, shuffle};
use pianola_runtime::{BOS, Note};
use rand_pcg::Pcg32;
use tch::{Device, Kind, Tensor};

use crate::augmentation::Augmentation;
use crate::network::{Dropout, Network, State};
use crate::training_data::TrainingData;

/// A segment: the unit of training and of loss.
pub type Segment = [Note; SEGMENT];

/// Outputs of the heads after each note, time-major.
pub struct Prediction {
    /// Unnormalised log-probabilities of the next pitch, `[time, batch, pitches]`.
    pub pitch: Tensor,
    /// Seconds to the next onset, `[time, batch]`.
    pub step: Tensor,
    /// Seconds until the next note's release, `[time, batch]`.
    pub duration: Tensor,
    /// The state after the last note.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests hold it against the runtime's"))]
    pub state: State,
}

/// Runs the network over `[time, batch]` pitches and `[time, batch, 2]` steps and durations, from a
/// zero state.
pub fn forward(network: &Network, pitch: &Tensor, times: &Tensor, dropout: Dropout) -> Prediction {
    // A one-hot times a matrix is a column of it.
    let table = network.parameter("pitch_embedding_layer.weight").transpose(0, 1);
    let embedded = Tensor::embedding(&table, pitch, -1, false, false);
    let input = Tensor::cat(&[embedded, times.to_kind(network.compute)], 2);
    let start = network.start(pitch.size()[1] as usize);
    let (top, state) = network.lstm(&input, &start, dropout);
    let say = |layer, input: &Tensor| network.dense(layer, input);
    let pitch = say("decoder_pitch2", &say("decoder_pitch1", &top).relu());
    let [step, duration] =
        ["decoder_step", "decoder_duration"].map(|layer| say(layer, &top).squeeze_dim(2));
    let float = |output: Tensor| output.to_kind(Kind::Float);
    Prediction { pitch: float(pitch), step: float(step), duration: float(duration), state }
}

/// The report's loss and its parts, as scalars on the device.
pub struct Loss {
    /// Cross-entropy of the pitch, in nats.
    pub pitch: Tensor,
    /// Mean squared error of the step, in s².
    pub step: Tensor,
    /// Mean squared error of the duration, in s².
    pub duration: Tensor,
}

impl Loss {
    /// Means over all notes of a batch.
    pub fn of(prediction: &Prediction, pitch: &Tensor, times: &Tensor) -> Self {
        let pitches = prediction.pitch.size()[2];
        let squared = |predicted: &Tensor, column| {
            predicted.mse_loss(&times.select(2, column), tch::Reduction::Mean)
        };
        Self {
            pitch: prediction.pitch.view([-1, pitches]).cross_entropy_for_logits(&pitch.view(-1)),
            step: squared(&prediction.step, 0),
            duration: squared(&prediction.duration, 1),
        }
    }

    /// Pitch, step and duration, read back to the host.
    pub fn parts(&self) -> [f64; 3] {
        [&self.pitch, &self.step, &self.duration].map(|part| part.double_value(&[]))
    }
}

/// Training and validation segments; training segments in random order, augmented.
pub struct Segments<'s> {
    /// Training segments.
    pub training: Vec<&'s Segment>,
    /// Validation segments.
    pub validation: Vec<Segment>,
    /// Segments per update.
    pub batch: usize,
    /// Transposition and tempo.
    pub augmentation: Augmentation,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Segments of this epoch, and the index of its next batch.
    place: (Vec<Segment>, usize),
}

impl<'s> Segments<'s> {
    /// Training and validation data from segments.
    pub fn new(
        training: Vec<&'s Segment>,
        validation: Vec<Segment>,
        batch: usize,
        augmentation: Augmentation,
        seed: u64,
    ) -> Self {
        Self { training, validation, batch, augmentation, seed, place: (Vec::new(), 0) }
    }
}

impl TrainingData for Segments<'_> {
    fn parts(&self) -> &'static [&'static str] {
        &["pitch", "step", "duration"]
    }

    fn updates(&self) -> usize {
        self.training.len().div_ceil(self.batch)
    }

    fn seek(&mut self, epoch: usize, batch: usize) {
        let mut rng = Pcg32::new(self.seed, epoch as u64);
        let mut order: Vec<usize> = (0..self.training.len()).collect();
        shuffle(&mut order, &mut rng);
        let augmented = order.into_iter().map(|index| {
            let mut segment = *self.training[index];
            self.augmentation.apply(&mut segment, &mut rng);
            segment
        });
        self.place = (augmented.collect(), batch);
    }

    fn losses(&mut self, network: &Network, dropout: Dropout) -> Vec<Tensor> {
        let (segments, at) = &mut self.place;
        let segments = segments.chunks(self.batch).nth(*at).unwrap_or_default();
        *at += 1;
        let batch = Batch::new(segments, network.device);
        let prediction = forward(network, &batch.pitch_in, &batch.times_in, dropout);
        let Loss { pitch, step, duration } =
            Loss::of(&prediction, &batch.pitch_out, &batch.times_out);
        vec![pitch, step, duration]
    }

    fn validate(&self, network: &Network) -> Vec<f64> {
        evaluate(network, &self.validation, self.batch).to_vec()
    }

    fn carried(&self) -> Option<&State> {
        None
    }

    fn carry(&mut self, _: State) {}
}

/// Mean losses (pitch, step, duration) over segments.
pub fn evaluate(network: &Network, segments: &[Segment], batch: usize) -> [f64; 3] {
    let mut sum = [0.0; 3];
    tch::no_grad(|| {
        for chunk in segments.chunks(batch) {
            let batch = Batch::new(chunk, network.device);
            let prediction = forward(network, &batch.pitch_in, &batch.times_in, Dropout::NONE);
            let losses = Loss::of(&prediction, &batch.pitch_out, &batch.times_out).parts();
            for (sum, loss) in sum.iter_mut().zip(losses) {
                *sum += loss * chunk.len() as f64;
            }
        }
    });
    sum.map(|sum| sum / segments.len() as f64)
}
/// Inputs and targets of a batch, time-major.
pub struct Batch {
    /// Input pitches, `[time, batch]`: BOS and all notes but the last.
    pub pitch_in: Tensor,
    /// Input steps and durations, `[time, batch, 2]`.
    pub times_in: Tensor,
    /// Pitches to predict, `[time, batch]`.
    pub pitch_out: Tensor,
    /// Steps and durations to predict, `[time, batch, 2]`.
    pub times_out: Tensor,
}

impl Batch {
    /// Stacks segments into a batch on the device.
    pub fn new(segments: &[Segment], device: Device) -> Self {
        let (length, width) = (SEGMENT, segments.len());
        // One step longer than the segments: inputs are all but the last, targets all but BOS.
        let mut pitch = vec![i64::from(BOS); (length + 1) * width];
        let mut times = vec![0f32; (length + 1) * width * 2];
        for (column, segment) in segments.iter().enumerate() {
            for (row, note) in segment.iter().enumerate() {
                let at = (row + 1) * width + column;
                pitch[at] = i64::from(note.pitch);
                times[2 * at] = note.step;
                times[2 * at + 1] = note.duration;
            }
        }
        let (length, width) = (length as i64, width as i64);
        let pitch = Tensor::from_slice(&pitch).view([length + 1, width]).to_device(device);
        let times = Tensor::from_slice(&times).view([length + 1, width, 2]).to_device(device);
        Self {
            pitch_in: pitch.narrow(0, 0, length),
            times_in: times.narrow(0, 0, length),
            pitch_out: pitch.narrow(0, 1, length).contiguous(),
            times_out: times.narrow(0, 1, length),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pianola_host::export::pack;
    use pianola_host::export::weights::Shape;
    use pianola_runtime::history::PartialNote;
    use pianola_runtime::{Hands, Model, Network as RuntimeNetwork, Precision};

    use super::*;
    use crate::network::values;

    const STEPS: usize = 96;

    fn largest_difference(ours: &[f32], theirs: &Tensor) -> f32 {
        let theirs = values(theirs);
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(theirs).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    /// The runtime's float path and libtorch agree over many steps, at the report's size.
    #[test]
    fn the_runtime_agrees_with_libtorch() {
        tch::manual_seed(1);
        let network = Network::new(Shape::REPORT, Device::Cpu);
        let notes: Vec<Note> = (0..STEPS)
            .map(|i| Note {
                pitch: 40 + (i * 7 % 48) as u8,
                velocity: 80,
                step: 0.11 * (i % 5) as f32,
                duration: 0.07 * (1 + i % 9) as f32,
            })
            .collect();
        let packed = pack(&network.to_weights(String::new()).unwrap(), Precision::Float).unwrap();
        let model = Model::from_bytes(&packed.bytes).unwrap();
        let mut ours: RuntimeNetwork = RuntimeNetwork::new(&model, Hands::Both).unwrap();

        let mut pitch = vec![i64::from(pianola_runtime::BOS)];
        let mut times = vec![0.0, 0.0];
        for note in &notes {
            pitch.push(i64::from(note.pitch));
            times.extend([note.step, note.duration]);
        }
        let length = pitch.len() as i64;
        let pitch = Tensor::from_slice(&pitch).view([length, 1]);
        let times = Tensor::from_slice(&times).view([length, 1, 2]);
        let theirs = tch::no_grad(|| forward(&network, &pitch, &times, Dropout::NONE));

        let mut worst = 0f32;
        for step in 0..=STEPS {
            let [says_step, says_pitch, says_duration, _] =
                PartialNote::of(&notes[0]).map(|known| ours.predict(known));
            let at = step as i64;
            worst = worst
                .max(largest_difference(says_pitch.values(), &theirs.pitch.get(at)))
                .max(largest_difference(says_step.values(), &theirs.step.get(at)))
                .max(largest_difference(says_duration.values(), &theirs.duration.get(at)));
            if let Some(note) = notes.get(step) {
                ours.observe(note);
            }
        }
        for layer in 0..3 {
            let (hidden, cell) = ours.state(layer).unwrap();
            worst = worst
                .max(largest_difference(hidden, &theirs.state.hidden.get(layer as i64)))
                .max(largest_difference(cell, &theirs.state.cell.get(layer as i64)));
        }
        println!("largest difference over {STEPS} notes: {worst:e}");
        assert!(worst < 1e-4, "{worst}");
    }
}
