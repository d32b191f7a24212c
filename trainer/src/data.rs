//! The training and validation data of a run.

use std::collections::BTreeMap;

use anyhow::{anyhow, ensure};
use pianola_host::corpus::{self, SEGMENT, Set, Song};

use crate::expressive::Streams;
use crate::recipe::{Preset, Recipe};
use crate::report::Segments;
use crate::run::Run;
use crate::training_data::TrainingData;

/// The data of a run, for the architecture of its recipe.
///
/// # Errors
/// If the training or the validation set is empty.
pub fn load<'a>(recipe: &Recipe, run: &'a Run) -> anyhow::Result<Box<dyn TrainingData + 'a>> {
    let set = |set| run.corpus.set(run.split, set);
    let (batch, augmentation, seed) = (recipe.batch, recipe.augmentation, recipe.seed);
    let limit = recipe.limit.unwrap_or(usize::MAX);
    let lacks = |set: Set, what: &str| {
        let (count, all) = (run.corpus.set(run.split, set).count(), run.corpus.songs.len());
        let set = set.name();
        anyhow!(
            "the {set} set ({count} of {all} songs) has no {what}: use more songs, or another \
             --split"
        )
    };
    if recipe.preset == Preset::Report {
        let training: Vec<_> = corpus::segments(set(Set::Train)).take(limit).collect();
        let validation: Vec<_> = corpus::segments(set(Set::Validation)).copied().collect();
        let whole = format!("whole segment of {SEGMENT} notes");
        ensure!(!training.is_empty(), lacks(Set::Train, &whole));
        ensure!(!validation.is_empty(), lacks(Set::Validation, &whole));
        return Ok(Box::new(Segments::new(training, validation, batch, augmentation, seed)));
    }
    let melodies: BTreeMap<&str, &Song> =
        run.melodies.songs.iter().map(|song| (song.name.as_str(), song)).collect();
    let alone = |song: &'a Song| melodies.get(song.name.as_str()).copied().unwrap_or(song);
    let both = |song: &'a Song| [song, alone(song)].map(|song| song.notes.as_slice());
    let training: Vec<_> = set(Set::Train).map(both).take(limit).collect();
    let validation: Vec<_> = set(Set::Validation).map(|song| song.notes.as_slice()).collect();
    ensure!(!training.is_empty(), lacks(Set::Train, "song"));
    ensure!(!validation.is_empty(), lacks(Set::Validation, "song"));
    let size = (batch, recipe.length);
    Ok(Box::new(Streams::new(training, validation, size, augmentation, seed)))
}

/// CRC-32 of all training and validation songs in their order.
pub fn checksum(run: &Run) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let sets =
        [(run.corpus, Set::Train), (run.melodies, Set::Train), (run.corpus, Set::Validation)];
    for song in sets.into_iter().flat_map(|(corpus, set)| corpus.set(run.split, set)) {
        crc.update(&(song.notes.len() as u64).to_le_bytes());
        for note in &song.notes {
            crc.update(&[note.pitch, note.velocity]);
            crc.update(&note.step.to_le_bytes());
            crc.update(&note.duration.to_le_bytes());
        }
    }
    crc.finalize()
}
