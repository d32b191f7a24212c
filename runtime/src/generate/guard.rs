//! Keeps generated music from repeating its training songs.
//!
//! A [`Filter`] is a file that holds every passage of N notes of some songs, in about nine bits each,
//! used where it lies: in flash or in a memory-mapped file. It is a binary fuse filter (Graf and
//! Lemire, 2022): no false negatives, and false positives at a rate of 1/256. A [`Guard`] follows a
//! piece and finds the notes that would complete such a passage, up to transposition and tempo;
//! [`passage`](crate::note::passage) defines when two passages are the same.
//!
//! The format is in `docs/model-file.md`.

use crate::note::Note;
use crate::note::passage::{PassageMatch, joins};

/// The first bytes of a filter file.
pub const MAGIC: [u8; 8] = *b"PIANOLAF";

/// Version of the filter file format that this crate reads and writes.
pub const VERSION: u32 = 1;

/// Lengths, in notes, that the passages of a filter may have.
pub const LENGTHS: core::ops::RangeInclusive<usize> = 4..=32;

/// Length of the header, in bytes; the fingerprints follow.
pub const HEADER: usize = 40;

/// Offset in the header of the checksum of all other bytes.
pub const CHECKSUM: usize = 36;

/// Why a file is refused as a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The file does not begin like a filter.
    #[error("not an originality filter")]
    NotAFilter,
    /// The file was written by another version of this program.
    #[error("the originality filter has another format version; make it again with this version")]
    Version,
    /// The file is shorter or longer than its header says.
    #[error("the originality filter is cut short, or has bytes after its end")]
    Length,
    /// The bytes are not those that were written.
    #[error("the originality filter is damaged: its checksum does not match")]
    Checksum,
    /// Sizes that are out of range or do not fit each other.
    #[error("the originality filter's header is damaged")]
    BadHeader,
}

/// A checked view of a filter file.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    notes: usize,
    windows: u32,
    seed: u64,
    /// Fingerprints in a segment, a power of two.
    segment: u32,
    /// Fingerprints in all segments but the last two.
    first: u32,
    fingerprints: &'a [u8],
}

impl<'a> Filter<'a> {
    /// Checks a filter file and views it. Its bytes need not be aligned.
    ///
    /// # Errors
    /// [`FilterError`] unless it is whole and this version's.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FilterError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(FilterError::NotAFilter);
        }
        let (header, fingerprints) =
            bytes.split_first_chunk::<HEADER>().ok_or(FilterError::Length)?;
        let word = |at: usize| {
            let bytes = header.get(at..).and_then(|rest| rest.first_chunk());
            u32::from_le_bytes(bytes.copied().unwrap_or_default())
        };
        let [version, notes, low, high, windows, segment, first, checksum] =
            core::array::from_fn(|i| word(MAGIC.len() + 4 * i));
        if version != VERSION {
            return Err(FilterError::Version);
        }
        let length = u64::from(first) + 2 * u64::from(segment);
        if length != fingerprints.len() as u64 {
            return Err(FilterError::Length);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(header.get(..CHECKSUM).unwrap_or_default());
        crc.update(fingerprints);
        if crc.finalize() != checksum {
            return Err(FilterError::Checksum);
        }
        let notes = notes as usize;
        // Every filter has the first segment and the last two, all complete.
        let sizes = segment.is_power_of_two() && first > 0 && first.is_multiple_of(segment);
        if !LENGTHS.contains(&notes) || !sizes {
            return Err(FilterError::BadHeader);
        }
        let seed = u64::from(high) << 32 | u64::from(low);
        Ok(Self { notes, windows, seed, segment, first, fingerprints })
    }

    /// Length of the passages, in notes.
    pub fn notes(&self) -> usize {
        self.notes
    }

    /// Number of passages.
    pub fn windows(&self) -> u32 {
        self.windows
    }

    /// Whether it contains the passage with this [`key`]; false positives have a rate of 1/256.
    pub fn contains(&self, key: u64) -> bool {
        let hash = mix(key.wrapping_add(self.seed));
        let place = ((u128::from(hash) * u128::from(self.first)) >> 64) as u32;
        let mask = self.segment.wrapping_sub(1);
        let second = place.wrapping_add(self.segment);
        let places = [
            place,
            second ^ ((hash >> 18) as u32 & mask),
            second.wrapping_add(self.segment) ^ (hash as u32 & mask),
        ];
        let sum = places.iter().fold((hash ^ hash >> 32) as u8, |sum, &place| {
            sum ^ self.fingerprints.get(place as usize).copied().unwrap_or_default()
        });
        sum == 0
    }
}

