//! The report's network in libtorch: embedding, LSTM and three heads.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use pianola_runtime::weights::{FloatWeights, Shape};
use tch::{Device, Kind, Tensor};

/// Parameters by their PyTorch state-dict names, and the forward pass over them.
pub struct Network {
    /// Sizes of the network.
    pub shape: Shape,
    parameters: BTreeMap<String, Tensor>,
    device: Device,
}

/// What the heads say after each note, time-major.
pub struct Prediction {
    /// Unnormalised log-probabilities of the next pitch, `[time, batch, pitches]`.
    pub pitch: Tensor,
    /// Seconds to the next onset, `[time, batch]`.
    pub step: Tensor,
    /// Seconds until the next note's release, `[time, batch]`.
    pub duration: Tensor,
    /// Hidden and cell state after the last note, `[layers, batch, hidden]` each.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests hold it against the runtime's"))]
    pub state: (Tensor, Tensor),
}

impl Network {
    /// A network with random weights from libtorch's seeded generator.
    ///
    /// PyTorch's default (uniform in ±1/√fan-in for dense layers and ±1/√hidden for the LSTM) but
    /// for two places, which take a third off the epochs to a given loss: the embedding has unit
    /// variance, as `torch.nn.Embedding`, since the default for a dense layer leaves pitches almost
    /// alike; and forget gates start open, with a bias of 1 (Jozefowicz et al., 2015).
    pub fn new(shape: Shape, device: Device) -> Self {
        let parameters = shape
            .tensors()
            .into_iter()
            .map(|(name, size)| {
                let size: Vec<i64> = size.iter().map(|&n| n as i64).collect();
                let options = (Kind::Float, Device::Cpu);
                let value = if name == "pitch_embedding_layer.weight" {
                    Tensor::randn(size.as_slice(), options)
                } else {
                    let unit = Tensor::rand(size.as_slice(), options);
                    (unit * 2.0 - 1.0) / (shape.fan_in(&name) as f64).sqrt()
                };
                if name.starts_with("rnn.bias_ih") {
                    let hidden = shape.hidden as i64;
                    let _ = value.narrow(0, hidden, hidden).g_add_scalar_(1.0);
                }
                (name, value.to_device(device).set_requires_grad(true))
            })
            .collect();
        Self { shape, parameters, device }
    }

    /// A network with the weights of a float file.
    pub fn from_weights(weights: &FloatWeights, device: Device) -> Self {
        let parameters = weights
            .tensors
            .iter()
            .map(|(name, array)| {
                let size: Vec<i64> = array.shape().iter().map(|&n| n as i64).collect();
                let values: Vec<f32> = array.iter().copied().collect();
                let value = Tensor::from_slice(&values).view(size.as_slice()).to_device(device);
                (name.clone(), value.set_requires_grad(true))
            })
            .collect();
        Self { shape: weights.shape, parameters, device }
    }

