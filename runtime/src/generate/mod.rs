//! Generates notes, one after the other.

mod drift;
pub mod guard;
mod notes;
mod pace;
mod placing;
mod repetition;
mod sampling;
mod start;

use crate::kernels::Isa;
use crate::model::{Model, ModelError};
use crate::network::history::PartialNote;
use crate::network::{Network, Prediction};
use crate::note::Note;
use crate::note::vocabulary::{self, Hands};
use drift::DriftGuard;
use guard::{Filter, Guard};
pub use notes::Notes;
use pace::Pace;
use repetition::RepetitionGuard;
use sampling::{Random, draw, draw_in_bands};
pub use sampling::{Sampling, SamplingParams};
pub use start::Start;

/// Number of pitches that can be played: all tokens but the start token.
const PLAYABLE: usize = 128;

/// Generates notes: a [`Network`] and a source of random numbers.
///
/// The notes depend on the model file, the [`Start`], the notes observed and the [`Sampling`] alone.
///
/// `LAYERS` and `HIDDEN` are the capacities of the inline buffers: the default, 3 layers of 512
/// units, takes 16 KB. [`new`](Generator::new) makes a generator of that size;
/// [`from_model`](Generator::from_model) makes others, such as `Generator::<2, 256>`.
#[derive(Clone, Debug)]
pub struct Generator<'m, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    network: Network<'m, LAYERS, HIDDEN>,
    random: Random,
    /// Keeps the generator from repeating its training songs.
    guard: Option<Guard<'m>>,
    piece: PieceState,
}

/// The state of a piece, besides the network's.
#[derive(Clone, Debug)]
struct PieceState {
    repetition: RepetitionGuard,
    drift: DriftGuard,
    /// Seconds that the piece is behind its target density.
    behind: f32,
    /// The next step, where it had to be drawn early, and what `behind` was before; see
    /// [`Generator::cut`].
    step: Option<(f32, f32)>,
}

impl PieceState {
    /// The state before the first note.
    const INITIAL: Self = Self {
        repetition: RepetitionGuard::new(),
        drift: DriftGuard::new(),
        behind: 0.0,
        step: None,
    };
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> AsMut<Network<'m, LAYERS, HIDDEN>>
    for Generator<'m, LAYERS, HIDDEN>
{
    fn as_mut(&mut self) -> &mut Network<'m, LAYERS, HIDDEN> {
        &mut self.network
    }
}

impl<'m> Generator<'m> {
    /// A generator at the start of a piece, with room for 3 layers of 512 units;
    /// [`from_model`](Self::from_model) has room for other sizes.
    ///
    /// `start` is a seed, or a [`Start`].
    ///
    /// # Errors
    /// As those of [`from_model`](Self::from_model).
    #[inline]
    pub fn new(model: &'m Model<'m>, start: impl Into<Start>) -> Result<Self, ModelError> {
        Self::at_start(model, start.into())
    }
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> Generator<'m, LAYERS, HIDDEN> {
    /// A generator at the start of a piece, for models of up to `LAYERS` layers of `HIDDEN` units.
    ///
    /// ```
    /// use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Model, ModelError};
    /// # fn example(model: &Model) -> Result<(), ModelError> {
    /// let mut small = Generator::<2, 256>::from_model(model, 42)?;
    /// let mut any = Generator::<MAX_LAYERS, MAX_HIDDEN>::from_model(model, 42)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the model has more than `LAYERS` layers or `HIDDEN` units;
    /// [`ModelError::Misaligned`] on Cortex-M if it does not start at a multiple of 4 bytes.
    #[inline]
    pub fn from_model(model: &'m Model<'m>, start: impl Into<Start>) -> Result<Self, ModelError> {
        Self::at_start(model, start.into())
    }

    #[inline(never)] // so that a caller's stack need not keep what it is made of
    fn at_start(model: &'m Model<'m>, start: Start) -> Result<Self, ModelError> {
        let mut made = Network::uninitialized(Isa::best(), model, start.hands)
            .map(|network| Self::from_network(network, start.seed));
        if let Ok(generator) = &mut made {
            generator.network.begin();
        }
        made
    }

    /// A generator that continues from a network's state.
    #[inline(always)]
    pub fn from_network(network: Network<'m, LAYERS, HIDDEN>, seed: u64) -> Self {
        Self { network, random: Random::new(seed), guard: None, piece: PieceState::INITIAL }
    }

