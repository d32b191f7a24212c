//! Notes, one after the other.

use crate::model::{Model, ModelError};
use crate::network::Network;
use crate::note::Note;
use crate::sampling::{Random, Sampling, draw};
use crate::scale::Scale;

/// Number of pitches that can be played: all tokens but BOS.
const PLAYABLE: usize = 128;

/// Makes up notes: a [`Network`] and a source of random numbers.
///
/// The notes depend on the model file, the seed, the notes heard and the [`Sampling`] alone.
#[derive(Clone, Debug)]
pub struct Generator<'m, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    network: Network<'m, LAYERS, HIDDEN>,
    random: Random,
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
    pub fn new(model: &'m Model<'m>, seed: u64) -> Result<Self, ModelError> {
        Ok(Self::of(Network::new(model)?, seed))
    }

    /// A generator that goes on from what a network has heard.
    pub fn of(network: Network<'m, LAYERS, HIDDEN>, seed: u64) -> Self {
        Self { network, random: Random::new(seed) }
    }

    /// Starts another piece: forgets what was heard and takes a new seed.
    pub fn restart(&mut self, seed: u64) {
        self.restart_meanwhile(seed, || {});
    }

    /// As [`restart`](Self::restart), with a `meanwhile` as that of
    /// [`next_note_meanwhile`](Self::next_note_meanwhile).
    pub fn restart_meanwhile(&mut self, seed: u64, meanwhile: impl FnMut()) {
        self.network.restart_meanwhile(meanwhile);
        self.random = Random::new(seed);
    }

    /// Hears a note that someone else played; the next notes go on from it.
    ///
    /// Its times are made playable first, as those of the model's own notes.
    pub fn hear(&mut self, note: &Note) {
        self.network.hear(&note.playable());
    }

    /// Makes up the next note, and hears it.
    ///
    /// The model's times are regressions and may be negative or not finite:
    /// [`Note::playable_seconds`] makes them playable, and it is the note as played that is heard.
    /// BOS is never drawn.
    pub fn next_note(&mut self, sampling: &Sampling) -> Note {
        self.next_note_meanwhile(sampling, || {})
    }

    /// As [`next_note`](Self::next_note), and calls `meanwhile` more than a hundred times on the way,
    /// about evenly: a board sends its messages in time while it makes up the next note.
    pub fn next_note_meanwhile(
        &mut self,
        sampling: &Sampling,
        mut meanwhile: impl FnMut(),
    ) -> Note {
        let note = self.draw(sampling, &mut meanwhile);
        self.network.hear_meanwhile(&note, meanwhile);
        note
    }

    /// As [`hear`](Self::hear), with a `meanwhile` as that of
    /// [`next_note_meanwhile`](Self::next_note_meanwhile).
    pub fn hear_meanwhile(&mut self, note: &Note, meanwhile: impl FnMut()) {
        self.network.hear_meanwhile(&note.playable(), meanwhile);
    }

    /// The next note of each of several pieces, as [`next_note`](Self::next_note) would make them
    /// up one by one, only faster: each weight is fetched once for all. The generators play the same
    /// model. `notes` takes as many as there are generators, or as it has room for; those without a
    /// place for their note make up none.
    pub fn next_notes(generators: &mut [Self], sampling: &Sampling, notes: &mut [Note]) {
        for (generator, note) in generators.iter_mut().zip(&mut *notes) {
            *note = generator.draw(sampling, || {});
        }
        Network::hear_together(generators, notes);
    }

    /// The network, with what it has heard.
    #[cfg(feature = "std")]
    pub(crate) fn network(&self) -> &Network<'m, LAYERS, HIDDEN> {
        &self.network
    }

    /// Draws the next note; it is not yet heard.
    pub(crate) fn draw(&mut self, sampling: &Sampling, meanwhile: impl FnMut()) -> Note {
        let prediction = self.network.predict_meanwhile(meanwhile);
        let mut logits = [0.0; PLAYABLE];
        for (pitch, (logit, predicted)) in (0u8..).zip(logits.iter_mut().zip(prediction.pitch)) {
            *logit = predicted;
            if sampling.scale != Scale::CHROMATIC && !sampling.scale.contains(pitch) {
                *logit = f32::NEG_INFINITY;
            }
        }
        let note = Note {
            pitch: draw(&logits, sampling, &mut self.random),
            velocity: Note::DEFAULT_VELOCITY,
            step: prediction.step,
            duration: prediction.duration,
        };
        note.playable()
    }
}
