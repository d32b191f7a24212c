//! The forward pass: hears a note, and says what it expects next.

use crate::kernels::{Isa, Kernel, QUADS, Work};
use crate::math::{round, sigmoid, tanh};
use crate::matrix::{Activations, GROUP_ROWS, Matrix, ONE, floats4};
use crate::model::{BOS, Input, MAX_PITCH_HIDDEN, Model, ModelError, PITCHES, Precision, Table};
use crate::note::Note;

/// What the network expects of the next note.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Unnormalised log-probabilities of the pitch tokens; the last is [`BOS`].
    pub pitch: [f32; PITCHES],
    /// Seconds from the note before; not yet made playable.
    pub step: f32,
    /// Seconds until the release; not yet made playable.
    pub duration: f32,
}

/// A network in some state: everything heard so far, in fixed buffers.
///
/// `LAYERS` and `HIDDEN` are the largest sizes there is room for; smaller models fit too.
#[derive(Clone, Debug)]
pub struct Network<'m, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    model: &'m Model<'m>,
    /// Hidden state of each layer: its outputs. Of a quantized model, each is a multiple of
    /// 1/8192 (see [`ONE`]).
    hidden: [[f32; HIDDEN]; LAYERS],
    /// Cell state of each layer.
    cell: [[f32; HIDDEN]; LAYERS],
    scratch: Scratch<HIDDEN>,
    isa: Isa,
}

/// What one layer needs while its hidden state is being replaced.
#[derive(Clone, Debug)]
enum Scratch<const HIDDEN: usize> {
    /// Float weights: the new hidden state.
    Float([f32; HIDDEN]),
    /// Quantized weights: the layer's input and its old hidden state as integers, one after the
    /// other.
    Int([[i16; HIDDEN]; 2]),
}

/// A token to hear: a pitch with its times.
struct Token {
    pitch: u8,
    step: f32,
    duration: f32,
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> Network<'m, LAYERS, HIDDEN> {
    /// A network that has heard the start of a sequence and nothing else.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the model does not fit the buffers.
    pub fn new(model: &'m Model<'m>) -> Result<Self, ModelError> {
        if model.layers > LAYERS || model.hidden > HIDDEN {
            return Err(ModelError::TooLarge);
        }
        let scratch = match model.precision {
            Precision::Float => Scratch::Float([0.0; HIDDEN]),
            Precision::Int8 => Scratch::Int([[0; HIDDEN]; 2]),
        };
        let zeros = [[0.0; HIDDEN]; LAYERS];
        let isa = Isa::best();
        let mut network = Self { model, hidden: zeros, cell: zeros, scratch, isa };
        network.hear_token(Token { pitch: BOS, step: 0.0, duration: 0.0 });
        Ok(network)
    }

    /// Forgets everything and starts a sequence.
    pub fn restart(&mut self) {
        self.hidden = [[0.0; HIDDEN]; LAYERS];
        self.cell = [[0.0; HIDDEN]; LAYERS];
        self.hear_token(Token { pitch: BOS, step: 0.0, duration: 0.0 });
    }

    /// Advances the state by one note, its times as they are: not a number among them would stay
    /// in the state. A pitch past 127 is heard as 127.
    pub fn hear(&mut self, note: &Note) {
        let Note { pitch, step, duration, .. } = *note;
        self.hear_token(Token { pitch: pitch.min(127), step, duration });
    }

    /// Hidden and cell state of a layer, as wide as the model; `None` past the last layer.
    pub fn state(&self, layer: usize) -> Option<(&[f32], &[f32])> {
        let width = self.model.hidden;
        (layer < self.model.layers)
            .then(|| (&self.hidden[layer][..width], &self.cell[layer][..width]))
    }

    fn hear_token(&mut self, token: Token) {
        self.isa.run(Hear { network: self, token });
    }

    /// What the next note is expected to be.
    pub fn predict(&self) -> Prediction {
        self.isa.run(Predict(self))
    }
}

/// Advances a network by one token.
struct Hear<'n, 'm, const LAYERS: usize, const HIDDEN: usize> {
    network: &'n mut Network<'m, LAYERS, HIDDEN>,
    token: Token,
}

