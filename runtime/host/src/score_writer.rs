//! Writing composed pieces as MIDI files for notation programs and sequencers.
//!
//! A piece is a format 1 file: a track with title, tempo and provenance, then a track for each hand, on
//! channels 1 and 2. A tick is a millisecond whatever the tempo, so that times do not depend on it.

use midly::{Format, Header, MetaMessage, Smf, Timing, TrackEvent, TrackEventKind};
use pianola_runtime::Note;
use pianola_runtime::vocabulary::Hands;

use crate::midi_file::strokes::{TickNote, messages, place};
use crate::midi_file::{MidiFile, to_absolute};

/// A composed piece, with the metadata of its file.
#[derive(Clone, Copy, Debug)]
pub struct ComposedPiece<'a> {
    /// The notes, each relative to the one before it.
    pub notes: &'a [Note],
    /// The hands that play them.
    pub hands: Hands,
    /// Title of the piece.
    pub title: &'a str,
    /// How the piece was composed, as a text event.
    pub provenance: &'a str,
}

/// Prefix of the text event of a composed piece.
pub const PROVENANCE: &str = "Pianola ";

/// Milliseconds per quarter note of a piece without a pulse: 120 quarter notes per minute.
const DEFAULT_QUARTER: u16 = 500;

/// Milliseconds of a quarter note of a piece with a pulse: from 60 to 120 quarter notes a minute. It
/// is one octave, so each pulse has one tempo.
const QUARTERS: std::ops::Range<f64> = 500.0..1000.0;

/// Most ticks between two events, in 28 bits: three days. A longer rest is cut.
const MAX_DELTA: u64 = (1 << 28) - 1;

/// Writes a piece.
///
/// Every note sounds for at least a millisecond and every note-on has its note-off; a note still sounding
/// when its pitch is struck again is released at that moment. All tracks end a millisecond after the
/// last release.
///
/// The tempo is that of the piece's pulse (its most frequent inter-onset interval), or else 120
/// quarter notes a minute. A piece for both hands is split at a pitch that follows the music.
pub fn write(piece: &ComposedPiece) -> Vec<u8> {
    let quarter = quarter(piece.notes).unwrap_or(DEFAULT_QUARTER);
    let playable: Vec<Note> = piece.notes.iter().map(|note| note.playable()).collect();
    let notes = place(&to_absolute(&playable));
    let end = notes.iter().map(|note| note.end).max().map_or(0, |end| end + 1);
    let tempo = u32::from(quarter) * 1000;
    let mut tracks = vec![track(
        piece.title,
        end,
        vec![
            (0, TrackEventKind::Meta(MetaMessage::Tempo(tempo.into()))),
            (0, TrackEventKind::Meta(MetaMessage::Text(piece.provenance.as_bytes()))),
        ],
    )];
    if piece.hands == Hands::Right {
        tracks.push(track("Right hand", end, events(&notes, 0)));
    } else {
        let split = notes.iter().zip(split_points(&notes));
        let (right, left): (Vec<_>, Vec<_>) = split.partition(|(note, split)| note.pitch >= *split);
        for (channel, (name, hand)) in (0..).zip([("Right hand", right), ("Left hand", left)]) {
            let hand: Vec<TickNote> = hand.into_iter().map(|(note, _)| *note).collect();
            tracks.push(track(name, end, events(&hand, channel)));
        }
    }
    let header = Header::new(Format::Parallel, Timing::Metrical(quarter.into()));
    let mut bytes = Vec::new();
    // Writing to a Vec fails only for a track of 4 GiB; a piece that long ends there.
    let written = Smf { header, tracks }.write(&mut bytes);
    debug_assert!(written.is_ok());
    bytes
}

/// The provenance of a composed piece; `None` for other files.
pub fn provenance(file: &MidiFile) -> Option<&str> {
    let composed = |text: &&str| text.starts_with(PROVENANCE) && text.contains("; seed ");
    file.texts().iter().map(String::as_str).find(composed)
}

