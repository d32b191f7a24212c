//! The model thread of a performance: generates notes on request, and retracts those that never
//! started.

use std::collections::VecDeque;
use std::sync::Mutex;

use pianola_runtime::{
    Controls, Event, Generator, MAX_HIDDEN, MAX_LAYERS, Note, Sampling, Start, TransportCommand,
};

use crate::live::lock::lock;
use crate::live::performance::{Input, ToModel};
use crate::live::queue::{Inbox, ModelQueue};
use crate::live::transcriber::Transcriber;

/// The current piece: all state that its next note depends on. A copy takes some 70 KB.
#[derive(Clone)]
pub struct Piece<'a> {
    pub generator: Generator<'a, MAX_LAYERS, MAX_HIDDEN>,
    /// Primer notes still to play.
    pub primer: &'a [Note],
    /// Notes still to generate after those.
    pub notes: u64,
    /// Seconds after the primer in which notes may start.
    pub seconds: f64,
    /// Seed of the piece.
    pub seed: u64,
}

impl Piece<'_> {
    /// Returns the next note, or none at the end of the piece.
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

    fn restart(&mut self) {
        self.seed = self.seed.wrapping_add(1);
        let hands = self.generator.hands();
        self.generator.restart(Start::new(self.seed).with_hands(hands));
        self.primer = &[];
    }
}

/// Generates the notes that the timing thread requests, until that thread ends. Calls `begin` with
/// each piece's seed.
pub fn compose(
    mut piece: Piece,
    controls: &Mutex<Controls>,
    mut transcriber: Option<Transcriber>,
    queue: &ModelQueue,
    inbox: &Inbox,
    begin: impl Fn(u64),
) {
    begin(piece.seed);
    // Snapshots of the piece before each note that has not started yet.
    let mut before = VecDeque::new();
    while let Some(message) = queue.next() {
        match message {
            ToModel::Wanted => {
                before.push_back(piece.clone());
                let controls = *lock(controls);
                let note = piece.next(&controls.sampling);
                let answer = note.map_or(Input::End, |note| Input::Note(controls.transpose(&note)));
                inbox.put(|arrived| arrived.answer = Some(answer));
            }
            ToModel::Started(onset) => {
                before.pop_front();
                transcriber.iter_mut().for_each(|transcriber| transcriber.started(onset));
            }
            ToModel::Forgotten => {
                if let Some(first) = before.pop_front() {
                    piece = first;
                }
                before.clear();
            }
            ToModel::Event(Event::Set(control, value), _) => {
                control.set(&mut lock(controls), value);
            }
            ToModel::Event(Event::Transport(TransportCommand::Start), _) => {
                piece.restart();
                transcriber.iter_mut().for_each(Transcriber::restart);
                begin(piece.seed);
            }
            ToModel::Event(event, at) => {
                if let Some(transcriber) = &mut transcriber {
                    transcriber.take(event, at, |note| piece.generator.observe(note));
                }
            }
        }
    }
}
