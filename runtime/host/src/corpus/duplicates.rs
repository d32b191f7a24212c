//! Songs of a corpus that are the same music: a model trained on one must not be evaluated on another.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{Hash, Hasher};

use super::{Corpus, Set, Split};
use crate::midi_file::TimedNote;

/// Fewest notes that identify a piece by its pitches alone: shorter pieces share them by chance.
const TELLING: usize = 32;

/// Songs that are the same music.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicates {
    /// Their indices in [`Corpus::songs`], at least two, in order.
    pub songs: Vec<usize>,
    /// How many of them repeat all notes of an earlier one; the others share the sequence of pitches only.
    pub exact_copies: usize,
}

impl Duplicates {
    /// How many of them share nothing but the sequence of pitches with the earlier ones.
    pub fn near_copies(&self) -> usize {
        self.songs.len() - 1 - self.exact_copies
    }
}

/// Hashes of a file's music.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Music {
    /// Hash of all properties of the notes, from the first onset on.
    notes: u64,
    /// Hash of their pitches, or of all properties if there are few notes.
    pitches: u64,
}

impl Music {
    /// Hashes the notes of all hands of a file, by onset and pitch.
    pub fn of(all: &[TimedNote]) -> Self {
        let (mut notes, mut pitches) = (DefaultHasher::new(), DefaultHasher::new());
        let begin = all.first().map_or(0.0, |note| note.start);
        // Rewritten files differ by less than a millisecond.
        let milliseconds = |seconds: f64| ((seconds - begin) * 1e3).round() as i64;
        for note in all {
            note.pitch.hash(&mut pitches);
            (note.pitch, note.velocity).hash(&mut notes);
            (milliseconds(note.start), milliseconds(note.end)).hash(&mut notes);
        }
        let notes = notes.finish();
        let pitches = if all.len() < TELLING { notes } else { pitches.finish() };
        Self { notes, pitches }
    }
}

/// The groups of songs that are the same music, by their first.
pub(super) fn find(songs: &[Music]) -> Vec<Duplicates> {
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (place, music) in songs.iter().enumerate() {
        groups.entry(music.pitches).or_default().push(place);
    }
    let groups = groups.into_values().filter(|group| group.len() > 1);
    let mut groups: Vec<Duplicates> = groups
        .map(|group| {
            let different: BTreeSet<u64> = group.iter().map(|&song| songs[song].notes).collect();
            Duplicates { exact_copies: group.len() - different.len(), songs: group }
        })
        .collect();
    groups.sort_by_key(|group| group.songs[0]);
    groups
}

/// A message that a random split keeps duplicates together; empty if there are none.
pub(super) fn report_kept(groups: &[Duplicates]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let exact: usize = groups.iter().map(|group| group.exact_copies).sum();
    let near: usize = groups.iter().map(Duplicates::near_copies).sum();
    format!(
        "note: duplicates in the corpus: {exact} exact, {near} with the same pitches only; \
         each stays in the set of its original\n"
    )
}

/// Lists duplicates that a split spreads over several sets; empty if there are none.
pub(super) fn report_leaks(corpus: &Corpus, split: &Split) -> String {
    let sets: BTreeMap<&str, Set> =
        split.songs.iter().map(|(name, set)| (name.as_str(), *set)).collect();
    let mut report = String::new();
    for group in &corpus.duplicates {
        let names = group.songs.iter().map(|&song| corpus.songs[song].name.as_str());
        let members: Vec<(&str, Set)> =
            names.filter_map(|name| Some((name, *sets.get(name)?))).collect();
        if members.iter().all(|(_, set)| *set == members[0].1) {
            continue;
        }
        let same = if group.near_copies() == 0 { "the same notes" } else { "the same pitches" };
        let members = members.iter().map(|(name, set)| format!("{name} ({})", set.name()));
        let members = members.collect::<Vec<_>>().join(", ");
        let _ = writeln!(report, "warning: the split spreads {same} over several sets: {members}");
    }
    report
}