/// Milliseconds of a quarter note, if the piece has a pulse.
///
/// The pulse is the most frequent inter-onset interval of 60 ms and more, to the millisecond. The piece has
/// one if a quarter of those intervals are the pulse, its half or its double, within 2 ms. A quarter note
/// is the pulse times the power of two that lies in [`QUARTERS`].
fn quarter(notes: &[Note]) -> Option<u16> {
    let mut counts = std::collections::BTreeMap::<u64, usize>::new();
    for note in notes {
        let milliseconds = (f64::from(note.step) * 1e3).round() as u64;
        if milliseconds >= 60 {
            *counts.entry(milliseconds).or_default() += 1;
        }
    }
    // Among equally frequent intervals, the shortest.
    let (&pulse, _) = counts.iter().rev().max_by_key(|(_, count)| **count)?;
    let total: usize = counts.values().sum();
    let near =
        |interval: u64| [pulse, 2 * pulse, pulse / 2].iter().any(|p| p.abs_diff(interval) <= 2);
    let regular: usize =
        counts.iter().filter(|(interval, _)| near(**interval)).map(|(_, count)| count).sum();
    if 4 * regular < total || total < 4 {
        return None;
    }
    let mut quarter = pulse as f64;
    while quarter >= QUARTERS.end {
        quarter /= 2.0;
    }
    while quarter < QUARTERS.start {
        quarter *= 2.0;
    }
    Some(quarter.round() as u16)
}

/// Window of the split point before and after a note, in milliseconds.
const AROUND: u64 = 2000;

/// Lowest and highest split point: E3 and G#4.
const SPLITS: std::ops::RangeInclusive<u8> = 52..=68;

/// For each note, the lowest pitch of the right hand: the middle between the lowest and the highest pitch
/// that start within two seconds of it, but within [`SPLITS`]. Notes are sorted by onset.
fn split_points(notes: &[TickNote]) -> Vec<u8> {
    let (mut first, mut after) = (0, 0);
    notes
        .iter()
        .map(|note| {
            while notes.get(first).is_some_and(|early| early.start + AROUND < note.start) {
                first += 1;
            }
            while notes.get(after).is_some_and(|late| late.start <= note.start + AROUND) {
                after += 1;
            }
            let pitches = notes.get(first..after).unwrap_or_default().iter().map(|note| note.pitch);
            let (low, high) = pitches
                .fold((127, 0), |(low, high): (u8, u8), pitch| (low.min(pitch), high.max(pitch)));
            let middle = (u16::from(low) + u16::from(high)).div_ceil(2) as u8;
            middle.clamp(*SPLITS.start(), *SPLITS.end())
        })
        .collect()
}

/// The events of a hand on a channel, each at its tick.
fn events(notes: &[TickNote], channel: u8) -> Vec<(u64, TrackEventKind<'static>)> {
    let midi = |message| TrackEventKind::Midi { channel: channel.into(), message };
    messages(notes).map(|(tick, message)| (tick, midi(message))).collect()
}