    /// Blocks the passages in a filter from here on; `None` clears it.
    ///
    /// Where every pitch of scale and register would complete such a passage, none is blocked. With a
    /// wide register that does not happen.
    pub fn set_filter(&mut self, filter: Option<&Filter<'m>>) {
        self.guard = filter.map(Guard::new);
    }

    /// Starts another piece. From here on the notes are those of a new generator with this start and
    /// this filter.
    pub fn restart(&mut self, start: impl Into<Start>) {
        self.restart_with_poll(start, || {});
    }

    /// The hands that play the piece.
    pub fn hands(&self) -> Hands {
        self.network.hands()
    }

    /// As [`restart`](Self::restart), with a `poll` as that of
    /// [`next_note_with_poll`](Self::next_note_with_poll).
    pub fn restart_with_poll(&mut self, start: impl Into<Start>, poll: impl FnMut()) {
        let start = start.into();
        self.network.restart_with_poll(start.hands, poll);
        self.random = Random::new(start.seed);
        self.piece = PieceState::INITIAL;
        if let Some(guard) = &mut self.guard {
            guard.restart();
        }
    }

    /// Observes a note that another player played; the next notes are conditioned on it.
    ///
    /// Its times are made playable first, as those of the model's own notes.
    pub fn observe(&mut self, note: &Note) {
        self.observe_with_poll(note, || {});
    }

    /// Generates the next note and observes it.
    ///
    /// Its parts are drawn in turn, each conditioned on those before it. The report's model predicts
    /// times by regression instead: they may be negative or not finite, [`Note::playable_seconds`]
    /// makes them playable, and the network observes the note as played; with a limit of
    /// [polyphony](Sampling::polyphony), its duration as drawn. The start token is never drawn.
    pub fn next_note(&mut self, sampling: &Sampling) -> Note {
        self.next_note_with_poll(sampling, || {})
    }

    /// As [`next_note`](Self::next_note), and calls `poll` more than a hundred times during the
    /// computation, at about even intervals, so that a board can send its messages in time.
    pub fn next_note_with_poll(&mut self, sampling: &Sampling, mut poll: impl FnMut()) -> Note {
        let note = self.draw(sampling, &mut poll);
        self.network.observe_with_poll(&note, &mut poll);
        self.cut(note, sampling, &mut poll)
    }

    /// As [`observe`](Self::observe), with a `poll` as that of
    /// [`next_note_with_poll`](Self::next_note_with_poll).
    pub fn observe_with_poll(&mut self, note: &Note, poll: impl FnMut()) {
        let note = self.accept(note);
        self.network.observe_with_poll(&note, poll);
    }

    /// Generates the next note of each of several pieces of the same model, as
    /// [`next_note`](Self::next_note) would one by one, but faster: each weight is fetched once for
    /// all. `notes` should be as long as `generators`; generators beyond its end do nothing.
    pub fn next_notes(generators: &mut [Self], sampling: &Sampling, notes: &mut [Note]) {
        for (generator, note) in generators.iter_mut().zip(&mut *notes) {
            *note = generator.draw(sampling, &mut || {});
        }
        Network::observe_batch(generators, notes);
        for (generator, note) in generators.iter_mut().zip(notes) {
            *note = generator.cut(*note, sampling, &mut || {});
        }
    }