impl<const LAYERS: usize, const HIDDEN: usize> Work for Hear<'_, '_, LAYERS, HIDDEN> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self, kernel: K) {
        let Self { network, token } = self;
        let model = network.model;
        let width = model.hidden;
        for (layer, matrix) in model.lstm.iter().flatten().enumerate() {
            // The layer's input is the hidden state of the layer below, already new.
            let (below, rest) = network.hidden.split_at_mut(layer);
            let Some(hidden) = rest.first_mut() else { return };
            let hidden = &mut hidden[..width];
            let cell = &mut network.cell[layer][..width];
            let input = below.last().map_or(&[][..], |below| &below[..width]);
            let heard = (layer == 0).then_some((&model.input, &token));
            match &mut network.scratch {
                Scratch::Float(new) => {
                    let new = &mut new[..width];
                    let activations = Activations::Float([input, &*hidden]);
                    update_cells(kernel, matrix, &activations, heard, cell, new);
                    hidden.copy_from_slice(new);
                }
                Scratch::Int(integers) => {
                    let integers = &mut integers.as_flattened_mut()[..input.len() + width];
                    let (quantized_input, quantized_hidden) = integers.split_at_mut(input.len());
                    quantize(input, ONE, quantized_input);
                    quantize(hidden, ONE, quantized_hidden);
                    let activations = Activations::Int { values: integers, scale: 1.0 / ONE };
                    update_cells(kernel, matrix, &activations, heard, cell, hidden);
                    for value in hidden {
                        *value = round(*value * ONE) as f32 / ONE;
                    }
                }
            }
        }
    }
}

/// Computes every unit of a layer, a group at a time: its gates in one pass over its weights, then
/// its cell.
///
/// `heard` is there in the first layer: the token adds to the gates through the input table.
#[inline(always)]
fn update_cells<K: Kernel>(
    kernel: K,
    matrix: &Matrix,
    activations: &Activations,
    heard: Option<(&Input, &Token)>,
    cell: &mut [f32],
    hidden: &mut [f32],
) {
    /// Units computed side by side, as wide as the widest vectors.
    const UNITS: usize = 16;
    let chunks = cell.as_chunks_mut::<UNITS>().0.iter_mut();
    for (chunk, (cell, hidden)) in chunks.zip(hidden.as_chunks_mut::<UNITS>().0).enumerate() {
        // PyTorch's order of gates: input, forget, candidate, output.
        let mut gates = [[0f32; UNITS]; 4];
        for group in 0..UNITS / QUADS {
            let sums = matrix.group(kernel, chunk * (UNITS / QUADS) + group, activations);
            for (quad, sums) in sums.iter().enumerate() {
                for (gate, sum) in gates.iter_mut().zip(sums) {
                    gate[group * QUADS + quad] = *sum;
                }
            }
        }
        if let Some((input, token)) = heard {
            for unit in 0..UNITS {
                let extra = input.gates(token, chunk * UNITS + unit);
                for (gate, extra) in gates.iter_mut().zip(extra) {
                    gate[unit] += extra;
                }
            }
        }
        let [i, f, g, o] = gates;
        for unit in 0..UNITS {
            cell[unit] = sigmoid(f[unit]) * cell[unit] + sigmoid(i[unit]) * tanh(g[unit]);
            hidden[unit] = sigmoid(o[unit]) * tanh(cell[unit]);
        }
    }
}

impl Input<'_> {
    /// What hearing a token adds to a unit's gates in the first layer.
    #[inline(always)]
    fn gates(&self, token: &Token, unit: usize) -> [f32; 4] {
        let row = usize::from(token.pitch);
        let at = row * (self.step.len() / 4) + unit;
        let pitch = match &self.pitch {
            Table::Float(values) => floats4(values, at),
            Table::Int8 { values, scale } => {
                let scale = f32::from_le_bytes(scale[row]);
                core::array::from_fn(|gate| f32::from(values[4 * at + gate] as i8) * scale)
            }
        };
        let (step, duration) = (floats4(self.step, unit), floats4(self.duration, unit));
        core::array::from_fn(|gate| {
            pitch[gate] + step[gate] * token.step + duration[gate] * token.duration
        })
    }
}

