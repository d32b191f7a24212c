//! Writing pieces and scores as Standard MIDI Files.

use midly::{Format, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};
use pianola_runtime::Note;

use pianola_runtime::controller::SUSTAIN;

use super::strokes::{messages, milliseconds, place};
use super::track::DRUM_CHANNEL;
use super::{Score, TimedNote, in_order, to_absolute};

/// Ticks per quarter note of written files. At [`TEMPO`], one tick is one millisecond.
const TICKS_PER_QUARTER: u16 = 500;

/// Microseconds per quarter note of written files: 120 quarter notes a minute, which is also what
/// a program that ignores tempo events assumes.
const TEMPO: u32 = 500_000;

/// Most ticks from one event of a written file to the next: three days, in 28 bits. A longer rest is
/// cut.
const MAX_DELTA: u64 = (1 << 28) - 1;

/// Writes a piece as a format 0 MIDI file with millisecond resolution.
///
/// Every note sounds for at least a millisecond and every note-on has its note-off; a note still
/// sounding when its pitch is struck again is released at that moment, so no program has to guess
/// which note-off belongs to which note-on.
pub fn write(notes: &[Note]) -> Vec<u8> {
    let playable: Vec<Note> = notes.iter().map(|note| note.playable()).collect();
    let mut track = vec![meta(MetaMessage::Tempo(TEMPO.into()))];
    write_notes(&mut track, &to_absolute(&playable), 0);
    write_file(Format::SingleTrack, vec![track])
}

/// Writes a score as a format 1 MIDI file with millisecond resolution: a track for each instrument,
/// with its name and its own channel. Notes are written as by [`write()`].
///
/// [`read_score`](super::read_score) reads the same score, to the millisecond.
pub fn write_score(score: &Score) -> Vec<u8> {
    let ticks = score.pedal.iter().map(|&(down, up)| (milliseconds(down), milliseconds(up)));
    let mut moves: Vec<(u64, u8)> = ticks
        .filter(|(down, up)| down < up)
        .flat_map(|(down, up)| [(down, 127), (up, 0)])
        .collect();
    moves.sort_unstable();
    let mut pedal = vec![meta(MetaMessage::Tempo(TEMPO.into()))];
    write_events(
        &mut pedal,
        0,
        moves.into_iter().map(|(tick, value)| {
            (tick, MidiMessage::Controller { controller: SUSTAIN.into(), value: value.into() })
        }),
    );
    let played = (0..).zip(&score.instruments).map(|(index, instrument)| {
        let channels = (0..16).filter(|&channel| channel != DRUM_CHANNEL);
        let channel = channels.cycle().nth(index).unwrap_or(0);
        let mut notes = instrument.notes.clone();
        notes.sort_by(in_order);
        let mut track = vec![meta(MetaMessage::TrackName(instrument.name.as_bytes()))];
        write_notes(&mut track, &notes, channel);
        track
    });
    let tracks = [pedal].into_iter().chain(played).collect();
    write_file(Format::Parallel, tracks)
}

/// Adds notes, sorted by onset, to a track.
fn write_notes(track: &mut Vec<TrackEvent>, notes: &[TimedNote], channel: u8) {
    write_events(track, channel, messages(&place(notes)));
}

/// Adds messages, each at its tick and in order, to a track.
fn write_events(
    track: &mut Vec<TrackEvent>,
    channel: u8,
    messages: impl Iterator<Item = (u64, MidiMessage)>,
) {
    let mut now = 0;
    for (tick, message) in messages {
        let kind = TrackEventKind::Midi { channel: channel.into(), message };
        track.push(TrackEvent { delta: ((tick - now).min(MAX_DELTA) as u32).into(), kind });
        now = tick;
    }
}

/// Writes tracks, each of which ends with its last event.
fn write_file(format: Format, tracks: Vec<Vec<TrackEvent>>) -> Vec<u8> {
    let timing = Timing::Metrical(TICKS_PER_QUARTER.into());
    let mut smf = Smf::new(midly::Header::new(format, timing));
    smf.tracks = tracks;
    smf.tracks.iter_mut().for_each(|track| track.push(meta(MetaMessage::EndOfTrack)));
    let mut bytes = Vec::new();
    // Writing to a Vec fails only for a track of 4 GiB; a piece that long ends there.
    let written = smf.write(&mut bytes);
    debug_assert!(written.is_ok());
    bytes
}

fn meta(message: MetaMessage) -> TrackEvent {
    TrackEvent { delta: 0.into(), kind: TrackEventKind::Meta(message) }
}