    /// The network, with its state.
    #[cfg(feature = "std")]
    pub(crate) fn network(&self) -> &Network<'m, LAYERS, HIDDEN> {
        &self.network
    }

    /// Draws the next note; the network has yet to observe it.
    pub(crate) fn draw(&mut self, sampling: &Sampling, poll: &mut impl FnMut()) -> Note {
        let mut note =
            Note { pitch: 0, velocity: Note::DEFAULT_VELOCITY, step: 0.0, duration: 0.0 };
        note.step = match self.piece.step.take() {
            Some((step, _)) => step,
            None => self.next_step(sampling, poll),
        };
        let known = PartialNote::Step(note.step);
        if let Prediction::Choice(logits) = self.network.predict_with_poll(known, &mut *poll) {
            note.pitch = self.draw_pitch(&logits, note.step, sampling);
        }
        let known = PartialNote::Pitch(note.step, note.pitch);
        note.duration = match self.network.predict_with_poll(known, &mut *poll) {
            Prediction::Choice(logits) => {
                let bin = self.draw_time(&logits, sampling);
                let place = self.another_place(&sampling.time);
                placing::duration(self.network.history(), note.step, bin, place)
            }
            Prediction::Seconds(seconds) => seconds,
            Prediction::Unknown => 0.0,
        };
        note.duration = Note::playable_seconds(note.duration);
        let known = PartialNote::Duration(note.step, note.pitch, note.duration);
        if let Prediction::Choice(logits) = self.network.predict_with_poll(known, &mut *poll) {
            let bin = if sampling.drift_guard {
                let biased = self.piece.drift.bias_velocity(&logits);
                draw(&biased, &sampling.velocity, &mut self.random)
            } else {
                draw(&logits, &sampling.velocity, &mut self.random)
            };
            let greedy = sampling.velocity.is_greedy();
            note.velocity = vocabulary::velocity(bin, if greedy { 2 } else { self.random.bits() });
        }
        self.record(&note);
        self.piece.drift.observe(&note);
        note
    }

    /// Draws the step of the next note, in seconds.
    #[inline(never)] // boards have no flash for a copy at every call
    fn next_step(&mut self, sampling: &Sampling, poll: &mut impl FnMut()) -> f32 {
        match self.network.predict_with_poll(PartialNote::Empty, &mut *poll) {
            Prediction::Choice(logits) => self.draw_step(&logits, sampling),
            Prediction::Seconds(seconds) => Note::playable_seconds(seconds),
            Prediction::Unknown => 0.0,
        }
    }

    /// Ends a note, which the network has just observed, at the onset of the next one if that needs its
    /// voice.
    ///
    /// The pace is then the same with few voices as with many, and notes already returned keep their
    /// durations. The next step is drawn here, from the same random numbers as it would be in its turn.
    pub(crate) fn cut(&mut self, note: Note, sampling: &Sampling, poll: &mut impl FnMut()) -> Note {
        let Some(voices) = sampling.polyphony.filter(|_| self.network.is_expressive()) else {
            return note;
        };
        let behind = self.piece.behind;
        let step = self.next_step(sampling, poll);
        self.piece.step = Some((step, behind));
        if self.network.history().sounding_in(step) < usize::from(voices.max(1)) {
            return note;
        }
        let duration = note.duration.min(step);
        self.network.cut_last(duration);
        Note { duration, ..note }
    }

    /// Records another player's note and makes it playable; the network has yet to observe it.
    pub(crate) fn accept(&mut self, note: &Note) -> Note {
        let (pitch, velocity) = (note.pitch.min(127), note.velocity.min(127));
        let note = Note { pitch, velocity, ..note.playable() };
        if let Some((_, behind)) = self.piece.step.take() {
            self.piece.behind = behind; // that step is not played
        }
        self.record(&note);
        self.piece.drift.observe_other(&note);
        note
    }

    /// Records a note for the guards.
    fn record(&mut self, note: &Note) {
        self.piece.repetition.observe(note.pitch);
        if let Some(guard) = &mut self.guard {
            guard.observe(note);
        }
    }

    /// Draws a step, in seconds.
    fn draw_step(&mut self, logits: &[f32], sampling: &Sampling) -> f32 {
        let sounding = self.network.history().sounding_in(0.0);
        let full = sampling.polyphony.is_some_and(|voices| sounding >= usize::from(voices.max(1)));
        let bin = match logits.split_first() {
            // No note joins a chord if all voices are in use.
            Some((_, later)) if full => {
                let mut logits = [f32::NEG_INFINITY; vocabulary::TIME_BINS];
                logits.iter_mut().skip(1).zip(later).for_each(|(logit, later)| *logit = *later);
                self.draw_time(&logits, sampling)
            }
            _ => self.draw_time(logits, sampling),
        };
        let place = self.another_place(&sampling.time);
        let step = Note::playable_seconds(placing::step(self.network.history(), bin, place));
        let behind = |goal: f32| (self.piece.behind + step - goal).clamp(-MOST_BEHIND, MOST_BEHIND);
        self.piece.behind = sampling.mean_step().map_or(0.0, behind);
        step
    }

    /// Draws the bin of a step or a duration, biased towards the target density or a usual pace.
    #[inline(never)] // boards have no flash for a copy at every call
    fn draw_time(&mut self, logits: &[f32], sampling: &Sampling) -> u8 {
        let whole = self.network.hands() == Hands::Both && sampling.polyphony.is_none();
        let free = sampling.drift_guard && sampling.mean_step().is_none() && whole;
        if !free {
            self.piece.drift.forget_lasting_pace();
        }
        let pace = match sampling.mean_step() {
            Some(goal) => {
                let cost = (TILT * self.piece.behind).clamp(-STEEPEST, STEEPEST);
                Pace { goal, cost, chord: CHORD, fall: 1.0 }
            }
            None if sampling.drift_guard => self.piece.drift.pace(whole),
            None => Pace::FREE,
        };
        draw_in_bands(&pace.bias(logits), TIMES, &sampling.time, &mut self.random)
    }

    /// Draws a pitch of scale and register that completes no blocked passage, is not struck at the same
    /// moment and passes the repetition guard. Where there is none, the last two conditions are
    /// dropped, then the first, then scale and register.
    fn draw_pitch(&mut self, logits: &[f32], step: f32, sampling: &Sampling) -> u8 {
        // The default register rejects a pitch only once it is drawn: a piece that stays on the keys of
        // a piano is the same with and without it.
        if sampling.is_piano() {
            let anywhere = sampling.with_register(0, 127);
            let allowed = self.allowed_pitches(logits, step, &anywhere);
            let pitch = self.draw_allowed(&allowed, &sampling.pitch);
            if sampling.has(pitch) {
                return pitch;
            }
        }
        let allowed = self.allowed_pitches(logits, step, sampling);
        self.draw_allowed(&allowed, &sampling.pitch)
    }

    /// The logits of the pitches that [`draw_pitch`](Self::draw_pitch) chooses from, and −∞ of the others.
    #[inline(never)] // boards have no flash for a copy at every call
    fn allowed_pitches(&self, logits: &[f32], step: f32, sampling: &Sampling) -> [f32; PLAYABLE] {
        let expressive = self.network.is_expressive();
        let guarded = expressive && sampling.drift_guard && sampling.is_wide();
        let bias = self.piece.drift.pitch_bias(self.network.hands());
        let mut allowed = [f32::NEG_INFINITY; PLAYABLE];
        let mut fill = |allow: &dyn Fn(u8) -> bool| {
            let mut some = false;
            for (pitch, (allowed, logit)) in (0u8..).zip(allowed.iter_mut().zip(logits)) {
                let allow = allow(pitch);
                let biased = if guarded { logit + bias(pitch) } else { *logit };
                *allowed = if allow { biased } else { f32::NEG_INFINITY };
                some |= allow;
            }
            some
        };
        let known = |pitch| self.guard.as_ref().is_some_and(|guard| guard.forbids(step, pitch));
        let stale = |pitch| {
            let struck = expressive && self.network.history().is_struck(pitch, step);
            struck || sampling.repetition_guard && self.piece.repetition.forbids(pitch)
        };
        let in_range = |pitch| sampling.has(pitch);
        let _ = fill(&|pitch| in_range(pitch) && !stale(pitch) && !known(pitch))
            || fill(&|pitch| in_range(pitch) && !known(pitch))
            || fill(&|pitch| in_range(pitch))
            || fill(&|_| true);
        allowed
    }

    /// Draws one of the pitches whose logits are finite.
    #[inline(never)] // boards have no flash for a copy at every call
    fn draw_allowed(&mut self, allowed: &[f32; PLAYABLE], params: &SamplingParams) -> u8 {
        if self.network.is_expressive() {
            draw_in_bands(allowed, THIRDS, params, &mut self.random)
        } else {
            draw(allowed, params, &mut self.random)
        }
    }

    /// Random position within its bin of a time that neither coincides with a note's end nor keeps to a pulse. Three
    /// in eight times get one, nearly as in the reference corpus (32 % of steps, 39 % of durations), and all before
    /// there is a pulse; none in greedy decoding.
    fn another_place(&mut self, params: &SamplingParams) -> Option<u32> {
        if params.is_greedy() {
            return None;
        }
        let bits = self.random.bits();
        let another = bits >> 29 < 3 || self.network.history().pulse() == 0.0;
        another.then_some(bits)
    }
}

/// Bands of pitches: three neighbouring semitones each. With bands of an octave, low temperatures would
/// leave few pitch classes.
const THIRDS: (usize, usize) = (3, 3);

/// Bands of times: 0 alone, then one per octave (doubling).
const TIMES: (usize, usize) = (1, 8);

/// Logit penalty per bin of a time, for each second that a piece is behind its density.
const TILT: f32 = 0.1;

/// Penalty of a step of 0 where a piece is ahead of its density, in bins: a doubling of time.
const CHORD: f32 = 8.0;

/// Largest logit penalty per bin.
const STEEPEST: f32 = 0.8;

/// Limit of the seconds that a piece is counted behind or ahead of its density.
const MOST_BEHIND: f32 = 60.0;

/// A generator for 3 layers of 512 units fits in 16 KiB.
const _: () = assert!(size_of::<Generator>() <= 16 * 1024);
