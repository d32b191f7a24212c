//! Notes, one after the other.

mod drift;
pub mod guard;
mod loops;
mod pace;
mod placing;
mod sampling;

use crate::kernels::Isa;
use crate::model::{Model, ModelError};
use crate::network::history::PartialNote;
use crate::network::{Network, Prediction};
use crate::note::Note;
use crate::note::vocabulary::{self, Hands};
use drift::Drift;
use guard::{Filter, Guard};
use loops::Loops;
use pace::Pace;
use sampling::{Random, draw, draw_in_bands};
pub use sampling::{Sampling, SamplingParams};

/// Number of pitches that can be played: all tokens but BOS.
const PLAYABLE: usize = 128;

/// Makes up notes: a [`Network`] and a source of random numbers.
///
/// The notes depend on the model file, the seed, the notes heard and the [`Sampling`] alone.
#[derive(Clone, Debug)]
pub struct Generator<'m, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    network: Network<'m, LAYERS, HIDDEN>,
    random: Random,
    /// What keeps it from repeating its training songs, if anything does.
    guard: Option<Guard<'m>>,
    course: Course,
}

/// What is kept of a piece, besides what the network has heard.
#[derive(Clone, Debug)]
struct Course {
    loops: Loops,
    drift: Drift,
    /// Seconds that the piece is behind the density asked for.
    behind: f32,
    /// The next step, where it had to be drawn early; see [`Generator::cut`].
    step: Option<f32>,
}

impl Course {
    /// That of a piece that has not begun.
    const START: Self = Self { loops: Loops::new(), drift: Drift::new(), behind: 0.0, step: None };
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> AsMut<Network<'m, LAYERS, HIDDEN>>
    for Generator<'m, LAYERS, HIDDEN>
{
    fn as_mut(&mut self) -> &mut Network<'m, LAYERS, HIDDEN> {
        &mut self.network
    }
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> Generator<'m, LAYERS, HIDDEN> {
    /// A generator at the start of a piece.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the model has more than `LAYERS` layers or `HIDDEN` units.
    #[inline(never)] // so that a caller's stack need not keep what it is made of
    pub fn new(model: &'m Model<'m>, seed: u64) -> Result<Self, ModelError> {
        let mut made = Network::uninitialized(Isa::best(), model)
            .map(|network| Self::from_network(network, seed));
        if let Ok(generator) = &mut made {
            generator.network.begin();
        }
        made
    }

    /// A generator that goes on from what a network has heard.
    #[inline(always)]
    pub fn from_network(network: Network<'m, LAYERS, HIDDEN>, seed: u64) -> Self {
        Self { network, random: Random::new(seed), guard: None, course: Course::START }
    }

    /// Has it play no passage that a filter knows, from here on; or any again.
    ///
    /// Where every pitch of scale and register would complete one, none is kept back. With a wide register
    /// that does not happen.
    pub fn set_filter(&mut self, filter: Option<&Filter<'m>>) {
        self.guard = filter.map(Guard::new);
    }

    /// Starts another piece, for the same hands: forgets what was heard and takes a new seed.
    pub fn restart(&mut self, seed: u64) {
        self.restart_with_poll(seed, || {});
    }

    /// As [`restart`](Self::restart), with a piece for these hands; a new generator's is for both.
    pub fn restart_for(&mut self, hands: Hands, seed: u64) {
        self.network.tell(hands);
        self.restart(seed);
    }

    /// As [`restart`](Self::restart), with a `poll` as that of
    /// [`next_note_with_poll`](Self::next_note_with_poll).
    pub fn restart_with_poll(&mut self, seed: u64, poll: impl FnMut()) {
        self.network.restart_with_poll(poll);
        self.random = Random::new(seed);
        self.course = Course::START;
        if let Some(guard) = &mut self.guard {
            guard.restart();
        }
    }

    /// Hears a note that someone else played; the next notes go on from it.
    ///
    /// Its times are made playable first, as those of the model's own notes.
    pub fn observe(&mut self, note: &Note) {
        self.observe_with_poll(note, || {});
    }

    /// Makes up the next note, and hears it.
    ///
    /// Its parts are chosen in turn, each in view of those before it. The report's model foretells
    /// times instead: they may be negative or not finite, [`Note::playable_seconds`] makes them
    /// playable, and it is the note as played that is heard. BOS is never drawn.
    pub fn next_note(&mut self, sampling: &Sampling) -> Note {
        self.next_note_with_poll(sampling, || {})
    }

    /// As [`next_note`](Self::next_note), and calls `poll` more than a hundred times on the way,
    /// about evenly: a board sends its messages in time while it makes up the next note.
    pub fn next_note_with_poll(&mut self, sampling: &Sampling, mut poll: impl FnMut()) -> Note {
        let note = self.draw(sampling, &mut poll);
        self.network.observe_with_poll(&note, &mut poll);
        self.cut(note, sampling, poll)
    }

