//! Standard MIDI Files: reading them as `pretty_midi` does, and writing pieces.
//!
//! A file is parsed once, into a [`MidiFile`]; the notes of its first instrument, those of both hands
//! and its score are views of that.
//!
//! Reading follows `pretty_midi` 0.2.11 note by note, because the published figures rest on it:
//! a note starts at its note-on and ends at the next note-off (or note-on with velocity 0) of its
//! pitch and channel in the same track; of several notes sounding at one pitch, that note-off ends
//! all but those starting at the same tick; a note that is never ended has no duration and is left
//! out. Players and pictures ask for [`Endings::AsPlayed`] instead and get those notes too. An
//! *instrument* is a (program, channel, track) triple, in the order in which their first notes end;
//! percussion, on channel 10, is none.
//!
//! Where `pretty_midi` guesses or fails, this crate follows the standard: tempo changes apply from any
//! track, SMPTE divisions give seconds regardless of the tempo, and the tracks of a format 2 file,
//! which are separate patterns, follow one another. A file that violates the standard is read as other
//! programs read it, and a [`Repair`] reports it.

mod chunks;
mod container;
mod events;
mod file;
mod read;
pub(crate) mod strokes;
mod tempo;
mod times;
mod track;
mod write;

use std::cmp::Ordering;
use std::path::Path;

pub(crate) use tempo::TempoMap;

pub use file::MidiFile;
pub use read::{ENDINGS, ReadError, is_midi_name};
pub use times::{to_absolute, to_relative};
pub use write::{write, write_score};

/// Which notes of a file to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// The first instrument only, as the report does: in piano files, nearly always the right hand.
    First,
    /// All instruments but drums, merged: both hands.
    All,
}

/// When notes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endings {
    /// At their note-off, as `pretty_midi` has it; a note without one is left out.
    NoteOffs,
    /// As an instrument plays them: at their note-off, at a message that ends all notes of their
    /// channel (controllers 120 and 123 to 127), or else with their track.
    AsPlayed,
}

/// A file's instruments, each with its own notes, and its pedal.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// All instruments but drums, in the order in which their first notes end: in piano files, the
    /// hands.
    pub instruments: Vec<Instrument>,
    /// When the sustain pedal goes down and up again, in seconds from the start of the file. The
    /// piano has one, so the controllers of all channels count as one pedal: down while any is.
    pub pedal: Vec<(f64, f64)>,
}

/// One of a file's instruments.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// The name of its track, cut at 256 characters; empty if it has none.
    pub name: String,
    /// Its notes, sorted by onset, those of a chord by pitch.
    pub notes: Vec<TimedNote>,
}

/// A note with its absolute place in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedNote {
    /// Onset in seconds from the start of the file.
    pub start: f64,
    /// Release in seconds from the start of the file, at or after `start`.
    pub end: f64,
    /// MIDI note number, 0 to 127.
    pub pitch: u8,
    /// MIDI velocity, 1 to 127.
    pub velocity: u8,
}

/// Why a file could not be read as MIDI.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MidiError {
    /// The bytes do not start like a MIDI file, or their header makes no sense.
    #[error("not a Standard MIDI File ({0})")]
    NotMidi(String),
    /// The bytes are a gzip file that cannot be unpacked.
    #[error("not a whole gzip file: it is cut short or damaged")]
    BrokenGzip,
    /// The bytes are a gzip file of more parts than any program packs a piece into.
    #[error("a gzip file of more than {} members: pack it anew", container::MOST_MEMBERS)]
    TooManyMembers,
    /// The file, or what it unpacks to, is larger than any piece of music.
    #[error("larger than {} MiB: no piece of music is that long", MAX_BYTES >> 20)]
    TooLarge,
    /// A track is longer than the rest of the file.
    #[error("cut short: its last track announces more bytes than there are")]
    CutShort,
    /// A track chunk is missing that the header announces.
    #[error("cut short: tracks announced by the header: {announced}; tracks there: {found}")]
    MissingTracks {
        /// Number of tracks in the header.
        announced: usize,
        /// Number of track chunks in the file.
        found: usize,
    },
    /// A track is not MIDI from some byte on.
    #[error("track {0} holds bytes that are no MIDI event: the file is damaged")]
    BrokenTrack(usize),
    /// The header divides time into zero ticks or frames.
    #[error("the header divides time into ticks of no length")]
    ZeroDivision,
    /// Time stands still, or there is an hour between two events of the music.
    #[error("holds times that no music has ({0}): the file is damaged")]
    ImpossibleTime(TimeFault),
    /// Nothing to learn from or to play.
    #[error("holds no notes")]
    NoNotes,
}

