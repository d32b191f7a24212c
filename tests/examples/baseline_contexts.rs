//! Searches the contexts from which the n-gram of `baselines.rs` predicts each part of a note: a
//! greedy search from the empty context that adds, removes or swaps one field at a time, whichever
//! lowers the validation loss most, until nothing does. The test set is not used.
//!
//! `cargo run --release -p pianola-tests --example baseline_contexts FOLDER SPLIT`

use std::path::Path;

use anyhow::Context;
use pianola_host::corpus::{Corpus, Set};
use pianola_host::midi_file::Tracks;
use pianola_host::statistics::baselines::{Baseline, Field, MAX_FIELDS};
use pianola_runtime::vocabulary;

/// Parts of a note.
const PARTS: usize = vocabulary::PARTS.len();

/// Notes back to try.
const BACK: usize = 5;

/// Levels of coarseness to try.
const COARSE: [u8; 3] = [0, 3, 7];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context("usage: baseline_contexts FOLDER SPLIT");
    let (folder, split) = (argument()?, argument()?);
    let (corpus, split, report) =
        Corpus::open(Path::new(&folder), Tracks::All, Some(Path::new(&split)), 0)?;
    eprint!("{report}");
    let [train, validation, test] = Set::ALL.map(|set| corpus.set(&split, set).collect::<Vec<_>>());

    let unigram = Baseline::unigram(&train);
    let kept = Baseline::fit(&train);
    for (name, songs) in [("validation", &validation), ("test", &test)] {
        println!("{name}: unigram {:.4?}", unigram.nll(songs));
        println!("{name}: kept n-gram {:.4?}", kept.nll(songs));
    }

    let mut contexts: [Vec<Field>; PARTS] = Default::default();
    let mut best = unigram.nll(&validation);
    loop {
        let mut better = contexts.clone();
        // One trial for all parts together: their contexts are independent.
        let mut moves: [_; PARTS] = std::array::from_fn(|part| moves(&contexts[part], part));
        while moves.iter().any(|moves| !moves.is_empty()) {
            let trial: [Vec<Field>; PARTS] = std::array::from_fn(|part| {
                moves[part].pop().unwrap_or_else(|| contexts[part].clone())
            });
            let fitted = Baseline::with_contexts(&train, trial.each_ref().map(Vec::as_slice));
            for (part, nll) in fitted.nll(&validation).into_iter().enumerate() {
                if nll < best[part] {
                    best[part] = nll;
                    better[part].clone_from(&trial[part]);
                }
            }
        }
        if better == contexts {
            break;
        }
        contexts = better;
        println!("validation {best:.4?}");
        for context in &contexts {
            let fields = context.iter().map(|Field { back, part, coarse }| (back, part, coarse));
            println!("    {:?}", fields.collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// The neighbours of a part's context in the search.
fn moves(context: &[Field], part: usize) -> Vec<Vec<Field>> {
    let mut moves = Vec::new();
    let parts = (0..=BACK).flat_map(|back| (0..PARTS).map(move |part| (back, part)));
    let fields = parts.flat_map(|(back, part)| COARSE.map(|coarse| Field { back, part, coarse }));
    for field in fields.filter(|field| field.back > 0 || field.part < part) {
        for place in (0..=context.len()).filter(|_| !context.contains(&field)) {
            let mut longer = context.to_vec();
            longer.insert(place, field);
            longer.truncate(MAX_FIELDS);
            moves.push(longer);
        }
    }
    for place in 0..context.len() {
        let mut shorter = context.to_vec();
        shorter.remove(place);
        moves.push(shorter);
        let mut swapped = context.to_vec();
        swapped.swap(place, place.saturating_sub(1));
        moves.push(swapped);
    }
    moves
}