/// A track with a name that ends at a tick.
fn track<'a>(
    name: &'a str,
    end: u64,
    events: Vec<(u64, TrackEventKind<'a>)>,
) -> Vec<TrackEvent<'a>> {
    let name = (0, TrackEventKind::Meta(MetaMessage::TrackName(name.as_bytes())));
    let end = (end, TrackEventKind::Meta(MetaMessage::EndOfTrack));
    let mut now = 0;
    [name]
        .into_iter()
        .chain(events)
        .chain([end])
        .map(|(tick, kind)| {
            let delta = (tick.saturating_sub(now).min(MAX_DELTA) as u32).into();
            now = tick;
            TrackEvent { delta, kind }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::midi_file::{self, Tracks, read, read_score};
    use proptest::prelude::*;

    fn written(notes: &[Note], hands: Hands) -> Vec<u8> {
        write(&ComposedPiece { notes, hands, title: "a title", provenance: "Pianola 1; seed 2" })
    }

    fn note() -> impl Strategy<Value = Note> {
        let times = prop_oneof![Just(0f32), 0f32..2.0, 0f32..15.0];
        (0u8..128, 0u8..128, times.clone(), times)
            .prop_map(|(pitch, velocity, step, duration)| Note { pitch, velocity, step, duration })
    }

    fn milliseconds(bytes: &[u8]) -> Vec<(u64, u64, u8, u8)> {
        let notes = read(bytes, Tracks::All).unwrap_or_default();
        let tick = |seconds: f64| (seconds * 1e3).round() as u64;
        let notes = notes.iter();
        notes.map(|n| (tick(n.start), tick(n.end), n.pitch, n.velocity)).collect()
    }

    proptest! {
        /// The notes are those of a file of one track.
        #[test]
        fn hands_and_tempo_change_no_note(notes in proptest::collection::vec(note(), 1..60)) {
            let expected = milliseconds(&midi_file::write(&notes));
            for hands in [Hands::Both, Hands::Right] {
                prop_assert_eq!(&milliseconds(&written(&notes, hands)), &expected);
            }
        }
    }

    fn steady(step: f32, count: usize) -> Vec<Note> {
        vec![Note { pitch: 60, velocity: 80, step, duration: 0.1 }; count]
    }

    #[test]
    fn the_tempo_is_the_pulse() {
        assert_eq!(quarter(&steady(0.3, 20)), Some(600));
        assert_eq!(quarter(&steady(0.15, 20)), Some(600));
        assert_eq!(quarter(&steady(1.0, 20)), Some(500));
        let irregular: Vec<Note> =
            (1..40).flat_map(|step| steady(0.05 + 0.023 * step as f32, 1)).collect();
        assert_eq!(quarter(&irregular), None);
        assert_eq!(quarter(&steady(0.0, 20)), None);
        assert_eq!(quarter(&[]), None);
    }

    #[test]
    fn each_hand_has_a_track_and_all_end_after_the_last_release() {
        let at = |pitch, step| Note { pitch, velocity: 80, step, duration: 1.0 };
        let notes = [at(40, 0.0), at(76, 0.0), at(47, 0.5), at(72, 0.0)];
        let bytes = written(&notes, Hands::Both);
        let Ok(score) = read_score(&bytes) else { panic!("no score") };
        let hands: Vec<(&str, Vec<u8>)> = score
            .instruments
            .iter()
            .map(|hand| (hand.name.as_str(), hand.notes.iter().map(|note| note.pitch).collect()))
            .collect();
        assert_eq!(hands, [("Right hand", vec![76, 72]), ("Left hand", vec![40, 47])]);
        let Ok(smf) = Smf::parse(&bytes) else { panic!("no file") };
        assert_eq!(smf.header.format, Format::Parallel);
        for track in &smf.tracks {
            let length: u32 = track.iter().map(|event| event.delta.as_int()).sum();
            assert_eq!(length, 1501);
        }
        let read = |bytes: &[u8]| {
            let file = MidiFile::parse(bytes).unwrap();
            provenance(&file).map(str::to_string)
        };
        assert_eq!(read(&bytes).as_deref(), Some("Pianola 1; seed 2"));
        assert_eq!(read(&midi_file::write(&notes)), None);
    }

    /// High and low melodies stay in one hand.
    #[test]
    fn the_split_follows_the_music_between_limits() {
        let note = |pitch| Note { pitch, velocity: 80, step: 0.3, duration: 0.2 };
        let placed = |pitches: [u8; 3]| place(&to_absolute(&pitches.map(note)));
        assert_eq!(split_points(&placed([90, 95, 92])), [68; 3]);
        assert_eq!(split_points(&placed([30, 35, 32])), [52; 3]);
        assert_eq!(split_points(&placed([40, 80, 60])), [60; 3]);
    }
}
