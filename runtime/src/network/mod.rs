//! The forward pass: hears a note, and says what it expects next.

pub mod history;

use core::ops::{Deref, Range};

use crate::kernels::{Integers, Isa, Kernel, ROWS, Work};
use crate::math::{nearest, round};
use crate::model::format::{BOS, MAX_HEAD_HIDDEN, PITCHES, Precision};
use crate::model::matrix::{Activations, Aligned, Matrix, ONE, floats};
use crate::model::{Head, Heads, Input, Model, ModelError, Rest};
use crate::note::Note;
use crate::note::vocabulary::{Hands, RIGHT_HAND, time_bin, velocity_bin};
use history::{History, MOST_ROWS, PartialNote};

/// What the network expects of a part of the next note.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to put it elsewhere")]
pub enum Prediction {
    /// A value for each choice there is.
    Choice(Logits),
    /// A time in seconds, by regression; not yet made playable.
    Seconds(f32),
    /// Nothing: the model does not know this part of a note.
    Unknown,
}

impl Prediction {
    /// Its numbers: as many as there are choices, a time, or none.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Choice(logits) => logits,
            Self::Seconds(seconds) => core::slice::from_ref(seconds),
            Self::Unknown => &[],
        }
    }
}

/// Unnormalised log-probabilities of choices: of pitch tokens, of which the report's model has
/// [`BOS`] too, or of the bins of a time or a velocity.
#[derive(Clone, Debug)]
pub struct Logits {
    values: [f32; LOGITS],
    count: usize,
}

/// Most choices, in whole blocks of rows.
const LOGITS: usize = PITCHES.next_multiple_of(ROWS);

impl Deref for Logits {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.values.get(..self.count).unwrap_or_default()
    }
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
    /// What the heads' features tell of.
    history: History,
    /// Whose notes it hears.
    hands: Hands,
    isa: Isa,
}

/// What one layer needs while its hidden state is being replaced.
#[derive(Clone, Debug)]
enum Scratch<const HIDDEN: usize> {
    /// Float weights: the new hidden state.
    Float([f32; HIDDEN]),
    /// Quantized weights: the layer's input and its old hidden state as integers, one after the
    /// other and arranged for the kernel, and their sum.
    Int { values: Aligned<[[i16; HIDDEN]; 2]>, total: i32 },
}

/// A token to hear: a note, or what starts every sequence.
#[derive(Clone, Copy)]
pub(crate) struct Token(Note);

impl Token {
    /// What starts every sequence.
    const BOS: Self = Self(Note { pitch: BOS, velocity: 0, step: 0.0, duration: 0.0 });
}

#[cfg(feature = "std")]
impl Token {
    /// As words, to be handed to another thread.
    pub fn to_bits(self) -> [u32; 3] {
        let Note { pitch, velocity, step, duration } = self.0;
        [u32::from(pitch) | u32::from(velocity) << 8, step.to_bits(), duration.to_bits()]
    }

    pub fn from_bits([key, step, duration]: [u32; 3]) -> Self {
        let (step, duration) = (f32::from_bits(step), f32::from_bits(duration));
        Self(Note { pitch: key as u8, velocity: (key >> 8) as u8, step, duration })
    }
}

impl From<&Note> for Token {
    fn from(note: &Note) -> Self {
        Self(Note { pitch: note.pitch.min(127), ..*note })
    }
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> Network<'m, LAYERS, HIDDEN> {
    /// A network that has heard the start of a sequence and nothing else.
    ///
    /// # Errors
    /// As those of [`Network::on`].
    pub fn new(model: &'m Model<'m>) -> Result<Self, ModelError> {
        Self::on(Isa::best(), model)
    }

    /// The same on a given instruction set, for those who compare them.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the model does not fit the buffers; [`ModelError::Misaligned`] on
    /// Cortex-M if it does not lie on whole words.
    pub fn on(isa: Isa, model: &'m Model<'m>) -> Result<Self, ModelError> {
        let mut network = Self::uninitialized(isa, model)?;
        network.begin();
        Ok(network)
    }

    /// A network that has heard nothing: it is yet to [`begin`](Self::begin). A board's stack has no room
    /// for many networks, so it should do so where it is to stay.
    #[inline(always)]
    pub(crate) fn uninitialized(isa: Isa, model: &'m Model<'m>) -> Result<Self, ModelError> {
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
        let (history, hands) = (History::new(), Hands::Both);
        Ok(Self { model, hidden, cell, scratch, history, hands, isa })
    }

    /// Hears the start of a sequence.
    pub(crate) fn begin(&mut self) {
        self.hear_token(Token::BOS, &mut || {});
    }

    /// Forgets everything and starts a sequence, for the same hands.
    pub fn restart(&mut self) {
        self.restart_with_poll(|| {});
    }

    /// Forgets everything and starts a sequence of these hands' notes; a new network hears both. For the
    /// report's model there is no difference: it knows one.
    pub fn restart_for(&mut self, hands: Hands) {
        self.tell(hands);
        self.restart();
    }

