//! The LSTM layers: advance the state by a token.

use core::ops::Range;

use super::activations::{arrange, quantize};
use super::{Network, Scratch, Token, part, part_mut};
use crate::kernels::{Integers, Kernel, ROWS, Work};
use crate::math::nearest;
use crate::model::matrix::{Activations, Matrix, ONE, floats};
use crate::model::{Input, Model, Rest};
use crate::note::vocabulary::{Hands, RIGHT_HAND, time_bin, velocity_bin};

/// Units computed side by side, a chunk: each of their four gates is a group of their matrix.
pub(crate) const UNITS: usize = ROWS;

/// Advances networks of one model by one token each.
pub(crate) struct Observe<'n, 'm, N, T, E, M, const LAYERS: usize, const HIDDEN: usize> {
    pub model: &'m Model<'m>,
    pub networks: &'n mut [N],
    /// The token of each.
    pub tokens: T,
    /// The units to compute, whole chunks.
    pub units: Range<usize>,
    /// Completes a layer's new hidden state if `units` are not all of them.
    pub exchange: E,
    /// Called between chunks.
    pub poll: M,
}

impl<'m, N, T, E, M, const LAYERS: usize, const HIDDEN: usize> Work
    for Observe<'_, 'm, N, T, E, M, LAYERS, HIDDEN>
where
    N: AsMut<Network<'m, LAYERS, HIDDEN>>,
    T: Fn(usize) -> Token,
    E: FnMut(usize, &mut [f32]),
    M: FnMut(),
{
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self, kernel: K) {
        let Self { model, networks, tokens, units, mut exchange, mut poll } = self;
        let mut gates = [[0.0; UNITS]; 4];
        for (layer, matrix) in model.lstm.iter().flatten().enumerate() {
            for network in &mut *networks {
                network.as_mut().begin_layer(kernel, layer);
            }
            for chunk in units.start / UNITS..units.end / UNITS {
                for (index, network) in networks.iter_mut().enumerate() {
                    let input = (layer == 0).then(|| (&model.input, tokens(index)));
                    network.as_mut().update_chunk(kernel, matrix, layer, chunk, input, &mut gates);
                }
                poll();
            }
            for network in &mut *networks {
                let network = network.as_mut();
                network.end_layer(layer);
                exchange(layer, part_mut(&mut network.hidden, layer, model.hidden));
            }
        }
    }
}

impl<const LAYERS: usize, const HIDDEN: usize> Network<'_, LAYERS, HIDDEN> {
    /// Gathers the inputs of a layer's units.
    #[inline(always)]
    fn begin_layer<K: Kernel>(&mut self, kernel: K, layer: usize) {
        let width = self.model.hidden;
        let Scratch::Int { values, total } = &mut self.scratch else { return };
        let mut rest = values.0.as_flattened_mut();
        *total = 0;
        for input in layer.saturating_sub(1)..=layer {
            let Some((values, more)) = rest.split_at_mut_checked(width) else { return };
            *total += quantize(part(&self.hidden, input, width), ONE, values);
            rest = more;
        }
        let values = values.0.as_flattened_mut().get_mut(..columns(layer, width));
        arrange(kernel, self.model.precision, values.unwrap_or_default());
    }

    /// Computes [`UNITS`] units of a layer: their gates in one pass over their weights, then their
    /// cells.
    ///
    /// `input` is present in the first layer: the token adds to the gates through the input table.
    /// `gates` is a buffer for them.
    #[inline(always)]
    fn update_chunk<K: Kernel>(
        &mut self,
        kernel: K,
        matrix: &Matrix,
        layer: usize,
        chunk: usize,
        input: Option<(&Input, Token)>,
        gates: &mut [[f32; UNITS]; 4],
    ) {
        let width = self.model.hidden;
        let activations = match &self.scratch {
            // The layer's input is the hidden state of the layer below, already new.
            Scratch::Float(_) => Activations::Float(match layer.checked_sub(1) {
                Some(below) => [below, layer].map(|layer| part(&self.hidden, layer, width)),
                None => [&[], part(&self.hidden, layer, width)],
            }),
            Scratch::Int { values, total } => {
                let values = values.0.as_flattened().get(..columns(layer, width));
                let integers = Integers { values: values.unwrap_or_default(), total: *total };
                Activations::Int { integers, scale: 1.0 / ONE }
            }
        };
        // PyTorch's order of gates: input, forget, candidate, output.
        matrix.rows(kernel, chunk, &activations, gates);
        if let Some((input, token)) = input {
            input.add(&token, self.hands, chunk, gates);
        }
        let new = match &mut self.scratch {
            Scratch::Float(new) => new,
            // The units read the old hidden state from its integer copy, so it may be replaced.
            Scratch::Int { .. } => part_mut(&mut self.hidden, layer, width),
        };
        let hidden = new.as_chunks_mut::<UNITS>().0.get_mut(chunk);
        let cell = part_mut(&mut self.cell, layer, width).as_chunks_mut::<UNITS>().0.get_mut(chunk);
        let (Some(hidden), Some(cell)) = (hidden, cell) else { return };
        kernel.cells(gates, cell, hidden);
    }

    /// Makes a layer's new hidden state the one that others read.
    #[inline(always)]
    fn end_layer(&mut self, layer: usize) {
        let hidden = part_mut(&mut self.hidden, layer, self.model.hidden);
        match &self.scratch {
            Scratch::Float(new) => {
                // As a loop it would be a `memmove`, which takes 1.6 KB of flash.
                if let Some(new) = new.get(..hidden.len()) {
                    hidden.copy_from_slice(new);
                }
            }
            Scratch::Int { .. } => {
                for value in hidden {
                    // Only extreme weights or times give NaN, whose bits differ between machines.
                    let number = if value.is_nan() { 0.0 } else { *value };
                    *value = nearest(number * ONE) / ONE;
                }
            }
        }
    }
}

/// Columns of a layer's matrix: its input and its own hidden state.
fn columns(layer: usize, width: usize) -> usize {
    if layer == 0 { width } else { 2 * width }
}

impl Input<'_> {
    /// Adds a token's input to the gates of sixteen units of the first layer.
    #[inline(always)]
    fn add(&self, Token(note): &Token, hands: Hands, chunk: usize, gates: &mut [[f32; UNITS]; 4]) {
        let gates = gates.as_flattened_mut();
        match &self.rest {
            Rest::Seconds { step, duration } => {
                let pitch = self.pitch.read::<4>(usize::from(note.pitch), chunk);
                let times = floats::<4>(step, chunk).zip(floats::<4>(duration, chunk));
                for ((gate, pitch), (step, duration)) in
                    gates.iter_mut().zip(pitch.as_flattened()).zip(times)
                {
                    *gate += pitch + step * note.step + duration * note.duration;
                }
            }
            Rest::Bins([step, duration, velocity]) => {
                let rows = [
                    (step, time_bin(note.step)),
                    (&self.pitch, note.pitch),
                    (duration, time_bin(note.duration)),
                    (velocity, velocity_bin(note.velocity)),
                    (&self.pitch, RIGHT_HAND),
                ];
                let count = match hands {
                    Hands::Both => rows.len() - 1,
                    Hands::Right => rows.len(),
                };
                for (table, row) in rows.into_iter().take(count) {
                    let row = table.read::<4>(usize::from(row), chunk);
                    gates.iter_mut().zip(row.as_flattened()).for_each(|(gate, row)| *gate += row);
                }
            }
        }
    }
}
