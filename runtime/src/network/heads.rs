//! The heads: predict a part of the next note from the top layer's state.

use super::activations::activations;
use super::history::{MOST_ROWS, PartialNote};
use super::prediction::LOGITS;
use super::{Logits, Network, Prediction, part};
use crate::kernels::{Kernel, ROWS, Work};
use crate::model::format::MAX_HEAD_HIDDEN;
use crate::model::matrix::Aligned;
use crate::model::{Head, Heads};

/// Runs one of a network's heads.
pub(crate) struct Predict<'n, 'm, 'w, const LAYERS: usize, const HIDDEN: usize> {
    pub network: &'n Network<'m, LAYERS, HIDDEN>,
    /// The known parts of the note, which select the head.
    pub known: PartialNote,
    /// Called between blocks of rows.
    pub poll: &'w mut dyn FnMut(),
}

impl<const LAYERS: usize, const HIDDEN: usize> Work for Predict<'_, '_, '_, LAYERS, HIDDEN> {
    type Output = Prediction;

    #[inline(always)]
    fn with<K: Kernel>(self, kernel: K) -> Prediction {
        let Self { network, known, poll } = self;
        let model = network.model;
        let head = match (&model.heads, known) {
            (Heads::Expressive([step, ..]), PartialNote::Empty) => step,
            (
                Heads::Expressive([_, pitch, ..]) | Heads::Report { pitch, .. },
                PartialNote::Step(_),
            ) => pitch,
            (Heads::Expressive([_, _, duration, _]), PartialNote::Pitch(..)) => duration,
            (Heads::Expressive([.., velocity]), PartialNote::Duration(..)) => velocity,
            (Heads::Report { .. }, PartialNote::Duration(..)) => return Prediction::Unknown,
            (Heads::Report { times, .. }, PartialNote::Empty | PartialNote::Pitch(..)) => {
                let mut seconds = [0.0; ROWS];
                let mut quantized = Aligned([0; HIDDEN]);
                let precision = model.precision.of_outputs();
                let input = activations(kernel, precision, network.top(), 1.0, &mut quantized.0);
                times.multiply(kernel, &input, &mut seconds, poll);
                let [step, duration, ..] = seconds;
                return Prediction::Seconds(if known == PartialNote::Empty {
                    step
                } else {
                    duration
                });
            }
        };
        let mut logits = Logits { values: [0.0; LOGITS], count: head.choices };
        network.choose(kernel, head, known, &mut logits.values, poll);
        Prediction::Choice(logits)
    }
}

impl<const LAYERS: usize, const HIDDEN: usize> Network<'_, LAYERS, HIDDEN> {
    /// The top layer's hidden state.
    #[inline(always)]
    fn top(&self) -> &[f32] {
        part(&self.hidden, self.model.layers.wrapping_sub(1), self.model.hidden)
    }

    /// Runs a head that predicts a choice.
    #[inline(always)]
    fn choose<K: Kernel>(
        &self,
        kernel: K,
        head: &Head,
        known: PartialNote,
        logits: &mut [f32],
        poll: &mut dyn FnMut(),
    ) {
        // Between these limits, scaling neither overflows nor divides by zero.
        const LIMITS: (f32, f32) = (1e-30, 1e30);
        let precision = self.model.precision;
        let mut inner = [0.0; MAX_HEAD_HIDDEN];
        // Padding rows of the matrix, all zeros, follow the last unit.
        let inner = inner.get_mut(..head.output.columns).unwrap_or_default();
        let mut quantized = Aligned([0; HIDDEN]);
        let input = activations(kernel, precision, self.top(), 1.0, &mut quantized.0);
        head.hidden.multiply(kernel, &input, inner, poll);
        if let Some(features) = &head.features {
            let mut sums = [0.0; MAX_HEAD_HIDDEN];
            let sums = sums.get_mut(..inner.len()).unwrap_or_default();
            // Collected first, so that boards hold the addition once. There are never more rows than that.
            let mut rows = heapless::Vec::<u16, MOST_ROWS>::new();
            self.history.features(known, |row| _ = rows.push(row as u16));
            rows.iter().for_each(|&row| features.add(usize::from(row), sums));
            features.scale(sums);
            inner.iter_mut().zip(&*sums).for_each(|(inner, sum)| *inner += sum);
            poll();
        }
        for value in &mut *inner {
            let positive = if *value > 0.0 { *value } else { 0.0 };
            *value = if positive > LIMITS.1 { LIMITS.1 } else { positive };
        }
        // Rectified values have no fixed range: the largest one becomes full scale.
        let largest = inner.iter().fold(0.0, |a, &b| if b > a { b } else { a });
        let largest = if largest > LIMITS.0 { largest } else { 1.0 };
        let mut quantized = Aligned([0; MAX_HEAD_HIDDEN]);
        let outputs = precision.of_outputs();
        let inner = activations(kernel, outputs, inner, largest, &mut quantized.0);
        let rows = head.choices.next_multiple_of(ROWS);
        let logits = logits.get_mut(..rows).unwrap_or_default();
        head.output.multiply(kernel, &inner, logits, poll);
    }
}