    /// Whose notes it hears.
    pub(crate) fn hands(&self) -> Hands {
        self.hands
    }

    /// Tells it whose notes it hears from here on.
    pub(crate) fn tell(&mut self, hands: Hands) {
        self.hands = hands;
    }

    /// As [`restart`](Self::restart), with a `poll` as that of
    /// [`observe_with_poll`](Self::observe_with_poll).
    pub fn restart_with_poll(&mut self, mut poll: impl FnMut()) {
        self.hidden = [[0.0; HIDDEN]; LAYERS];
        self.cell = [[0.0; HIDDEN]; LAYERS];
        self.history = History::new();
        self.hear_token(Token::BOS, &mut poll);
    }

    /// Advances the state by one note, its times as they are: not a number among them would stay
    /// in the state. A pitch past 127 is heard as 127.
    pub fn observe(&mut self, note: &Note) {
        self.hear_token(Token::from(note), &mut || {});
    }

    /// Hidden and cell state of a layer, as wide as the model; `None` past the last layer.
    pub fn state(&self, layer: usize) -> Option<(&[f32], &[f32])> {
        let width = self.model.hidden;
        let there = layer < self.model.layers;
        there.then(|| (part(&self.hidden, layer, width), part(&self.cell, layer, width)))
    }

    /// Lets several networks hear a note each, as [`observe`](Self::observe) would one by one, only
    /// faster: each weight is fetched once for all of them.
    ///
    /// Networks of different models hear one by one. Those without a note hear nothing.
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
            network.as_mut().note_down(tokens(index));
        }
        let (units, exchange) = (0..model.hidden, |_: usize, _: &mut [f32]| {});
        isa.run(Observe { model, networks, tokens, units, exchange, poll: || {} });
    }

    /// As [`observe`](Self::observe), and calls `poll` a hundred times or so on the way, about
    /// evenly: for boards that have more to see to.
    pub fn observe_with_poll(&mut self, note: &Note, mut poll: impl FnMut()) {
        self.hear_token(Token::from(note), &mut poll);
    }

    /// Hears a token with all units. What is called on the way is not part of this function's type, so
    /// that there is one such function: boards have no flash for a copy of it for every caller.
    #[inline(never)]
    fn hear_token(&mut self, token: Token, poll: &mut dyn FnMut()) {
        self.observe_units(token, 0..self.model.hidden, |_, _| {}, poll);
    }

    /// Hears a token, but computes only some units of each layer, whole chunks of them; `exchange`
    /// completes the new hidden state of each layer in turn.
    pub(crate) fn observe_units(
        &mut self,
        token: Token,
        units: Range<usize>,
        exchange: impl FnMut(usize, &mut [f32]),
        poll: impl FnMut(),
    ) {
        self.note_down(token);
        let Self { model, isa, .. } = *self;
        let (networks, tokens) = (&mut [self], |_| token);
        isa.run(Observe { model, networks, tokens, units, exchange, poll });
    }

    /// Keeps a note for the heads' features. BOS is none.
    fn note_down(&mut self, Token(note): Token) {
        if note.pitch != BOS {
            self.history.observe(&note);
        }
    }

    /// Whether its model chooses all parts of a note.
    pub(crate) fn is_expressive(&self) -> bool {
        self.model.is_expressive()
    }

    /// What has been heard, as the heads' features tell of it.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Notes down that the last note ends earlier than it was heard to.
    pub(crate) fn cut_last(&mut self, duration: f32) {
        self.history.cut_last(duration);
    }

    /// What the next part of the next note is expected to be, given the parts before it.
    ///
    /// The report's heads expect each part as if the others were not known.
    pub fn predict(&self, known: PartialNote) -> Prediction {
        self.predict_with_poll(known, || {})
    }

    /// As [`predict`](Self::predict), and calls `poll` on the way as
    /// [`observe_with_poll`](Self::observe_with_poll) does.
    pub fn predict_with_poll(&self, known: PartialNote, mut poll: impl FnMut()) -> Prediction {
        self.predict_part(known, &mut poll)
    }

    #[inline(never)] // as `hear_token`
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

/// Units computed side by side, a chunk: each of their four gates is a group of their matrix.
pub(crate) const UNITS: usize = ROWS;

