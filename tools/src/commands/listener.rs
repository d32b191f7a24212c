//! `pianola compare --listener`: trains a classifier to tell pieces from the songs of a corpus.

use std::fmt;

use pianola_host::statistics::listener::{Verdict, listen, notes_shuffled, parts_shuffled};
use pianola_runtime::Note;
use serde::Serialize;

use crate::options::songs::Places;
use crate::progress;

/// Classifier results for the pieces, and for the controls.
#[derive(Serialize)]
pub struct Report {
    pieces: Verdict,
    /// Real songs against the same real songs; none for a set without songs.
    controls: Controls,
}

/// Controls: tests with known answers.
#[derive(Serialize)]
struct Controls {
    /// Training songs, which the classifier should not distinguish from the others.
    training_songs: Verdict,
    /// Songs with their bars in random order; only songs whose files count bars are included.
    bars_shuffled: Verdict,
    /// Songs with their notes in random order.
    notes_shuffled: Verdict,
}

impl Report {
    /// Compares pieces with real songs; songs come with the positions of their notes.
    pub fn new(pieces: &[&[Note]], real: &[(&[Note], &Places)], training: &[&[Note]]) -> Self {
        let bar = progress::bar("comparing", 4);
        let songs: Vec<&[Note]> = real.iter().map(|(notes, _)| *notes).collect();
        let against = |others: &[&[Note]], real: &[&[Note]]| {
            let verdict = listen(others, real);
            bar.inc(1);
            verdict
        };
        let with_bars: Vec<(&[Note], Vec<usize>)> = real
            .iter()
            .filter_map(|(notes, places)| Some((*notes, first_of_bars(places)?)))
            .collect();
        let in_bars: Vec<&[Note]> = with_bars.iter().map(|(notes, _)| *notes).collect();
        let bars: Vec<Vec<Note>> =
            with_bars.iter().map(|(notes, cuts)| parts_shuffled(notes, cuts, 0)).collect();
        let notes: Vec<Vec<Note>> = songs.iter().map(|notes| notes_shuffled(notes, 0)).collect();
        let report = Self {
            pieces: against(pieces, &songs),
            controls: Controls {
                training_songs: against(training, &songs),
                bars_shuffled: against(&slices(&bars), &in_bars),
                notes_shuffled: against(&slices(&notes), &songs),
            },
        };
        bar.finish_and_clear();
        report
    }
}

fn slices(pieces: &[Vec<Note>]) -> Vec<&[Note]> {
    pieces.iter().map(Vec::as_slice).collect()
}

/// Index of the first note of each bar; none where the file does not count bars.
fn first_of_bars(places: &Places) -> Option<Vec<usize>> {
    let bars = places.bars.as_ref()?;
    let numbers: Vec<u64> = places.onsets.iter().map(|&onset| bars.at(onset)).collect();
    Some((1..numbers.len()).filter(|&note| numbers[note] != numbers[note - 1]).collect())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.pieces)?;
        writeln!(f, "{:<28} AUC    (95 % interval)", "controls")?;
        let Controls { training_songs, bars_shuffled, notes_shuffled } = &self.controls;
        for (name, verdict) in [
            ("training songs", training_songs),
            ("songs, bars shuffled", bars_shuffled),
            ("songs, notes shuffled", notes_shuffled),
        ] {
            match verdict.all {
                Some(auc) => writeln!(f, "{name:<28} {auc}")?,
                None => writeln!(f, "{name:<28} too few pieces")?,
            }
        }
        Ok(())
    }
}