    /// The weights as they are now.
    pub fn to_weights(&self, provenance: String) -> anyhow::Result<FloatWeights> {
        let tensors = self
            .parameters
            .iter()
            .map(|(name, tensor)| {
                let size: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
                Ok((name.clone(), ArrayD::from_shape_vec(size, values(tensor))?))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(FloatWeights { shape: self.shape, tensors, provenance })
    }

    /// Parameters in the order of their names.
    pub fn parameters(&self) -> &BTreeMap<String, Tensor> {
        &self.parameters
    }

    fn parameter(&self, name: &str) -> &Tensor {
        &self.parameters[name]
    }

    fn dense(&self, layer: &str, input: &Tensor) -> Tensor {
        let weight = self.parameter(&format!("{layer}.weight"));
        let bias = self.parameter(&format!("{layer}.bias"));
        input.linear(weight, Some(bias))
    }

    /// Runs the network over `[time, batch]` pitches and `[time, batch, 2]` steps and durations,
    /// from a zero state. `dropout` above 0 drops between LSTM layers and before the heads.
    pub fn forward(&self, pitch: &Tensor, times: &Tensor, dropout: f64) -> Prediction {
        // A one-hot times a matrix is a column of it.
        let table = self.parameter("pitch_embedding_layer.weight").transpose(0, 1);
        let embedded = Tensor::embedding(&table, pitch, -1, false, false);
        let input = Tensor::cat(&[embedded, times.shallow_clone()], 2);

        let (layers, hidden) = (self.shape.layers as i64, self.shape.hidden as i64);
        let state = Tensor::zeros([layers, pitch.size()[1], hidden], (Kind::Float, self.device));
        let parameters: Vec<&Tensor> = (0..layers)
            .flat_map(|layer| {
                ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                    .map(|name| self.parameter(&format!("rnn.{name}_l{layer}")))
            })
            .collect();
        let training = dropout > 0.0;
        let (top, last_hidden, last_cell) = input.lstm(
            &[&state, &state],
            &parameters,
            true,
            layers,
            dropout,
            training,
            false,
            false,
        );
        let top = top.dropout(dropout, training);

        Prediction {
            pitch: self.dense("decoder_pitch2", &self.dense("decoder_pitch1", &top).relu()),
            step: self.dense("decoder_step", &top).squeeze_dim(2),
            duration: self.dense("decoder_duration", &top).squeeze_dim(2),
            state: (last_hidden, last_cell),
        }
    }
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

    /// The three parts added up, unweighted.
    pub fn total(&self) -> Tensor {
        &self.pitch + &self.step + &self.duration
    }

    /// Pitch, step and duration, read back to the host.
    pub fn parts(&self) -> [f64; 3] {
        [&self.pitch, &self.step, &self.duration].map(|part| part.double_value(&[]))
    }
}

/// The values of a tensor, on the host.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).contiguous().view(-1);
    let mut values = vec![0f32; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pianola_runtime::export::pack;
    use pianola_runtime::{Model, Network as RuntimeNetwork, Note, Precision};

    use super::*;

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
        let mut ours: RuntimeNetwork = RuntimeNetwork::new(&model).unwrap();

        let mut pitch = vec![i64::from(pianola_runtime::BOS)];
        let mut times = vec![0.0, 0.0];
        for note in &notes {
            pitch.push(i64::from(note.pitch));
            times.extend([note.step, note.duration]);
        }
        let length = pitch.len() as i64;
        let pitch = Tensor::from_slice(&pitch).view([length, 1]);
        let times = Tensor::from_slice(&times).view([length, 1, 2]);
        let theirs = tch::no_grad(|| network.forward(&pitch, &times, 0.0));

        let mut worst = 0f32;
        for step in 0..=STEPS {
            let prediction = ours.predict();
            let at = step as i64;
            worst = worst
                .max(largest_difference(&prediction.pitch, &theirs.pitch.get(at)))
                .max(largest_difference(&[prediction.step], &theirs.step.get(at)))
                .max(largest_difference(&[prediction.duration], &theirs.duration.get(at)));
            if let Some(note) = notes.get(step) {
                ours.hear(note);
            }
        }
        for layer in 0..3 {
            let (hidden, cell) = ours.state(layer).unwrap();
            worst = worst
                .max(largest_difference(hidden, &theirs.state.0.get(layer as i64)))
                .max(largest_difference(cell, &theirs.state.1.get(layer as i64)));
        }
        println!("largest difference over {STEPS} notes: {worst:e}");
        assert!(worst < 1e-4, "{worst}");
    }

    /// A gradient step of the hand-written AdamW is libtorch's.
    #[test]
    fn adamw_agrees_with_libtorch() {
        use tch::nn::{self, OptimizerConfig};
        let store = nn::VarStore::new(Device::Cpu);
        let start = Tensor::from_slice(&[0.5f32, -1.0, 2.0]);
        let mut theirs = store.root().zeros("w", &[3]);
        tch::no_grad(|| theirs.copy_(&start));
        let ours = start.copy().set_requires_grad(true);
        let mut their_optimizer =
            nn::AdamW { wd: 0.1, ..Default::default() }.build(&store, 1e-2).unwrap();
        let parameters = BTreeMap::from([("w".to_string(), ours.shallow_clone())]);
        let mut our_optimizer = crate::optimizer::AdamW::new(&parameters, 0.1);
        for _ in 0..20 {
            their_optimizer.backward_step(&(&theirs - 0.3).pow_tensor_scalar(2).sum(Kind::Float));
            (&ours - 0.3).pow_tensor_scalar(2).sum(Kind::Float).backward();
            our_optimizer.step(&parameters, 1e-2);
        }
        assert!(largest_difference(&values(&ours), &theirs) < 1e-6);
    }
}
