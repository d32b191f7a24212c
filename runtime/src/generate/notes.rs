//! The notes of a piece as an iterator.

use super::{Generator, Sampling};
use crate::note::Note;

/// An endless iterator over the next notes; [`Generator::notes`] makes it.
#[derive(Debug)]
#[must_use = "iterators are lazy: no note is generated until one is asked for"]
pub struct Notes<'g, 'm, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    generator: &'g mut Generator<'m, LAYERS, HIDDEN>,
    sampling: Sampling,
}

impl<'m, const LAYERS: usize, const HIDDEN: usize> Generator<'m, LAYERS, HIDDEN> {
    /// The next notes, without end: [`next_note`](Self::next_note) again and again.
    ///
    /// Notes are generated only when taken: afterwards the generator continues after the last note
    /// taken.
    pub fn notes(&mut self, sampling: &Sampling) -> Notes<'_, 'm, LAYERS, HIDDEN> {
        Notes { generator: self, sampling: *sampling }
    }
}

impl<const LAYERS: usize, const HIDDEN: usize> Iterator for Notes<'_, '_, LAYERS, HIDDEN> {
    type Item = Note;

    fn next(&mut self) -> Option<Note> {
        Some(self.generator.next_note(&self.sampling))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl<const LAYERS: usize, const HIDDEN: usize> core::iter::FusedIterator
    for Notes<'_, '_, LAYERS, HIDDEN>
{
}