    /// As [`observe`](Self::observe), with a `poll` as that of
    /// [`next_note_with_poll`](Self::next_note_with_poll).
    pub fn observe_with_poll(&mut self, note: &Note, poll: impl FnMut()) {
        let note = self.take(note);
        self.network.observe_with_poll(&note, poll);
    }

    /// The next note of each of several pieces, as [`next_note`](Self::next_note) would make them
    /// up one by one, only faster: each weight is fetched once for all. The generators play the same
    /// model. `notes` takes as many as there are generators, or as it has room for; those without a
    /// place for their note make up none.
    pub fn next_notes(generators: &mut [Self], sampling: &Sampling, notes: &mut [Note]) {
        for (generator, note) in generators.iter_mut().zip(&mut *notes) {
            *note = generator.draw(sampling, || {});
        }
        Network::observe_batch(generators, notes);
        for (generator, note) in generators.iter_mut().zip(notes) {
            *note = generator.cut(*note, sampling, || {});
        }
    }

    /// The network, with what it has heard.
    #[cfg(feature = "std")]
    pub(crate) fn network(&self) -> &Network<'m, LAYERS, HIDDEN> {
        &self.network
    }

    /// Draws the next note; the network has not yet heard it.
    pub(crate) fn draw(&mut self, sampling: &Sampling, mut poll: impl FnMut()) -> Note {
        let mut note =
            Note { pitch: 0, velocity: Note::DEFAULT_VELOCITY, step: 0.0, duration: 0.0 };
        note.step = match self.course.step.take() {
            Some(step) => step,
            None => self.next_step(sampling, &mut poll),
        };
        let known = PartialNote::Step(note.step);
        if let Prediction::Choice(logits) = self.network.predict_with_poll(known, &mut poll) {
            note.pitch = self.draw_pitch(&logits, note.step, sampling);
        }
        let known = PartialNote::Pitch(note.step, note.pitch);
        note.duration = match self.network.predict_with_poll(known, &mut poll) {
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
        if let Prediction::Choice(logits) = self.network.predict_with_poll(known, &mut poll) {
            let bin = if sampling.drift_guard {
                let led = self.course.drift.lead_velocity(&logits);
                draw(&led, &sampling.velocity, &mut self.random)
            } else {
                draw(&logits, &sampling.velocity, &mut self.random)
            };
            let greedy = sampling.velocity.is_greedy();
            note.velocity = vocabulary::velocity(bin, if greedy { 2 } else { self.random.bits() });
        }
        self.follow(&note);
        self.course.drift.observe(&note);
        note
    }

    /// Draws the step of the next note, in seconds.
    fn next_step(&mut self, sampling: &Sampling, poll: impl FnMut()) -> f32 {
        match self.network.predict_with_poll(PartialNote::Empty, poll) {
            Prediction::Choice(logits) => self.draw_step(&logits, sampling),
            Prediction::Seconds(seconds) => Note::playable_seconds(seconds),
            Prediction::Unknown => 0.0,
        }
    }

    /// Ends a note that the network has just heard as the next one starts, where its voice is needed for that.
    ///
    /// Times then do not wait for a voice, and those who have been given the earlier notes need not take them
    /// back. When the next note starts is drawn here, from the same random numbers as a moment later.
    pub(crate) fn cut(&mut self, note: Note, sampling: &Sampling, poll: impl FnMut()) -> Note {
        if sampling.polyphony == 0 || !self.network.is_expressive() {
            return note;
        }
        let step = self.next_step(sampling, poll);
        self.course.step = Some(step);
        if self.network.history().sounding_in(step) < usize::from(sampling.polyphony) {
            return note;
        }
        let duration = note.duration.min(step);
        self.network.cut_last(duration);
        Note { duration, ..note }
    }

    /// Takes a note that someone else played, and makes it playable; the network has not yet heard it.
    pub(crate) fn take(&mut self, note: &Note) -> Note {
        let (pitch, velocity) = (note.pitch.min(127), note.velocity.min(127));
        let note = Note { pitch, velocity, ..note.playable() };
        self.course.step = None;
        self.follow(&note);
        self.course.drift.observe_other(&note);
        note
    }

    /// Keeps a note for what watches over the piece.
    fn follow(&mut self, note: &Note) {
        self.course.loops.observe(note.pitch);
        if let Some(guard) = &mut self.guard {
            guard.observe(note);
        }
    }

    /// Draws a step, in seconds.
    fn draw_step(&mut self, logits: &[f32], sampling: &Sampling) -> f32 {
        let voices = usize::from(sampling.polyphony);
        let full = voices > 0 && self.network.history().sounding_in(0.0) >= voices;
        let bin = match logits.split_first() {
            // No note joins a chord for which there is no voice.
            Some((_, later)) if full => {
                let mut logits = [f32::NEG_INFINITY; vocabulary::TIME_BINS];
                logits.iter_mut().skip(1).zip(later).for_each(|(logit, later)| *logit = *later);
                self.draw_time(&logits, sampling)
            }
            _ => self.draw_time(logits, sampling),
        };
        let place = self.another_place(&sampling.time);
        let step = Note::playable_seconds(placing::step(self.network.history(), bin, place));
        let behind =
            |goal: f32| (self.course.behind + step - goal).clamp(-MOST_BEHIND, MOST_BEHIND);
        self.course.behind = sampling.mean_step().map_or(0.0, behind);
        step
    }

    /// Draws the bin of a step or a duration, led to the density asked for, or back to a usual pace.
    #[inline(never)] // boards have no flash for a copy at every call
    fn draw_time(&mut self, logits: &[f32], sampling: &Sampling) -> u8 {
        let whole = self.network.hands() == Hands::Both && sampling.polyphony == 0;
        let free = sampling.drift_guard && sampling.mean_step().is_none() && whole;
        if !free {
            self.course.drift.forget_lasting_pace();
        }
        let pace = match sampling.mean_step() {
            Some(goal) => {
                let cost = (TILT * self.course.behind).clamp(-STEEPEST, STEEPEST);
                Pace { goal, cost, chord: CHORD, fall: 1.0 }
            }
            None if sampling.drift_guard => self.course.drift.pace(whole),
            None => Pace::FREE,
        };
        draw_in_bands(&pace.lead(logits), TIMES, &sampling.time, &mut self.random)
    }

    /// Draws a pitch: of those asked for, one that completes no known passage, is not struck at this very
    /// moment and does not go round in circles; where there is none, one that completes no known passage;
    /// then any of those asked for; and where scale and register have none, any at all.
    fn draw_pitch(&mut self, logits: &[f32], step: f32, sampling: &Sampling) -> u8 {
        let expressive = self.network.is_expressive();
        let guarded = expressive && sampling.drift_guard && sampling.is_wide();
        let lead = self.course.drift.lead(self.network.hands());
        let mut allowed = [f32::NEG_INFINITY; PLAYABLE];
        let mut fill = |allow: &dyn Fn(u8) -> bool| {
            let mut some = false;
            for (pitch, (allowed, logit)) in (0u8..).zip(allowed.iter_mut().zip(logits)) {
                let allow = allow(pitch);
                let led = if guarded { logit + lead(pitch) } else { *logit };
                *allowed = if allow { led } else { f32::NEG_INFINITY };
                some |= allow;
            }
            some
        };
        let known = |pitch| self.guard.as_ref().is_some_and(|guard| guard.forbids(step, pitch));
        let stale = |pitch| {
            let struck = expressive && self.network.history().is_struck(pitch, step);
            struck || sampling.loop_guard && self.course.loops.forbids(pitch)
        };
        let asked_for = |pitch| {
            if sampling.is_piano() { sampling.scale.contains(pitch) } else { sampling.has(pitch) }
        };
        let _ = fill(&|pitch| asked_for(pitch) && !stale(pitch) && !known(pitch))
            || fill(&|pitch| asked_for(pitch) && !known(pitch))
            || fill(&|pitch| asked_for(pitch))
            || fill(&|_| true);
        let mut draw = |allowed: &[f32; PLAYABLE]| {
            if expressive {
                draw_in_bands(allowed, THIRDS, &sampling.pitch, &mut self.random)
            } else {
                draw(allowed, &sampling.pitch, &mut self.random)
            }
        };
        let pitch = draw(&allowed);
        if sampling.has(pitch) || !sampling.is_piano() {
            return pitch;
        }
        // The default register rejects a pitch once it is drawn, so that all other pieces stay what they were.
        let mut some = false;
        for (pitch, allowed) in (0u8..).zip(&mut allowed) {
            if !sampling.has(pitch) {
                *allowed = f32::NEG_INFINITY;
            }
            some |= *allowed > f32::NEG_INFINITY;
        }
        if some { draw(&allowed) } else { pitch }
    }

    /// Where in its bin a time lies that no note's end places and that keeps to no pulse: three in eight, nearly as
    /// in the songs of the reference corpus (32 % of steps, 39 % of durations), and all before there is a pulse;
    /// none where nothing is left to chance.
    fn another_place(&mut self, freedom: &SamplingParams) -> Option<u32> {
        if freedom.is_greedy() {
            return None;
        }
        let bits = self.random.bits();
        let another = bits >> 29 < 3 || self.network.history().pulse() == 0.0;
        another.then_some(bits)
    }
}

/// Bands of pitches: three neighbouring semitones each. In octaves, low temperatures would leave few
/// pitch classes.
const THIRDS: (usize, usize) = (3, 3);

/// Bands of times: none, and an octave each.
const TIMES: (usize, usize) = (1, 8);

/// What a bin of a time costs for each second that a piece is behind its density.
const TILT: f32 = 0.1;

/// What a step of nothing costs where a piece is ahead of its density, in bins: an octave of time.
const CHORD: f32 = 8.0;

/// Most that a bin costs.
const STEEPEST: f32 = 0.8;

/// Most seconds that a piece is remembered to be behind its density, or ahead.
const MOST_BEHIND: f32 = 60.0;
