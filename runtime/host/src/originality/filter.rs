//! Builds originality filters from songs.

use rand_pcg::{Pcg32, rand_core::Rng};
use xorf::BinaryFuse8;

use crate::corpus::{Song, below};
use crate::originality::moves;
use pianola_runtime::guard::{CHECKSUM, Filter, HEADER, LENGTHS, MAGIC, VERSION, key};
use pianola_runtime::passage::PassageMatch;

/// Why no filter could be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The length of passages is out of range.
    #[error("a filter's passages are {} to {} notes long", LENGTHS.start(), LENGTHS.end())]
    Notes,
    /// No song is as long as one passage.
    #[error("no song has as many notes as a passage of the filter: ask for shorter passages")]
    NoPassage,
    /// The randomized construction failed, which is extremely unlikely.
    #[error("the filter could not be built ({0})")]
    Construction(&'static str),
}

/// The keys of all passages of `notes` notes of some songs, sorted and without duplicates.
pub fn keys<'a>(songs: impl IntoIterator<Item = &'a Song>, notes: usize) -> Vec<u64> {
    let mut keys = Vec::new();
    for song in songs {
        let moves: Vec<u16> = moves(&song.notes, PassageMatch::Transposed).collect();
        keys.extend(moves.windows(notes.saturating_sub(1).max(1)).map(|m| key(m.iter().copied())));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The filter file with every passage of `notes` notes of some songs. The same songs give the same
/// bytes.
///
/// # Errors
/// [`BuildError`] if there is no such passage.
pub fn build<'a>(
    songs: impl IntoIterator<Item = &'a Song>,
    notes: usize,
) -> Result<Vec<u8>, BuildError> {
    if !LENGTHS.contains(&notes) {
        return Err(BuildError::Notes);
    }
    let keys = keys(songs, notes);
    if keys.is_empty() {
        return Err(BuildError::NoPassage);
    }
    let fuse = BinaryFuse8::try_from(&keys).map_err(BuildError::Construction)?;
    let shape = &fuse.descriptor;
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend((notes as u32).to_le_bytes());
    file.extend(shape.seed.to_le_bytes());
    file.extend((keys.len() as u32).to_le_bytes());
    file.extend(shape.segment_length.to_le_bytes());
    file.extend(shape.segment_count_length.to_le_bytes());
    debug_assert_eq!(file.len(), CHECKSUM);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&file);
    crc.update(&fuse.fingerprints);
    file.extend(crc.finalize().to_le_bytes());
    debug_assert_eq!(file.len(), HEADER);
    file.extend(&fuse.fingerprints);
    Ok(file)
}

/// False-positive rate of a filter: the share of random passages that it contains although they are
/// not among the sorted `keys` that it was built from.
pub fn false_positives(filter: &Filter, keys: &[u64], drawn: u64) -> f64 {
    let mut rng = Pcg32::new(0, DRAWN_STREAM);
    let (mut others, mut claimed) = (0u64, 0u64);
    for _ in 0..drawn {
        // Small intervals, as in music: the passages most similar to those in the filter.
        let moves = std::iter::repeat_with(|| {
            let to = 54 + below(&mut rng, 13) as u8;
            PassageMatch::Transposed.number(60, to, rng.next_u32() & 1 == 1)
        });
        let key = key(moves.take(filter.notes() - 1));
        if keys.binary_search(&key).is_err() {
            others += 1;
            claimed += u64::from(filter.contains(key));
        }
    }
    claimed as f64 / others.max(1) as f64
}

/// PCG stream of random passages, separate from those that draw notes.
const DRAWN_STREAM: u64 = 0xf117;
