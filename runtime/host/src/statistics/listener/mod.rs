//! A measuring listener: can pieces be distinguished from real ones, and by which measures?
//!
//! A classifier two-sample test (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests",
//! 2017). Excerpts of 200 notes are described by musical measures in groups. A random forest is
//! trained to distinguish excerpts of the two sets and evaluated on held-out pieces. The area under
//! the curve ([`Auc`]) is 0.5 if it does no better than chance.
//!
//! Three controls show how far the areas can be trusted: real songs against other real songs, which
//! should not be distinguishable; and real songs against themselves with their bars, and with their
//! notes, in random order, which should be.

mod articulation;
mod dynamics;
mod edges;
mod excerpt;
mod harmony;
mod rhythm;
mod structure;
mod two_sample;
mod voices;

use std::fmt;

use pianola_runtime::Note;
use rand_pcg::Pcg32;
use rayon::prelude::*;
use serde::Serialize;

use crate::corpus::shuffle;
use excerpt::Excerpt;
use two_sample::{Sample, tell_apart};

pub use two_sample::Auc;

/// A measure: its name, with its unit, and its function.
type Measure = (&'static str, fn(&Excerpt) -> f64);

/// Notes of an excerpt.
pub const EXCERPT: usize = 200;

/// Most excerpts of a piece, spread over its length, so that long pieces do not dominate.
const MOST_EXCERPTS: usize = 8;

/// Groups of measures of excerpts.
const GROUPS: [(&str, &[Measure]); 6] = [
    ("structure", structure::MEASURES),
    ("rhythm", rhythm::MEASURES),
    ("voices", voices::MEASURES),
    ("harmony", harmony::MEASURES),
    ("articulation", articulation::MEASURES),
    ("dynamics", dynamics::MEASURES),
];

/// The listener's result for two sets of pieces.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// By all measures of excerpts.
    pub all: Option<Auc>,
    /// By the measures of each group, and by how pieces begin and end.
    pub groups: Vec<Group>,
    /// Each measure, sorted by how well it separates the sets.
    pub measures: Vec<MeasureRow>,
    /// Excerpts of each set.
    pub excerpts: [usize; 2],
}

/// How well one group of measures separates the sets.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Its area; none if a set has too few pieces.
    pub auc: Option<Auc>,
}

/// One measure over both sets.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureRow {
    /// Its name, with its unit.
    pub name: &'static str,
    /// Its group.
    pub group: &'static str,
    /// Its medians over the excerpts of each set.
    pub medians: [f64; 2],
    /// The area of the measure alone, whichever way it points: 0.5 to 1.
    pub auc: f64,
}

/// Compares two sets of pieces: the first is under test, the second is real.
pub fn listen(pieces: &[&[Note]], real: &[&[Note]]) -> Verdict {
    let sets = [samples(pieces), samples(real)];
    let whole = [edges(pieces), edges(real)];
    let auc =
        |sets: &[Vec<Sample>; 2], measures: &[usize]| tell_apart([&sets[0], &sets[1]], measures);
    let (mut groups, mut measures, mut first) = (Vec::new(), Vec::new(), 0);
    for (name, group) in GROUPS {
        let range: Vec<usize> = (first..first + group.len()).collect();
        groups.push(Group { name, auc: auc(&sets, &range) });
        measures
            .extend(group.iter().zip(range).map(|(measure, at)| row(&sets, name, measure.0, at)));
        first += group.len();
    }
    let all: Vec<usize> = (0..first).collect();
    let ends: Vec<usize> = (0..edges::MEASURES.len()).collect();
    const ENDS: &str = "beginnings and endings";
    groups.push(Group { name: ENDS, auc: auc(&whole, &ends) });
    let named = edges::MEASURES.iter().zip(ends);
    measures.extend(named.map(|(measure, at)| row(&whole, ENDS, measure.0, at)));
    measures.sort_by(|a, b| b.auc.total_cmp(&a.auc));
    let excerpts = sets.each_ref().map(Vec::len);
    Verdict { all: auc(&sets, &all), groups, measures, excerpts }
}

