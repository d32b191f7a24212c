//! The forward pass: takes in a note, and predicts the next.

pub mod history;

mod activations;
mod heads;
mod layers;
mod prediction;
mod token;

use core::ops::Range;

use crate::kernels::Isa;
use crate::model::format::{BOS, Precision};
use crate::model::matrix::Aligned;
use crate::model::{Model, ModelError};
use crate::note::Note;
use crate::note::vocabulary::Hands;
use heads::Predict;
use history::{History, PartialNote};
use layers::Observe;
#[cfg(feature = "std")]
pub(crate) use layers::UNITS;
pub use prediction::{Logits, Prediction};
pub(crate) use token::Token;

/// The LSTM with its state, in fixed buffers.
///
/// `LAYERS` and `HIDDEN` are the capacities of the buffers; smaller models fit too.
#[derive(Clone, Debug)]
pub struct Network<'m, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    model: &'m Model<'m>,
    /// Hidden state of each layer: its outputs. In a quantized model, each is a multiple of
    /// 1/8192 (see [`ONE`](crate::model::matrix::ONE)).
    hidden: [[f32; HIDDEN]; LAYERS],
    /// Cell state of each layer.
    cell: [[f32; HIDDEN]; LAYERS],
    scratch: Scratch<HIDDEN>,
    /// The notes that the heads' features are computed from.
    history: History,
    /// The hands that play the sequence.
    hands: Hands,
    isa: Isa,
}

/// Buffers of one layer while its hidden state is being replaced.
#[derive(Clone, Debug)]
enum Scratch<const HIDDEN: usize> {
    /// Float weights: the new hidden state.
    Float([f32; HIDDEN]),
    /// Quantized weights: the layer's input and its old hidden state as integers, one after the
    /// other and arranged for the kernel, and their sum.
    Int { values: Aligned<[[i16; HIDDEN]; 2]>, total: i32 },
}

impl<'m> Network<'m> {
    /// A network at the start of a sequence for these hands, with room for 3 layers of 512 units;
    /// [`from_model`](Self::from_model) has room for other sizes.
    ///
    /// # Errors
    /// As those of [`on`](Self::on).
    pub fn new(model: &'m Model<'m>, hands: Hands) -> Result<Self, ModelError> {
        Self::from_model(model, hands)
    }
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> Network<'m, LAYERS, HIDDEN> {
    /// A network at the start of a sequence for these hands, on the fastest instruction set.
    ///
    /// # Errors
    /// As those of [`on`](Self::on).
    pub fn from_model(model: &'m Model<'m>, hands: Hands) -> Result<Self, ModelError> {
        Self::on(Isa::best(), model, hands)
    }

    /// A network on a given instruction set, to compare them.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the model has more than `LAYERS` layers or `HIDDEN` units;
    /// [`ModelError::Misaligned`] on Cortex-M if it does not start at a multiple of 4 bytes.
    pub fn on(isa: Isa, model: &'m Model<'m>, hands: Hands) -> Result<Self, ModelError> {
        let mut network = Self::uninitialized(isa, model, hands)?;
        network.begin();
        Ok(network)
    }

    /// A network before the start token: call [`begin`](Self::begin) next. A board's stack has no room
    /// for many networks, so call it once the network is in its final place.
    #[inline(always)]
    pub(crate) fn uninitialized(
        isa: Isa,
        model: &'m Model<'m>,
        hands: Hands,
    ) -> Result<Self, ModelError> {
        if model.layers > LAYERS || model.hidden > HIDDEN {
            return Err(ModelError::TooLarge);
        }
        if isa.needs_whole_words() && !model.is_aligned() {
            return Err(ModelError::Misaligned);
        }
        let scratch = match model.precision {
            Precision::Float => Scratch::Float([0.0; HIDDEN]),
            Precision::Int8 | Precision::Int4 => {
                Scratch::Int { values: Aligned([[0; HIDDEN]; 2]), total: 0 }
            }
        };
        let (hidden, cell) = ([[0.0; HIDDEN]; LAYERS], [[0.0; HIDDEN]; LAYERS]);
        Ok(Self { model, hidden, cell, scratch, history: History::new(), hands, isa })
    }

    /// Takes in the start token.
    pub(crate) fn begin(&mut self) {
        self.observe_token(Token::BOS, &mut || {});
    }

    /// Clears the state and starts a sequence for these hands. The report's model does not distinguish
    /// hands.
    pub fn restart(&mut self, hands: Hands) {
        self.restart_with_poll(hands, || {});
    }

    /// The hands that play the sequence.
    pub fn hands(&self) -> Hands {
        self.hands
    }

    /// As [`restart`](Self::restart), with a `poll` as that of
    /// [`observe_with_poll`](Self::observe_with_poll).
    pub fn restart_with_poll(&mut self, hands: Hands, mut poll: impl FnMut()) {
        self.hands = hands;
        self.hidden = [[0.0; HIDDEN]; LAYERS];
        self.cell = [[0.0; HIDDEN]; LAYERS];
        self.history = History::new();
        self.observe_token(Token::BOS, &mut poll);
    }

    /// Advances the state by one note. Its times are used unchanged: a NaN would stay in the state. A
    /// pitch above 127 counts as 127.
    pub fn observe(&mut self, note: &Note) {
        self.observe_token(Token::from(note), &mut || {});
    }

