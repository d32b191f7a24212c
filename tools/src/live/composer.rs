//! The model's side of a performance: makes up notes when they are wanted, and takes back those that
//! never started.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Note, Sampling, Start};

use crate::live::ear::Ear;
use crate::live::mapping::Request;
use crate::live::timing::{Command, Report};

/// A piece as far as it has come: all that its next note depends on. A copy takes some 70 KB.
#[derive(Clone)]
pub struct Piece<'a> {
    pub generator: Generator<'a, MAX_LAYERS, MAX_HIDDEN>,
    /// Notes to open with.
    pub primer: &'a [Note],
    /// Notes to make up after those.
    pub notes: u64,
    /// Seconds after the primer in which notes may start.
    pub seconds: f64,
    /// Seed of the piece.
    pub seed: u64,
}

impl Piece<'_> {
    /// The next note, unless the piece is over.
    fn next(&mut self, sampling: &Sampling) -> Option<Note> {
        if let Some((note, rest)) = self.primer.split_first() {
            self.generator.observe(note);
            self.primer = rest;
            return Some(*note);
        }
        self.notes = self.notes.checked_sub(1)?;
        let note = self.generator.next_note(sampling);
        self.seconds -= f64::from(note.step);
        (self.seconds >= 0.0).then_some(note)
    }
}

/// Makes up the notes that the timing thread wants, until that ends.
pub fn compose(
    mut piece: Piece,
    sampling: &Mutex<Sampling>,
    mut ear: Option<Ear>,
    reports: &Receiver<Report>,
    commands: &Sender<Command>,
) {
    // The piece as it was before each of the notes that have not started yet.
    let mut before = VecDeque::new();
    for report in reports {
        match report {
            Report::Wanted => {
                before.push_back(piece.clone());
                let sampling = *current(sampling);
                let command = piece.next(&sampling).map_or(Command::End, Command::Note);
                if commands.send(command).is_err() {
                    return;
                }
            }
            Report::Started(onset) => {
                before.pop_front();
                ear.iter_mut().for_each(|ear| ear.started(onset));
            }
            Report::Forgotten => {
                if let Some(first) = before.pop_front() {
                    piece = first;
                }
                before.clear();
            }
            Report::Asked(request, at) => match (request, &mut ear) {
                (Request::Turn(knob, value), _) => knob.turn(&mut current(sampling), value),
                (Request::Start, ear) => {
                    piece.seed = piece.seed.wrapping_add(1);
                    let hands = piece.generator.hands();
                    piece.generator.restart(Start::new(piece.seed).with_hands(hands));
                    piece.primer = &[];
                    ear.iter_mut().for_each(Ear::restart);
                }
                (_, Some(ear)) => ear.take(request, at, |note| piece.generator.observe(note)),
                _ => {}
            },
        }
    }
}

/// The controls as they stand.
pub fn current(sampling: &Mutex<Sampling>) -> MutexGuard<'_, Sampling> {
    // Whoever panicked has not left them half turned.
    sampling.lock().unwrap_or_else(PoisonError::into_inner)
}
