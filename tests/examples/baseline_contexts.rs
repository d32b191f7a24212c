//! Searches what the n-gram of `baselines.rs` should predict each part of a note from: step by
//! step, from nothing, the one field put in or taken out, or the two neighbours swapped, that helps
//! most on the validation songs, while anything helps. The test songs have no say.
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

/// Notes back that are tried.
const BACK: usize = 5;

/// How coarsely parts are looked at.
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
        // One trial for all parts together: the parts do not know of each other's contexts.
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

/// The contexts one step away from a part's.
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
