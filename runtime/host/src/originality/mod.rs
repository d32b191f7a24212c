//! Finds the passages of a piece that occur in a corpus.
//!
//! [`passage`](pianola_runtime::passage) defines when two passages are the same. An [`Index`] holds the
//! moves of all songs one after the other, and the order of that text's suffixes (a suffix array):
//! passages with a common prefix are adjacent there, so the longest common prefix is found by
//! bisection, and no match needs to be verified.

pub mod filter;

use crate::corpus::Song;
use pianola_runtime::Note;
use pianola_runtime::passage::{PassageMatch, joins};

/// Lengths, in notes, of the windows whose share is measured.
pub const WINDOWS: [usize; 3] = [8, 12, 16];

/// The songs of a corpus, ready to be searched.
pub struct Index<'a> {
    songs: Vec<&'a Song>,
    /// In the order of [`PassageMatch::ALL`].
    texts: [Text; 2],
    /// Start of each song's moves, in either text.
    begins: Vec<usize>,
}

/// A passage that a piece shares with a song.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage<'a> {
    /// Its length in notes, at least 2.
    pub notes: usize,
    /// Its first note in the piece, from 0.
    pub at: usize,
    /// The name of a song that contains it.
    pub song: &'a str,
    /// Its first note there, from 0.
    pub song_at: usize,
}

/// How much of a piece, or of several, occurs in a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared<'a> {
    /// Number of windows for each length of [`WINDOWS`].
    pub windows: [usize; 3],
    /// Number of them that are found in the corpus.
    pub found: [usize; 3],
    /// The longest passage found, the first among equals; `None` if not even two notes are found.
    pub longest: Option<Passage<'a>>,
}

impl Shared<'_> {
    /// The share of each length's windows that is found, from 0 to 1.
    pub fn shares(&self) -> [f64; 3] {
        std::array::from_fn(|i| self.found[i] as f64 / self.windows[i].max(1) as f64)
    }
}

impl<'a> FromIterator<Shared<'a>> for Shared<'a> {
    fn from_iter<I: IntoIterator<Item = Self>>(pieces: I) -> Self {
        pieces.into_iter().fold(Self::default(), |sum, piece| Self {
            windows: std::array::from_fn(|i| sum.windows[i] + piece.windows[i]),
            found: std::array::from_fn(|i| sum.found[i] + piece.found[i]),
            longest: longer(sum.longest, piece.longest),
        })
    }
}

/// The longer of two passages, or the first.
fn longer<'a>(a: Option<Passage<'a>>, b: Option<Passage<'a>>) -> Option<Passage<'a>> {
    let notes = |passage: Option<Passage>| passage.map_or(0, |passage| passage.notes);
    if notes(b) > notes(a) { b } else { a }
}

impl<'a> Index<'a> {
    /// Reads the songs to search.
    pub fn new(songs: impl IntoIterator<Item = &'a Song>) -> Self {
        let songs: Vec<_> = songs.into_iter().collect();
        let mut begins = Vec::with_capacity(songs.len());
        let texts = PassageMatch::ALL.map(|identity| {
            begins.clear();
            let mut text = Vec::new();
            for song in &songs {
                begins.push(text.len());
                text.extend(moves(&song.notes, identity));
                text.push(END);
            }
            Text::new(text)
        });
        Self { songs, texts, begins }
    }

    /// Looks for the passages of a piece.
    pub fn search(&self, piece: &[Note], identity: PassageMatch) -> Shared<'a> {
        let text = &self.texts[identity as usize];
        let moves: Vec<u16> = moves(piece, identity).collect();
        let mut shared = Shared {
            windows: WINDOWS.map(|window| (piece.len() + 1).saturating_sub(window)),
            ..Shared::default()
        };
        for at in 0..moves.len() {
            let (length, place) = text.longest_beginning(&moves[at..]);
            if length == 0 {
                continue;
            }
            let song = self.begins.partition_point(|&begin| begin <= place) - 1;
            let passage = Passage {
                notes: length + 1,
                at,
                song: &self.songs[song].name,
                song_at: place - self.begins[song],
            };
            for (found, window) in shared.found.iter_mut().zip(WINDOWS) {
                *found += usize::from(passage.notes >= window);
            }
            shared.longest = longer(shared.longest, Some(passage));
        }
        shared
    }
}

/// Pitches in the order of a score, each with whether it belongs to the chord of the one before.
fn in_order(notes: &[Note]) -> Vec<(u8, bool)> {
    let mut order = Vec::with_capacity(notes.len());
    for chord in notes.chunk_by(|_, next| joins(next.step)) {
        let begin = order.len();
        order.extend(chord.iter().map(|note| (note.pitch, true)));
        order[begin..].sort_unstable();
        order[begin].1 = false;
    }
    order
}

/// The moves from each note of a piece to the next.
pub(crate) fn moves(notes: &[Note], identity: PassageMatch) -> impl Iterator<Item = u16> {
    let order = in_order(notes);
    (1..order.len()).map(move |at| {
        let ((from, _), (to, in_chord)) = (order[at - 1], order[at]);
        identity.number(from, to, in_chord)
    })
}

/// Ends a song: no move has this number, so no passage extends into the next song.
const END: u16 = u16::MAX;

/// Moves of songs, and the order of their suffixes.
struct Text {
    moves: Vec<u16>,
    /// Start of each suffix, in the order of the suffixes.
    order: Vec<u32>,
}

impl Text {
    /// Sorts the suffixes by doubling (Manber and Myers): ranks by the first n moves, taken of both
    /// halves, sort by the first 2n. However much the music repeats itself, that takes O(n log² n).
    fn new(moves: Vec<u16>) -> Self {
        let mut order: Vec<u32> = (0..moves.len() as u32).collect();
        let mut ranks: Vec<u32> = moves.iter().map(|&number| u32::from(number)).collect();
        let mut known = 1;
        loop {
            let key = |&at: &u32| (ranks[at as usize], ranks.get(at as usize + known));
            order.sort_unstable_by_key(key);
            let mut next = vec![0; ranks.len()];
            let mut rank = 0;
            for pair in order.windows(2) {
                rank += u32::from(key(&pair[0]) != key(&pair[1]));
                next[pair[1] as usize] = rank;
            }
            if rank as usize + 1 >= order.len() {
                return Self { moves, order };
            }
            ranks = next;
            known *= 2;
        }
    }

    /// The longest prefix of some moves that occurs in the text: its length and a position.
    fn longest_beginning(&self, moves: &[u16]) -> (usize, usize) {
        let suffix = |at: u32| &self.moves[at as usize..];
        let after = self.order.partition_point(|&at| suffix(at) < moves);
        // The suffixes with the longest common prefix are its neighbours.
        let beside = self.order[after.saturating_sub(1)..].iter().take(2);
        let common = beside.map(|&at| {
            let length = suffix(at).iter().zip(moves).take_while(|(a, b)| a == b).count();
            (length, at as usize)
        });
        common.max_by_key(|&(length, _)| length).unwrap_or_default()
    }
}