    /// Hidden and cell state of a layer, as wide as the model; `None` past the last layer.
    pub fn state(&self, layer: usize) -> Option<(&[f32], &[f32])> {
        let width = self.model.hidden;
        let there = layer < self.model.layers;
        there.then(|| (part(&self.hidden, layer, width), part(&self.cell, layer, width)))
    }

    /// Advances several networks by a note each, as [`observe`](Self::observe) would one by one, but
    /// faster: each weight is fetched once for all of them.
    ///
    /// Networks of different models advance one by one. Those without a note do not advance.
    pub fn observe_batch<N: AsMut<Self>>(networks: &mut [N], notes: &[Note]) {
        let count = networks.len().min(notes.len());
        let networks = networks.get_mut(..count).unwrap_or_default();
        let Some((first, rest)) = networks.split_first_mut() else { return };
        let Self { model, isa, .. } = *first.as_mut();
        if rest.iter_mut().any(|network| !core::ptr::eq(network.as_mut().model, model)) {
            let each = networks.iter_mut().zip(notes);
            return each.for_each(|(network, note)| network.as_mut().observe(note));
        }
        let tokens = |index: usize| notes.get(index).map_or(Token::BOS, Token::from);
        for (index, network) in networks.iter_mut().enumerate() {
            network.as_mut().record(tokens(index));
        }
        let (units, exchange) = (0..model.hidden, |_: usize, _: &mut [f32]| {});
        isa.run(Observe { model, networks, tokens, units, exchange, poll: || {} });
    }

    /// As [`observe`](Self::observe), and calls `poll` about a hundred times during the computation, at
    /// about even intervals, so that a board can serve its ports.
    pub fn observe_with_poll(&mut self, note: &Note, mut poll: impl FnMut()) {
        self.observe_token(Token::from(note), &mut poll);
    }

    /// Advances all units by a token. `poll` is not part of this function's type, so that there is
    /// one such function: boards have no flash for a copy of it for every caller.
    #[inline(never)]
    fn observe_token(&mut self, token: Token, poll: &mut dyn FnMut()) {
        self.observe_units(token, 0..self.model.hidden, |_, _| {}, poll);
    }

    /// Advances some units of each layer, whole chunks of them, by a token; `exchange` completes the
    /// new hidden state of each layer in turn.
    pub(crate) fn observe_units(
        &mut self,
        token: Token,
        units: Range<usize>,
        exchange: impl FnMut(usize, &mut [f32]),
        poll: impl FnMut(),
    ) {
        self.record(token);
        let Self { model, isa, .. } = *self;
        let (networks, tokens) = (&mut [self], |_| token);
        isa.run(Observe { model, networks, tokens, units, exchange, poll });
    }

    /// Records a note for the heads' features. The start token is not a note.
    fn record(&mut self, Token(note): Token) {
        if note.pitch != BOS {
            self.history.observe(&note);
        }
    }

    /// Whether the model predicts distributions of all parts of a note.
    pub(crate) fn is_expressive(&self) -> bool {
        self.model.is_expressive()
    }

    /// The notes so far, as the heads' features describe them.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Records that the last note ends earlier than it was observed to.
    pub(crate) fn cut_last(&mut self, duration: f32) {
        self.history.cut_last(duration);
    }

    /// Predicts the next part of the next note, given the parts before it.
    ///
    /// The report's heads predict each part independently of the others.
    pub fn predict(&self, known: PartialNote) -> Prediction {
        self.predict_with_poll(known, || {})
    }

    /// As [`predict`](Self::predict), with a `poll` as that of
    /// [`observe_with_poll`](Self::observe_with_poll).
    pub fn predict_with_poll(&self, known: PartialNote, mut poll: impl FnMut()) -> Prediction {
        self.predict_part(known, &mut poll)
    }

    #[inline(never)] // as `observe_token`
    fn predict_part(&self, known: PartialNote, poll: &mut dyn FnMut()) -> Prediction {
        self.isa.run(Predict { network: self, known, poll })
    }
}

#[cfg(feature = "std")]
impl<const LAYERS: usize, const HIDDEN: usize> Network<'_, LAYERS, HIDDEN> {
    pub(crate) fn layers(&self) -> usize {
        self.model.layers
    }

    /// Units of a layer.
    pub(crate) fn width(&self) -> usize {
        self.model.hidden
    }

    /// Visits the cells of some units, layer by layer.
    pub(crate) fn cells(&mut self, units: Range<usize>, visit: impl FnMut(&mut f32)) {
        let layers = self.cell.iter_mut().take(self.model.layers);
        let cells = layers.filter_map(|cell| cell.get_mut(units.clone()));
        cells.flatten().for_each(visit);
    }
}

impl<const LAYERS: usize, const HIDDEN: usize> AsMut<Self> for Network<'_, LAYERS, HIDDEN> {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

/// A layer's part of a state; empty if the layer or the width does not exist. The model of a
/// constructed network has both.
#[inline(always)]
fn part<const HIDDEN: usize>(state: &[[f32; HIDDEN]], layer: usize, width: usize) -> &[f32] {
    state.get(layer).and_then(|state| state.get(..width)).unwrap_or_default()
}

/// Mutable [`part`].
#[inline(always)]
fn part_mut<const HIDDEN: usize>(
    state: &mut [[f32; HIDDEN]],
    layer: usize,
    width: usize,
) -> &mut [f32] {
    state.get_mut(layer).and_then(|state| state.get_mut(..width)).unwrap_or_default()
}
