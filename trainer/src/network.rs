//! A network's parameters in libtorch, and what all kinds of network share: the LSTM.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use pianola_runtime::weights::{FloatWeights, Shape};
use tch::{Device, Kind, Tensor};

/// Parameters by their PyTorch state-dict names.
pub struct Network {
    /// Sizes of the network.
    pub shape: Shape,
    /// Where it computes.
    pub device: Device,
    /// Kind of number that products are taken of; parameters and sums stay in single precision.
    pub compute: Kind,
    parameters: BTreeMap<String, Tensor>,
}

/// Hidden and cell state of all layers, `[layers, batch, hidden]` each.
#[derive(Debug)]
pub struct State {
    /// The layers' outputs.
    pub hidden: Tensor,
    /// Their memory.
    pub cell: Tensor,
}

impl Network {
    /// A network with random weights from libtorch's seeded generator.
    ///
    /// PyTorch's default (uniform in ±1/√fan-in for dense layers and ±1/√hidden for the LSTM) but for
    /// three places. Embeddings have unit variance, as `torch.nn.Embedding`, since the default for a
    /// dense layer leaves pitches almost alike; forget gates start open, with a bias of 1 (Jozefowicz
    /// et al., 2015). Both together take a third off the epochs to a given loss. And neighbouring bins
    /// of a time or a velocity start alike, in what is heard and in what is said.
    pub fn new(shape: Shape, device: Device) -> Self {
        let parameters = shape
            .tensors()
            .into_iter()
            .map(|(name, size)| {
                let size: Vec<i64> = size.iter().map(|&n| n as i64).collect();
                let options = (Kind::Float, Device::Cpu);
                let embeds = name.starts_with("embedding.") || name.starts_with("pitch_embedding");
                let mut value = if embeds {
                    Tensor::randn(size.as_slice(), options)
                } else {
                    let unit = Tensor::rand(size.as_slice(), options);
                    (unit * 2.0 - 1.0) / (shape.fan_in(&name) as f64).sqrt()
                };
                let binned = ["embedding.", "output.weight"].iter().any(|part| name.contains(part));
                if binned && !name.contains("pitch") {
                    value = smooth(&value);
                }
                if name.starts_with("rnn.bias_ih") {
                    let hidden = shape.hidden as i64;
                    let _ = value.narrow(0, hidden, hidden).g_add_scalar_(1.0);
                }
                (name, value.to_device(device).set_requires_grad(true))
            })
            .collect();
        Self { shape, device, compute: Kind::Float, parameters }
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
        Self { shape: weights.shape, device, compute: Kind::Float, parameters }
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

    /// The parameter of that name, of which the shape has one, as it is computed with.
    pub fn parameter(&self, name: &str) -> Tensor {
        self.parameters[name].to_kind(self.compute)
    }

    /// A dense layer.
    pub fn dense(&self, layer: &str, input: &Tensor) -> Tensor {
        let weight = self.parameter(&format!("{layer}.weight"));
        let bias = self.parameter(&format!("{layer}.bias"));
        input.linear(&weight, Some(&bias))
    }

    /// The state of so many songs that have not begun.
    pub fn start(&self, batch: usize) -> State {
        let size = [self.shape.layers as i64, batch as i64, self.shape.hidden as i64];
        let zeros = || Tensor::zeros(size, (Kind::Float, self.device));
        State { hidden: zeros(), cell: zeros() }
    }

    /// Runs the LSTM over `[time, batch, width]`; returns the top layer's outputs and the state after
    /// the last. `dropout` above 0 drops from the outputs of every layer.
    pub fn lstm(&self, input: &Tensor, state: &State, dropout: Dropout) -> (Tensor, State) {
        let layers = self.shape.layers as i64;
        let run = |input: &Tensor, range: std::ops::Range<i64>, drop: f64| {
            let parameters: Vec<Tensor> = range
                .clone()
                .flat_map(|layer| {
                    ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                        .map(|name| self.parameter(&format!("rnn.{name}_l{layer}")))
                })
                .collect();
            let count = range.end - range.start;
            let state = [&state.hidden, &state.cell]
                .map(|state| state.narrow(0, range.start, count).to_kind(self.compute));
            input.lstm(&state, &parameters, true, count, drop, drop > 0.0, false, false)
        };
        let mut top = input.to_kind(self.compute);
        let (hidden, cell) = match dropout {
            Dropout::Values(share) => {
                let (outputs, hidden, cell) = run(&top, 0..layers, share);
                top = outputs.dropout(share, share > 0.0);
                (hidden, cell)
            }
            Dropout::Units(share) => {
                let (mut hidden, mut cell) = (Vec::new(), Vec::new());
                for layer in 0..layers {
                    let (outputs, last_hidden, last_cell) = run(&top, layer..layer + 1, 0.0);
                    let size = [1, outputs.size()[1], outputs.size()[2]];
                    let mask = Tensor::ones(size, (self.compute, self.device));
                    top = outputs * mask.dropout(share, share > 0.0);
                    hidden.push(last_hidden);
                    cell.push(last_cell);
                }
                (Tensor::cat(&hidden, 0), Tensor::cat(&cell, 0))
            }
        };
        let state = State { hidden: hidden.to_kind(Kind::Float), cell: cell.to_kind(Kind::Float) };
        (top, state)
    }
}

/// Shares of a layer's outputs that training leaves out.
#[derive(Clone, Copy, Debug)]
pub enum Dropout {
    /// Of single values, drawn anew at every step, as `torch.nn.LSTM` does.
    Values(f64),
    /// Of units, for a whole batch (Gal and Ghahramani, 2016).
    Units(f64),
}

/// Makes neighbouring rows alike, all but the first, and keeps their variance: a Gaussian of three
/// rows' width.
fn smooth(rows: &Tensor) -> Tensor {
    let count = rows.size()[0];
    let at = Tensor::arange(count, (Kind::Float, Device::Cpu));
    let distance = at.unsqueeze(0) - at.unsqueeze(1);
    let kernel = (distance.square() / -18.0).exp();
    let first = at.eq(0.0);
    let apart = first.unsqueeze(0).logical_xor(&first.unsqueeze(1));
    let kernel = kernel.masked_fill(&apart, 0.0);
    let norm = kernel.square().sum_dim_intlist(1, true, Kind::Float).sqrt();
    (kernel / norm).matmul(rows)
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
    use super::*;

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
        let (ours, theirs) = (values(&ours), values(&theirs));
        let worst = ours.iter().zip(theirs).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(worst < 1e-6);
    }
}
