//! Standard MIDI Files: reading them as `pretty_midi` does, and writing pieces.
//!
//! Reading follows `pretty_midi` 0.2.11 note by note, because the published figures rest on it:
//! a note starts at its note-on and ends at the next note-off (or note-on with velocity 0) of its
//! pitch and channel in the same track; of several notes sounding at one pitch, that note-off ends
//! all but those starting at the same tick; a note that is never ended has no duration and is left
//! out. An *instrument* is a (program, channel, track) triple, in the order in which their first
//! notes end.
//!
//! Where `pretty_midi` guesses or gives up, this reads what the file means: tempo changes count in
//! whichever track they stand, SMPTE divisions give seconds whatever the tempo, and the tracks of a
//! format 2 file, which are patterns of their own, follow one another.

use std::cmp::Ordering;

use midly::{Format, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use crate::text::decode;
use pianola_runtime::Note;

/// Which notes of a file to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// The first instrument only, as the report does: in piano files, nearly always the right hand.
    First,
    /// All instruments but drums, merged: both hands.
    All,
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
    /// The name of its track; empty if it has none.
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
pub enum MidiError {
    /// The bytes do not start like a MIDI file, or their header makes no sense.
    #[error("not a Standard MIDI File ({0})")]
    NotMidi(midly::Error),
    /// A track is longer than the rest of the file.
    #[error("cut short: its last track announces more bytes than there are")]
    CutShort,
    /// A track chunk is missing that the header announces.
    #[error("cut short: the header announces {announced} tracks, {found} are there")]
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
    /// Nothing to learn from or to play.
    #[error("holds no notes")]
    NoNotes,
}

/// Seconds at each tick, from the division and the tempo events.
pub(crate) struct TempoMap {
    /// (first tick, seconds at that tick, seconds per tick from there on), by tick.
    spans: Vec<(u64, f64, f64)>,
}

impl TempoMap {
    pub fn new(timing: Timing, mut tempi: Vec<(u64, u32)>) -> Result<Self, MidiError> {
        let ticks_per_quarter = match timing {
            Timing::Metrical(ticks) if ticks.as_int() > 0 => f64::from(ticks.as_int()),
            Timing::Timecode(fps, ticks) if ticks > 0 => {
                // SMPTE time: a tick has one length, whatever the tempo says.
                let seconds = 1.0 / (f64::from(fps.as_f32()) * f64::from(ticks));
                return Ok(Self { spans: vec![(0, 0.0, seconds)] });
            }
            _ => return Err(MidiError::ZeroDivision),
        };
        tempi.sort_by_key(|&(tick, _)| tick);
        // 120 quarter notes a minute until a tempo event says otherwise.
        let mut spans = vec![(0, 0.0, 0.5 / ticks_per_quarter)];
        for (tick, microseconds_per_quarter) in tempi {
            let seconds_per_tick = f64::from(microseconds_per_quarter) / 1e6 / ticks_per_quarter;
            let (last_tick, last_seconds, last_rate) = spans[spans.len() - 1];
            let seconds = last_seconds + (tick - last_tick) as f64 * last_rate;
            if tick == last_tick {
                spans.pop();
            }
            spans.push((tick, seconds, seconds_per_tick));
        }
        Ok(Self { spans })
    }

    fn seconds(&self, tick: u64) -> f64 {
        let after = self.spans.partition_point(|&(first, ..)| first <= tick);
        let (first, seconds, rate) = self.spans[after - 1];
        seconds + (tick - first) as f64 * rate
    }

    /// The tick nearest to a time.
    pub fn tick(&self, seconds: f64) -> u64 {
        let after = self.spans.partition_point(|&(_, start, _)| start <= seconds);
        let (first, start, rate) = self.spans[after.saturating_sub(1)];
        first.saturating_add(((seconds - start) / rate).round() as u64)
    }
}

/// Program, channel and track.
type InstrumentId = (u8, u8, usize);

/// A note in ticks, with the instrument that plays it.
struct TickNote {
    start: u64,
    end: u64,
    pitch: u8,
    velocity: u8,
    instrument: InstrumentId,
}

/// MIDI channel 10, counted from zero: its note numbers are drums, not pitches.
const DRUM_CHANNEL: u8 = 9;

/// The controller of the sustain pedal, which is down from [`PEDAL_DOWN`] on.
const PEDAL: u8 = 64;

/// The lowest value of a pedal that is down.
const PEDAL_DOWN: u8 = 64;

/// Reads the notes of a MIDI file, sorted by onset.
///
/// With [`Tracks::First`], notes of one onset keep the order in which they end in the file, as the
/// report has them; with [`Tracks::All`] they are sorted by pitch, so that a chord reads the same
/// however its hands are spread over tracks.
///
/// # Errors
/// [`MidiError`] if the bytes are not a whole MIDI file or hold no note.
pub fn read(bytes: &[u8], tracks: Tracks) -> Result<Vec<TimedNote>, MidiError> {
    let mut notes = place(bytes)?.notes;
    match tracks {
        Tracks::First => {
            let first = notes.first().map(|&(_, instrument)| instrument);
            notes.retain(|&(_, instrument)| Some(instrument) == first);
            notes.sort_by(|(a, _), (b, _)| a.start.total_cmp(&b.start));
        }
        Tracks::All => {
            notes.retain(|&(_, (_, channel, _))| channel != DRUM_CHANNEL);
            notes.sort_by(|(a, _), (b, _)| in_order(a, b));
        }
    }
    if notes.is_empty() {
        return Err(MidiError::NoNotes);
    }
    Ok(notes.into_iter().map(|(note, _)| note).collect())
}

/// Reads a MIDI file instrument by instrument, with the pedal: all that is heard of a piano.
///
/// # Errors
/// [`MidiError`] if the bytes are not a whole MIDI file or hold no note.
pub fn read_score(bytes: &[u8]) -> Result<Score, MidiError> {
    let mut placed = place(bytes)?;
    placed.notes.retain(|&(_, (_, channel, _))| channel != DRUM_CHANNEL);
    let mut ids: Vec<InstrumentId> = Vec::new();
    let mut instruments: Vec<Instrument> = Vec::new();
    let mut end = 0.0;
    for (note, id) in placed.notes {
        let index = ids.iter().position(|&known| known == id).unwrap_or_else(|| {
            ids.push(id);
            instruments.push(Instrument { name: placed.names[id.2].clone(), notes: Vec::new() });
            ids.len() - 1
        });
        instruments[index].notes.push(note);
        end = f64::max(end, note.end);
    }
    if instruments.is_empty() {
        return Err(MidiError::NoNotes);
    }
    for instrument in &mut instruments {
        instrument.notes.sort_by(in_order);
    }

    placed.pedal.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let mut pedal: Vec<(f64, f64)> = Vec::new();
    let mut channels_down = 0u16;
    for (seconds, channel, down) in placed.pedal {
        let before = channels_down;
        channels_down = before & !(1 << channel) | u16::from(down) << channel;
        match (before, channels_down, pedal.last_mut()) {
            (0, 1.., _) => pedal.push((seconds, end)), // to the end, unless it is let go
            (1.., 0, Some(last)) => last.1 = seconds,
            _ => {}
        }
    }
    pedal.retain(|(down, up)| down < up);
    Ok(Score { instruments, pedal })
}

/// Notes by onset, those of a chord by pitch.
fn in_order(a: &TimedNote, b: &TimedNote) -> Ordering {
    a.start.total_cmp(&b.start).then(a.pitch.cmp(&b.pitch))
}

/// What a file holds, placed in time.
#[derive(Default)]
struct Placed {
    /// In the order in which they end in their tracks.
    notes: Vec<(TimedNote, InstrumentId)>,
    /// (seconds, channel, whether it goes down)
    pedal: Vec<(f64, u8, bool)>,
    /// Of the tracks.
    names: Vec<String>,
}

impl Placed {
    fn add(&mut self, track: Track, tempo: &TempoMap, offset: f64) {
        let seconds = |tick| offset + tempo.seconds(tick);
        self.notes.extend(track.notes.into_iter().map(|note| {
            let (start, end) = (seconds(note.start), seconds(note.end));
            let (pitch, velocity) = (note.pitch, note.velocity);
            (TimedNote { start, end, pitch, velocity }, note.instrument)
        }));
        let pedal = track.pedal.into_iter();
        self.pedal.extend(pedal.map(|(tick, channel, down)| (seconds(tick), channel, down)));
        self.names.push(track.name);
    }
}

fn place(bytes: &[u8]) -> Result<Placed, MidiError> {
    let (header, parsed) = parse(bytes)?;
    let mut placed = Placed::default();
    if header.format == Format::Sequential {
        let mut offset = 0.0;
        for mut track in parsed {
            let tempo = TempoMap::new(header.timing, std::mem::take(&mut track.tempi))?;
            let length = tempo.seconds(track.length);
            placed.add(track, &tempo, offset);
            offset += length;
        }
    } else {
        let tempi = parsed.iter().flat_map(|track| track.tempi.iter().copied()).collect();
        let tempo = TempoMap::new(header.timing, tempi)?;
        for track in parsed {
            placed.add(track, &tempo, 0.0);
        }
    }
    Ok(placed)
}

/// The header and all tracks of a whole file.
pub(crate) fn parse(bytes: &[u8]) -> Result<(midly::Header, Vec<Track>), MidiError> {
    let bytes = unwrap_riff(bytes);
    if bytes.get(12) == Some(&0x80) {
        return Err(MidiError::ZeroDivision); // 0 frames a second, on which `midly` would overflow
    }
    let (header, chunks) = midly::parse(bytes).map_err(MidiError::NotMidi)?;
    let announced = chunks.size_hint().0;
    if ends_inside_a_track(bytes, announced) {
        return Err(MidiError::CutShort);
    }
    let mut parsed = Vec::new();
    for chunk in chunks.take(announced) {
        let events = chunk.map_err(MidiError::NotMidi)?;
        parsed.push(read_track(events, parsed.len())?);
    }
    if parsed.len() < announced {
        return Err(MidiError::MissingTracks { announced, found: parsed.len() });
    }
    Ok((header, parsed))
}

/// The MIDI file in a RIFF wrapper (`.rmi`): a `data` chunk that starts with its header.
fn unwrap_riff(bytes: &[u8]) -> &[u8] {
    match bytes.get(12..24) {
        Some([b'd', b'a', b't', b'a', l0, l1, l2, l3, b'M', b'T', b'h', b'd']) => {
            let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
            bytes[20..].get(..length).unwrap_or(&bytes[20..])
        }
        _ => bytes,
    }
}

/// Whether one of the first `tracks` tracks runs past the end of the file. A chunk is 4 bytes of
/// type, 4 of big-endian length, and its body.
fn ends_inside_a_track(mut bytes: &[u8], mut tracks: usize) -> bool {
    while let (Some((head, body)), 1..) = (bytes.split_first_chunk::<8>(), tracks) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        match body.get(length as usize..) {
            Some(rest) => bytes = rest,
            None => return true,
        }
        tracks -= usize::from(head.starts_with(b"MTrk"));
    }
    false
}