fn row(sets: &[Vec<Sample>; 2], group: &'static str, name: &'static str, at: usize) -> MeasureRow {
    let [first, second] =
        sets.each_ref().map(|set| set.iter().map(|sample| sample.values[at]).collect::<Vec<f64>>());
    let auc = two_sample::area(&first, &second);
    let medians = [&first, &second].map(|values| excerpt::quantile(values, 0.5));
    MeasureRow { name, group, medians, auc: auc.max(1.0 - auc) }
}

/// The measures of the excerpts of pieces.
fn samples(pieces: &[&[Note]]) -> Vec<Sample> {
    let measured = pieces.par_iter().map(|notes| {
        let excerpts: Vec<&[Note]> = notes.chunks_exact(EXCERPT).collect();
        let taken = excerpts.len().min(MOST_EXCERPTS);
        // Evenly spaced over the piece.
        let excerpt = |at: usize| excerpts[at * excerpts.len() / taken];
        let prepared = (0..taken).filter_map(|at| Excerpt::new(excerpt(at)));
        let measure = |excerpt: Excerpt| {
            let all = GROUPS.iter().flat_map(|(_, group)| group.iter());
            all.map(|(_, of)| finite(of(&excerpt))).collect()
        };
        prepared.map(measure).collect::<Vec<Vec<f64>>>()
    });
    numbered(measured.collect())
}

/// How pieces begin and end.
fn edges(pieces: &[&[Note]]) -> Vec<Sample> {
    let measured = pieces.par_iter().map(|notes| {
        let whole = Excerpt::new(notes);
        let measure = |whole| edges::MEASURES.iter().map(|(_, of)| finite(of(&whole))).collect();
        whole.map(measure).into_iter().collect()
    });
    numbered(measured.collect())
}

/// Numbers the pieces that have an excerpt: the others take no part in folds and intervals.
fn numbered(measured: Vec<Vec<Vec<f64>>>) -> Vec<Sample> {
    let pieces = measured.into_iter().filter(|excerpts| !excerpts.is_empty()).enumerate();
    let sample = |piece| move |values| Sample { piece, values };
    pieces.flat_map(|(piece, excerpts)| excerpts.into_iter().map(sample(piece))).collect()
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// PCG stream of shuffles, separate from those that draw notes.
const SHUFFLES: u64 = 0x5affe;

/// A piece whose notes are in random order, each with its own times.
pub fn notes_shuffled(piece: &[Note], seed: u64) -> Vec<Note> {
    let mut notes = piece.to_vec();
    shuffle(&mut notes, &mut Pcg32::new(seed, SHUFFLES));
    notes
}

/// A piece cut at some places, its parts in random order. Cuts are note numbers, ascending.
pub fn parts_shuffled(piece: &[Note], cuts: &[usize], seed: u64) -> Vec<Note> {
    let ends = cuts.iter().copied().chain([piece.len()]);
    let mut start = 0;
    let mut parts: Vec<&[Note]> = Vec::new();
    for end in ends {
        parts.extend(piece.get(start..end).filter(|part| !part.is_empty()));
        start = end.max(start);
    }
    shuffle(&mut parts, &mut Pcg32::new(seed, SHUFFLES));
    parts.concat()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let area =
            |auc: &Option<Auc>| auc.as_ref().map_or("too few pieces".into(), ToString::to_string);
        writeln!(f, "{:<28} AUC    (95 % interval)", "measures")?;
        writeln!(f, "{:<28} {}", "all", area(&self.all))?;
        for group in &self.groups {
            writeln!(f, "{:<28} {}", group.name, area(&group.auc))?;
        }
        writeln!(f, "\n{:<46} AUC    median, pieces and real", "what gives the pieces away")?;
        for MeasureRow { name, medians: [pieces, real], auc, .. } in self.measures.iter().take(15) {
            writeln!(f, "{name:<46} {auc:.3}  {pieces:9.3} {real:9.3}")?;
        }
        Ok(())
    }
}
