//! The forward pass: hears a note, and says what it expects next.

use crate::math::{round, sigmoid, tanh};
use crate::matrix::{Activations, Matrix, ONE, floats4};
use crate::model::{BOS, MAX_PITCH_HIDDEN, Model, ModelError, PITCHES, Precision, Table};
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
    work: Work<HIDDEN>,
}

/// What one layer needs while its hidden state is being replaced.
#[derive(Clone, Debug)]
enum Work<const HIDDEN: usize> {
    /// Float weights: the new hidden state.
    Float([f32; HIDDEN]),
    /// Quantized weights: the layer's input and its old hidden state, as integers.
    Int { input: [i16; HIDDEN], hidden: [i16; HIDDEN] },
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
        let work = match model.precision {
            Precision::Float => Work::Float([0.0; HIDDEN]),
            Precision::Int8 => Work::Int { input: [0; HIDDEN], hidden: [0; HIDDEN] },
        };
        let zeros = [[0.0; HIDDEN]; LAYERS];
        let mut network = Self { model, hidden: zeros, cell: zeros, work };
        network.hear_token(Token { pitch: BOS, step: 0.0, duration: 0.0 });
        Ok(network)
    }

    /// Forgets everything and starts a sequence.
    pub fn restart(&mut self) {
        self.hidden = [[0.0; HIDDEN]; LAYERS];
        self.cell = [[0.0; HIDDEN]; LAYERS];
        self.hear_token(Token { pitch: BOS, step: 0.0, duration: 0.0 });
    }

    /// Advances the state by one note. A pitch past 127 is heard as 127.
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
        let model = self.model;
        let width = model.hidden;
        for (layer, matrix) in model.lstm.iter().flatten().enumerate() {
            // The layer's input is the hidden state of the layer below, already new.
            let (below, rest) = self.hidden.split_at_mut(layer);
            let Some(hidden) = rest.first_mut() else { return };
            let hidden = &mut hidden[..width];
            let cell = &mut self.cell[layer][..width];
            let input = below.last().map(|below| &below[..width]);
            // What a unit's gates take beside its weighted sums.
            let extra = |unit| match input {
                None => Self::input_gates(model, &token, unit),
                Some(_) => [0.0; 4],
            };
            match &mut self.work {
                Work::Float(new) => {
                    let new = &mut new[..width];
                    let parts =
                        [input, Some(&*hidden)].map(|part| Activations::Float(part.unwrap_or(&[])));
                    update_cells(matrix, &parts, extra, cell, |unit, value| new[unit] = value);
                    hidden.copy_from_slice(new);
                }
                Work::Int { input: quantized_input, hidden: quantized_hidden } => {
                    let input = quantize(input.unwrap_or(&[]), ONE, quantized_input);
                    let old = quantize(hidden, ONE, quantized_hidden);
                    let parts =
                        [input, old].map(|values| Activations::Int { values, scale: 1.0 / ONE });
                    update_cells(matrix, &parts, extra, cell, |unit, value| {
                        hidden[unit] = round(value * ONE) as f32 / ONE;
                    });
                }
            }
        }
    }

    /// What the next note is expected to be.
    pub fn predict(&self) -> Prediction {
        let heads = &self.model.heads;
        let top = &self.hidden[self.model.layers - 1][..self.model.hidden];
        let mut prediction = Prediction { pitch: [0.0; PITCHES], step: 0.0, duration: 0.0 };
        let mut inner = [0.0; MAX_PITCH_HIDDEN];
        // Zeros stand behind the last unit, up to the padded width of the pitch matrix.
        let inner = &mut inner[..heads.pitch.columns];
        let mut times = [0.0; 4];
        let mut quantized = [0; HIDDEN];
        let mut quantized_inner = [0; MAX_PITCH_HIDDEN];

        let top = match self.model.precision {
            Precision::Float => Activations::Float(top),
            Precision::Int8 => {
                Activations::Int { values: quantize(top, ONE, &mut quantized), scale: 1.0 / ONE }
            }
        };
        heads.times.multiply(&[top], &mut times);
        heads.pitch_hidden.multiply(&[top], inner);
        inner.iter_mut().for_each(|value| *value = if *value > 0.0 { *value } else { 0.0 });
        let inner = match self.model.precision {
            Precision::Float => Activations::Float(inner),
            Precision::Int8 => {
                // Rectified values have no fixed range: the largest one becomes full scale.
                let largest = inner.iter().fold(0.0, |a, &b| if b > a { b } else { a });
                let largest = if largest > 0.0 && largest < f32::MAX { largest } else { 1.0 };
                let values = quantize(inner, ONE / largest, &mut quantized_inner);
                Activations::Int { values, scale: largest / ONE }
            }
        };
        heads.pitch.multiply(&[inner], &mut prediction.pitch);
        [prediction.step, prediction.duration, ..] = times;
        prediction
    }

    /// What the token heard adds to a unit's gates in the first layer.
    #[inline(always)]
    fn input_gates(model: &Model, token: &Token, unit: usize) -> [f32; 4] {
        let input = &model.input;
        let row = usize::from(token.pitch);
        let at = row * model.hidden + unit;
        let pitch = match &input.pitch {
            Table::Float(values) => floats4(values, at),
            Table::Int8 { values, scale } => {
                let scale = f32::from_le_bytes(scale[row]);
                core::array::from_fn(|gate| f32::from(values[4 * at + gate] as i8) * scale)
            }
        };
        let (step, duration) = (floats4(input.step, unit), floats4(input.duration, unit));
        core::array::from_fn(|gate| {
            pitch[gate] + step[gate] * token.step + duration[gate] * token.duration
        })
    }
}

/// Computes every unit of a layer: its gates in one pass over its quad, then its cell.
#[inline(always)]
fn update_cells(
    matrix: &Matrix,
    parts: &[Activations],
    extra: impl Fn(usize) -> [f32; 4],
    cell: &mut [f32],
    mut output: impl FnMut(usize, f32),
) {
    for (unit, cell) in cell.iter_mut().enumerate() {
        let sums = matrix.quad(unit, parts);
        let extra = extra(unit);
        // PyTorch's order of gates: input, forget, candidate, output.
        let [i, f, g, o]: [f32; 4] = core::array::from_fn(|gate| sums[gate] + extra[gate]);
        *cell = sigmoid(f) * *cell + sigmoid(i) * tanh(g);
        output(unit, sigmoid(o) * tanh(*cell));
    }
}

/// Rounds values times `scale` to integers of at most 14 bits.
fn quantize<'q>(values: &[f32], scale: f32, quantized: &'q mut [i16]) -> &'q [i16] {
    let quantized = &mut quantized[..values.len()];
    for (quantized, value) in quantized.iter_mut().zip(values) {
        *quantized = round(value * scale) as i16;
    }
    quantized
}