/// Runs a network's heads.
struct Predict<'n, 'm, const LAYERS: usize, const HIDDEN: usize>(&'n Network<'m, LAYERS, HIDDEN>);

impl<const LAYERS: usize, const HIDDEN: usize> Work for Predict<'_, '_, LAYERS, HIDDEN> {
    type Output = Prediction;

    #[inline(always)]
    fn with<K: Kernel>(self, kernel: K) -> Prediction {
        let model = self.0.model;
        let heads = &model.heads;
        let top = &self.0.hidden[model.layers - 1][..model.hidden];
        let mut prediction = Prediction { pitch: [0.0; PITCHES], step: 0.0, duration: 0.0 };
        let mut inner = [0.0; MAX_PITCH_HIDDEN];
        // Behind the last unit come padding rows of the matrix: zeros.
        let inner = &mut inner[..heads.pitch.columns];
        let mut times = [0.0; GROUP_ROWS];
        let mut quantized = [0; HIDDEN];
        let mut quantized_inner = [0; MAX_PITCH_HIDDEN];

        let top = match model.precision {
            Precision::Float => Activations::Float([top, &[]]),
            Precision::Int8 => {
                Activations::Int { values: quantize(top, ONE, &mut quantized), scale: 1.0 / ONE }
            }
        };
        heads.times.multiply(kernel, &top, &mut times);
        heads.pitch_hidden.multiply(kernel, &top, inner);
        for value in &mut *inner {
            *value = if *value > 0.0 { *value } else { 0.0 };
        }
        let inner = match model.precision {
            Precision::Float => Activations::Float([inner, &[]]),
            Precision::Int8 => {
                // Rectified values have no fixed range: the largest one becomes full scale.
                let largest = inner.iter().fold(0.0, |a, &b| if b > a { b } else { a });
                let largest = if largest > 0.0 && largest < f32::MAX { largest } else { 1.0 };
                let values = quantize(inner, ONE / largest, &mut quantized_inner);
                Activations::Int { values, scale: largest / ONE }
            }
        };
        heads.pitch.multiply(kernel, &inner, &mut prediction.pitch);
        [prediction.step, prediction.duration, ..] = times;
        prediction
    }
}

/// Rounds values times `scale` to integers of at most 14 bits.
#[inline(always)]
fn quantize<'q>(values: &[f32], scale: f32, quantized: &'q mut [i16]) -> &'q [i16] {
    let quantized = &mut quantized[..values.len()];
    for (quantized, value) in quantized.iter_mut().zip(values) {
        *quantized = round(value * scale) as i16;
    }
    quantized
}

#[cfg(all(test, feature = "std"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The bundled model on every instruction set of this machine: all states and predictions are
    /// the portable ones, bit for bit.
    #[test]
    #[cfg_attr(miri, ignore = "takes thousands of notes")]
    fn every_instruction_set_computes_the_same_bits() {
        let file = include_bytes!("../../models/report-int8.safetensors");
        let model = Model::from_bytes(file).unwrap();
        let isas: std::vec::Vec<Isa> = Isa::available().collect();
        let mut networks: std::vec::Vec<Network> = isas
            .iter()
            .map(|&isa| {
                let mut network = Network::new(&model).unwrap();
                network.isa = isa;
                network.restart();
                network
            })
            .collect();
        for step in 0..1000u32 {
            let bits: std::vec::Vec<_> = networks
                .iter()
                .map(|network| {
                    let prediction = network.predict();
                    let states = (network.hidden, network.cell);
                    let floats = states.0.as_flattened().iter().chain(states.1.as_flattened());
                    let floats = floats.chain(&prediction.pitch);
                    let floats = floats.chain([&prediction.step, &prediction.duration]);
                    floats.map(|value| value.to_bits()).collect::<std::vec::Vec<_>>()
                })
                .collect();
            for (isa, bits_of_isa) in isas.iter().zip(&bits) {
                assert!(bits_of_isa == bits.last().unwrap(), "{isa:?} differs at note {step}");
            }
            let note = Note {
                pitch: 30 + (step * 31 % 60) as u8,
                velocity: 80,
                step: (step % 7) as f32 * 0.083,
                duration: (step % 11) as f32 * 0.071,
            };
            networks.iter_mut().for_each(|network| network.hear(&note));
        }
    }
}