/// Most bytes of a MIDI file, packed or unpacked. The largest piano pieces take one of 32 MiB.
pub const MAX_BYTES: u64 = 32 << 20;

/// Longest note, and longest time without an onset, in seconds: longer ones come from damaged files.
pub const MAX_GAP: f64 = 3600.0;

/// What is wrong with the times of a file.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeFault {
    /// A tempo event of 0 microseconds per quarter note.
    #[error("a tempo of 0 µs per quarter note")]
    ZeroTempo,
    /// A note longer than [`MAX_GAP`], in seconds.
    #[error("a note of {:.1} hours", .0 / 3600.0)]
    LongNote(f64),
    /// No onset for longer than [`MAX_GAP`], in seconds.
    #[error("a gap of {:.1} hours between notes", .0 / 3600.0)]
    LongGap(f64),
}

/// What of a file is not as the standard asks for, and was read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Repair {
    /// The `data` chunk of a RIFF file is longer than the file.
    #[error("the RIFF wrapper announces more bytes than there are")]
    ShortRiff,
    /// There are more track chunks than the header announces.
    #[error("the header announces {announced} of {found} tracks: read them all")]
    MoreTracks {
        /// Number of tracks in the header.
        announced: usize,
        /// Number of track chunks in the file.
        found: usize,
    },
    /// Clock, active sensing or other system messages stand within a track.
    #[error("ignored system messages within a track")]
    SystemBytes,
    /// A track leaves out a status byte after a system exclusive event.
    #[error("a track goes on with the running status after a system exclusive event")]
    StatusAfterSysEx,
    /// Bytes that are no event stand behind the end of a track.
    #[error("ignored bytes behind the end of a track")]
    BytesAfterEnd,
}

/// Reads the notes of a MIDI file, sorted by onset, each up to its note-off: [`MidiFile::parse`] and
/// [`MidiFile::notes`].
///
/// # Errors
/// [`MidiError`] if the bytes are not a whole MIDI file or hold no note.
pub fn read(bytes: &[u8], tracks: Tracks) -> Result<Vec<TimedNote>, MidiError> {
    MidiFile::parse(bytes)?.notes(tracks, Endings::NoteOffs)
}

/// Reads a MIDI file instrument by instrument, with the pedal: [`MidiFile::parse`] and
/// [`MidiFile::score`].
///
/// # Errors
/// [`MidiError`] if the bytes are not a whole MIDI file or hold no note.
pub fn read_score(bytes: &[u8]) -> Result<Score, MidiError> {
    MidiFile::parse(bytes)?.score()
}

/// Notes by onset, those of a chord by pitch.
fn in_order(a: &TimedNote, b: &TimedNote) -> Ordering {
    a.start.total_cmp(&b.start).then(a.pitch.cmp(&b.pitch))
}

/// The line that tells a user what was repaired of a file; empty if nothing was.
pub fn warning(path: &Path, repairs: impl IntoIterator<Item = Repair>) -> String {
    let repairs: Vec<String> = repairs.into_iter().map(|repair| repair.to_string()).collect();
    if repairs.is_empty() {
        return String::new();
    }
    format!("warning: {}: {}\n", path.display(), repairs.join("; "))
}