/// Advances networks of one model by one token each.
struct Observe<'n, 'm, N, T, E, M, const LAYERS: usize, const HIDDEN: usize> {
    model: &'m Model<'m>,
    networks: &'n mut [N],
    /// The token of each.
    tokens: T,
    /// The units to compute, whole chunks.
    units: Range<usize>,
    /// Completes a layer's new hidden state where these are not all units.
    exchange: E,
    /// Called between chunks.
    poll: M,
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
                    let heard = (layer == 0).then(|| (&model.input, tokens(index)));
                    network.as_mut().update_chunk(kernel, matrix, layer, chunk, heard, &mut gates);
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
    /// Gathers what a layer's units read.
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
    /// `heard` is there in the first layer: the token adds to the gates through the input table.
    /// `gates` is room for them.
    #[inline(always)]
    fn update_chunk<K: Kernel>(
        &mut self,
        kernel: K,
        matrix: &Matrix,
        layer: usize,
        chunk: usize,
        heard: Option<(&Input, Token)>,
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
        if let Some((input, token)) = heard {
            input.add(&token, self.hands, chunk, gates);
        }
        let new = match &mut self.scratch {
            Scratch::Float(new) => new,
            // The units read the old hidden state as integers: it may be replaced.
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
                hidden.iter_mut().zip(new).for_each(|(hidden, new)| *hidden = *new);
            }
            Scratch::Int { .. } => {
                for value in hidden {
                    // Only absurd weights or times give no number; machines differ in its bits.
                    let number = if value.is_nan() { 0.0 } else { *value };
                    *value = nearest(number * ONE) / ONE;
                }
            }
        }
    }
}

/// A layer's part of a state; nothing if there is no such layer or no such width. A model whose
/// network could be made has both.
#[inline(always)]
fn part<const HIDDEN: usize>(state: &[[f32; HIDDEN]], layer: usize, width: usize) -> &[f32] {
    state.get(layer).and_then(|state| state.get(..width)).unwrap_or_default()
}

/// [`part`], to be changed.
#[inline(always)]
fn part_mut<const HIDDEN: usize>(
    state: &mut [[f32; HIDDEN]],
    layer: usize,
    width: usize,
) -> &mut [f32] {
    state.get_mut(layer).and_then(|state| state.get_mut(..width)).unwrap_or_default()
}

/// Columns of a layer's matrix: its input and its own hidden state.
fn columns(layer: usize, width: usize) -> usize {
    if layer == 0 { width } else { 2 * width }
}

/// Arranges activations as the kernel takes them.
#[inline(always)]
fn arrange<K: Kernel>(kernel: K, precision: Precision, values: &mut [i16]) {
    match precision {
        Precision::Float => {}
        Precision::Int8 => kernel.arrange_int8(values),
        Precision::Int4 => kernel.arrange_int4(values),
    }
}

impl Input<'_> {
    /// Adds what hearing a token adds to the gates of sixteen units of the first layer.
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

/// Runs one of a network's heads.
struct Predict<'n, 'm, 'w, const LAYERS: usize, const HIDDEN: usize> {
    network: &'n Network<'m, LAYERS, HIDDEN>,
    /// What is known of the note: this chooses the head.
    known: PartialNote,
    /// Called between blocks of rows.
    poll: &'w mut dyn FnMut(),
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
                let heard = activations(kernel, precision, network.top(), 1.0, &mut quantized.0);
                times.multiply(kernel, &heard, &mut seconds, poll);
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

    /// Runs a head that chooses.
    #[inline(always)]
    fn choose<K: Kernel>(
        &self,
        kernel: K,
        head: &Head,
        known: PartialNote,
        logits: &mut [f32],
        poll: &mut dyn FnMut(),
    ) {
        // Between them, scaling neither overflows nor divides by nothing.
        const LIMITS: (f32, f32) = (1e-30, 1e30);
        let precision = self.model.precision;
        let mut inner = [0.0; MAX_HEAD_HIDDEN];
        // Behind the last unit come padding rows of the matrix: zeros.
        let inner = inner.get_mut(..head.output.columns).unwrap_or_default();
        let mut quantized = Aligned([0; HIDDEN]);
        let heard = activations(kernel, precision, self.top(), 1.0, &mut quantized.0);
        head.hidden.multiply(kernel, &heard, inner, poll);
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

/// Values as a matrix of some precision takes them. `full` is the largest there may be.
#[inline(always)]
fn activations<'x, K: Kernel>(
    kernel: K,
    precision: Precision,
    values: &'x [f32],
    full: f32,
    quantized: &'x mut [i16],
) -> Activations<'x> {
    if precision == Precision::Float {
        return Activations::Float([values, &[]]);
    }
    let quantized = quantized.get_mut(..values.len()).unwrap_or_default();
    let total = quantize(values, ONE / full, quantized);
    arrange(kernel, precision, quantized);
    Activations::Int { integers: Integers { values: quantized, total }, scale: full / ONE }
}

/// Rounds values times `scale` to integers of at most 14 bits; returns their sum.
#[inline(always)]
fn quantize(values: &[f32], scale: f32, quantized: &mut [i16]) -> i32 {
    let mut total = 0i32;
    for (quantized, value) in quantized.iter_mut().zip(values) {
        *quantized = round(value * scale) as i16;
        total = total.wrapping_add(i32::from(*quantized));
    }
    total
}

/// A model of 3 layers of 512 plays within 16 KiB.
const _: () = assert!(size_of::<crate::Generator>() <= 16 * 1024);