/// What one track chunk holds, in ticks from its start.
#[derive(Default)]
pub(crate) struct Track {
    name: String,
    notes: Vec<TickNote>,
    /// (tick, channel, whether it goes down)
    pedal: Vec<(u64, u8, bool)>,
    /// (tick, microseconds per quarter note)
    pub tempi: Vec<(u64, u32)>,
    /// (tick, beats of a bar, what part of a whole note each is, as a power of two)
    pub signatures: Vec<(u64, u8, u8)>,
    length: u64,
}

fn read_track(mut events: midly::EventIter, index: usize) -> Result<Track, MidiError> {
    let mut track = Track::default();
    let mut program = [0u8; 16];
    // Notes sounding, by channel and pitch: (start tick, velocity).
    let mut sounding: Vec<Vec<(u64, u8)>> = vec![Vec::new(); 16 * 128];
    loop {
        let (unread, status) = (events.unread().len(), events.running_status());
        let Some(event) = events.next() else {
            // `midly` stops at what it cannot read.
            return if unread == 0 { Ok(track) } else { Err(MidiError::BrokenTrack(index)) };
        };
        let event = event.map_err(|_| MidiError::BrokenTrack(index))?;
        let tick = track.length + u64::from(event.delta.as_int());
        track.length = tick;
        if matches!(event.kind, TrackEventKind::Meta(_)) {
            // Many files go on with the running status after a meta event.
            *events.running_status_mut() = status;
        }
        match event.kind {
            TrackEventKind::Meta(MetaMessage::Tempo(tempo)) => {
                track.tempi.push((tick, tempo.as_int()));
            }
            TrackEventKind::Meta(MetaMessage::TimeSignature(beats, part, ..)) => {
                track.signatures.push((tick, beats, part));
            }
            TrackEventKind::Meta(MetaMessage::TrackName(name)) if track.name.is_empty() => {
                track.name = decode(name);
            }
            TrackEventKind::Midi { channel, message } => {
                let channel = channel.as_int();
                let slot =
                    |key: midly::num::u7| usize::from(channel) * 128 + usize::from(key.as_int());
                match message {
                    MidiMessage::ProgramChange { program: new } => {
                        program[usize::from(channel)] = new.as_int();
                    }
                    MidiMessage::Controller { controller, value } if controller == PEDAL => {
                        track.pedal.push((tick, channel, value >= PEDAL_DOWN));
                    }
                    MidiMessage::NoteOn { key, vel } if vel.as_int() > 0 => {
                        sounding[slot(key)].push((tick, vel.as_int()));
                    }
                    MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                        let open = &mut sounding[slot(key)];
                        let closing = open.iter().filter(|&&(start, _)| start != tick);
                        let before = track.notes.len();
                        track.notes.extend(closing.map(|&(start, velocity)| TickNote {
                            start,
                            end: tick,
                            pitch: key.as_int(),
                            velocity,
                            instrument: (program[usize::from(channel)], channel, index),
                        }));
                        // A note-off that ends nothing older ends, uninitialized, what starts with it.
                        if track.notes.len() > before {
                            open.retain(|&(start, _)| start == tick);
                        } else {
                            open.clear();
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Turns absolute notes, sorted by onset, into notes relative to their predecessors.
///
/// The first note's step is 0: a piece starts with its first note.
pub fn to_relative(notes: &[TimedNote]) -> Vec<Note> {
    let mut previous = notes.first().map_or(0.0, |note| note.start);
    notes
        .iter()
        .map(|note| {
            let step = (note.start - previous) as f32;
            previous = note.start;
            let duration = (note.end - note.start) as f32;
            Note { pitch: note.pitch, velocity: note.velocity, step, duration }
        })
        .collect()
}

/// Turns notes relative to their predecessors into absolute notes, of which the first starts after
/// its own step.
pub fn to_absolute(notes: &[Note]) -> Vec<TimedNote> {
    let mut start = 0.0;
    notes
        .iter()
        .map(|note| {
            start += f64::from(note.step);
            let end = start + f64::from(note.duration);
            TimedNote { start, end, pitch: note.pitch, velocity: note.velocity }
        })
        .collect()
}

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
/// with its name and a channel of its own. Notes are as [`write()`] has them.
///
/// [`read_score`] reads the same score, to the millisecond.
pub fn write_score(score: &Score) -> Vec<u8> {
    let ticks = score.pedal.iter().map(|&(down, up)| (tick(down), tick(up)));
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
            (tick, MidiMessage::Controller { controller: PEDAL.into(), value: value.into() })
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

/// The tick of a written file that is nearest to a time.
fn tick(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}

/// Adds notes, sorted by onset, to a track.
fn write_notes(track: &mut Vec<TrackEvent>, notes: &[TimedNote], channel: u8) {
    // (start, end, pitch, velocity) in ticks from the start of the piece.
    let mut placed: Vec<(u64, u64, u8, u8)> = Vec::with_capacity(notes.len());
    let mut last_of_pitch = [None; 128];
    for note in notes {
        let start = tick(note.start);
        let end = tick(note.end).max(start.saturating_add(1));
        let pitch = note.pitch.min(127);
        if let Some(last) = last_of_pitch[usize::from(pitch)].replace(placed.len()) {
            let last: &mut (u64, u64, u8, u8) = &mut placed[last];
            if last.0 == start {
                // Struck twice at once: one key, the longer of the two.
                last.1 = last.1.max(end);
                last.3 = last.3.max(note.velocity.min(127));
                last_of_pitch[usize::from(pitch)] =
                    placed.iter().rposition(|placed| placed.2 == pitch);
                continue;
            }
            last.1 = last.1.min(start);
        }
        placed.push((start, end, pitch, note.velocity.clamp(1, 127)));
    }

    // (tick, note-ons after note-offs, pitch, velocity)
    let mut events: Vec<(u64, bool, u8, u8)> = Vec::with_capacity(2 * placed.len());
    for (start, end, pitch, velocity) in placed {
        events.push((start, true, pitch, velocity));
        events.push((end, false, pitch, 0));
    }
    events.sort_unstable();
    let piano = (0, MidiMessage::ProgramChange { program: 0.into() });
    let messages = events.into_iter().map(|(tick, on, pitch, velocity)| {
        let (key, vel) = (pitch.into(), velocity.into());
        let message =
            if on { MidiMessage::NoteOn { key, vel } } else { MidiMessage::NoteOff { key, vel } };
        (tick, message)
    });
    write_events(track, channel, [piano].into_iter().chain(messages));
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