/// MurmurHash3's finalizer, of 64 bits.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// The key of a passage in a filter: its moves as [`PassageMatch::Transposed`] numbers them, hashed
/// from the first to the last.
pub fn key(moves: impl IntoIterator<Item = u16>) -> u64 {
    moves
        .into_iter()
        .fold(0, |key: u64, number| (key ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Follows a piece and finds the notes that would complete a passage of a filter.
///
/// The notes of a chord are sorted by pitch, so a passage is found in whatever order the notes of
/// its chords came.
#[derive(Clone, Debug)]
pub struct Guard<'a> {
    filter: Filter<'a>,
    recent: Recent,
}

impl<'a> Guard<'a> {
    /// A guard at the start of a piece.
    pub fn new(filter: &Filter<'a>) -> Self {
        Self { filter: *filter, recent: Recent::NONE }
    }

    /// Starts another piece.
    pub fn restart(&mut self) {
        self.recent = Recent::NONE;
    }

    /// Records a note.
    pub fn observe(&mut self, note: &Note) {
        self.recent.add(note.step, note.pitch);
    }

    /// Whether a note, if it came next, would complete a passage of the filter.
    pub fn forbids(&self, step: f32, pitch: u8) -> bool {
        let mut with = self.recent;
        let place = with.add(step, pitch);
        // Only passages that contain the note: they end with it, or later in its chord.
        let first = (place + 1).saturating_sub(self.filter.notes);
        let mut keys = (first..=place).filter_map(|last| with.key(last, self.filter.notes));
        keys.any(|key| self.filter.contains(key))
    }
}

/// Notes that are kept: a passage, and as many more notes of its last chord.
const ROOM: usize = 2 * *LENGTHS.end();
const _: () = assert!(ROOM == u64::BITS as usize);

/// The last notes of a piece, in the order of a score, backwards.
#[derive(Clone, Copy, Debug)]
struct Recent {
    count: usize,
    pitches: [u8; ROOM],
    /// A bit for each, the last note's the lowest: whether it belongs to the chord of the one before it in time.
    in_chord: u64,
}

impl Recent {
    const NONE: Self = Self { count: 0, pitches: [0; ROOM], in_chord: 0 };

    /// Inserts a note in order and returns its place: the number of notes of its chord that follow it.
    fn add(&mut self, step: f32, pitch: u8) -> usize {
        // One place back; `copy_within` needs `memmove`, which takes 1.6 KB of a board's flash.
        let mut later = u64::from(pitch.min(127));
        for places in self.pitches.as_chunks_mut().0 {
            let word = u64::from_le_bytes(*places);
            *places = (word << 8 | later).to_le_bytes();
            later = word >> 56;
        }
        self.in_chord = self.in_chord << 1 | u64::from(self.count > 0 && joins(step));
        self.count = (self.count + 1).min(ROOM);
        let mut place = 0;
        // The first note of a chord stays the first by its flag, whatever its pitch.
        while self.is_in_chord(place) {
            let pair = self.pitches.get_mut(place..).and_then(|rest| rest.first_chunk_mut::<2>());
            let Some([later, earlier]) = pair else { break };
            if *earlier <= *later {
                break;
            }
            core::mem::swap(later, earlier);
            place += 1;
        }
        place
    }

    /// The key of the passage of `notes` notes that ends `last` notes before the end, if the piece is
    /// long enough.
    fn key(&self, last: usize, notes: usize) -> Option<u64> {
        if last + notes > self.count {
            return None;
        }
        let pitches = self.pitches.get(last..)?;
        let places = last..last + notes - 1;
        let pairs = pitches.iter().zip(pitches.get(1..)?).zip(places);
        Some(key(pairs.rev().map(|((&to, &from), place)| {
            PassageMatch::Transposed.number(from, to, self.is_in_chord(place))
        })))
    }

    fn is_in_chord(&self, place: usize) -> bool {
        self.in_chord.wrapping_shr(place as u32) & 1 == 1
    }
}
