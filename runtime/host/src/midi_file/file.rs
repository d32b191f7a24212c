//! A parsed file and the views of it.

use std::collections::{BTreeSet, HashMap};

use midly::{Format, Timing};

use super::chunks::Chunks;
use super::track::{DRUM_CHANNEL, InstrumentId, Track};
use super::{
    Endings, Instrument, MAX_GAP, MidiError, Repair, Score, TempoMap, TimeFault, TimedNote, Tracks,
    container, in_order,
};
use crate::bars::Bars;

/// Shortest duration of a note without a release, in seconds: its track may end at its onset.
const LEAST_HELD: f64 = 0.5;

/// A MIDI file, read once.
#[derive(Clone, Debug, Default)]
pub struct MidiFile {
    /// The notes of all instruments but drums, in the order in which they end in their tracks.
    notes: Vec<PlacedNote>,
    /// (seconds, channel, whether it goes down)
    pedal: Vec<(f64, u8, bool)>,
    /// Of the tracks.
    names: Vec<String>,
    texts: Vec<String>,
    repairs: BTreeSet<Repair>,
    bars: Option<Bars>,
}

/// A note placed in time, with the instrument that plays it.
#[derive(Clone, Copy, Debug)]
struct PlacedNote {
    /// The note up to its note-off, or as played if it has none.
    note: TimedNote,
    has_note_off: bool,
    /// Its end as played.
    played_until: f64,
    instrument: InstrumentId,
}

impl MidiFile {
    /// Parses the bytes of a file: a Standard MIDI File, one in a RIFF wrapper, or either in gzip.
    ///
    /// # Errors
    /// [`MidiError`] if they are not a whole MIDI file.
    pub fn parse(bytes: &[u8]) -> Result<Self, MidiError> {
        let mut file = Self::default();
        let bytes = container::unwrap(bytes, &mut file.repairs)?;
        let chunks = Chunks::read(&bytes, &mut file.repairs)?;
        let mut tracks = Vec::with_capacity(chunks.tracks.len());
        for (index, body) in chunks.tracks.iter().enumerate() {
            tracks.push(Track::read(body, index, &mut file.repairs)?);
        }
        if chunks.format == Format::Sequential {
            file.place_in_turn(tracks, chunks.timing)?;
        } else {
            file.place_together(tracks, chunks.timing)?;
        }
        file.check_times()?;
        Ok(file)
    }

    /// Tracks that are separate patterns, one after the other.
    fn place_in_turn(&mut self, tracks: Vec<Track>, timing: Timing) -> Result<(), MidiError> {
        let mut offset = 0.0;
        for mut track in tracks {
            let tempo = TempoMap::new(timing, std::mem::take(&mut track.tempi))?;
            let length = tempo.seconds(track.length);
            self.add(track, &tempo, offset);
            offset += length;
        }
        Ok(())
    }

    /// Tracks that share one time.
    fn place_together(&mut self, tracks: Vec<Track>, timing: Timing) -> Result<(), MidiError> {
        let tempi = tracks.iter().flat_map(|track| track.tempi.iter().copied()).collect();
        let tempo = TempoMap::new(timing, tempi)?;
        let signatures = tracks.iter().flat_map(|track| track.signatures.iter().copied()).collect();
        for track in tracks {
            self.add(track, &tempo, 0.0);
        }
        self.bars = match timing {
            Timing::Metrical(quarter) => Some(Bars::new(tempo, quarter.as_int(), signatures)),
            Timing::Timecode(..) => None,
        };
        Ok(())
    }

    fn add(&mut self, track: Track, tempo: &TempoMap, offset: f64) {
        let seconds = |tick| offset + tempo.seconds(tick);
        let last = seconds(track.length);
        let pitched = track.notes.into_iter().filter(|note| note.instrument.1 != DRUM_CHANNEL);
        self.notes.extend(pitched.map(|note| {
            let start = seconds(note.start);
            let latest = start + MAX_GAP;
            let with_track = last.clamp(start + LEAST_HELD, latest);
            let end = note.end.map_or(with_track, seconds);
            let silenced = note.silenced.map_or(end, |tick| seconds(tick).min(latest));
            let played_until = match note.end {
                Some(_) => end.min(silenced),
                None => silenced,
            };
            let (pitch, velocity) = (note.pitch, note.velocity);
            let has_note_off = note.end.is_some();
            let end = if has_note_off { end } else { played_until };
            let placed = TimedNote { start, end, pitch, velocity };
            PlacedNote { note: placed, has_note_off, played_until, instrument: note.instrument }
        }));
        // A drum channel has no strings for a pedal to hold.
        let pedal = track.pedal.into_iter().filter(|&(_, channel, _)| channel != DRUM_CHANNEL);
        self.pedal.extend(pedal.map(|(tick, channel, down)| (seconds(tick), channel, down)));
        self.names.push(track.name);
        self.texts.extend(track.texts);
    }

    /// Rejects times that only damaged files have.
    fn check_times(&self) -> Result<(), MidiError> {
        // Only a note-off can make a note too long: without one it ends with the track.
        let ended = self.notes.iter().filter(|placed| placed.has_note_off);
        let lengths = ended.map(|placed| placed.note.end - placed.note.start);
        let longest = lengths.fold(0.0, f64::max);
        if longest > MAX_GAP {
            return Err(MidiError::ImpossibleTime(TimeFault::LongNote(longest)));
        }
        let mut onsets: Vec<f64> = self.notes.iter().map(|placed| placed.note.start).collect();
        onsets.push(0.0);
        onsets.sort_by(f64::total_cmp);
        let gaps = onsets.windows(2).map(|pair| pair[1] - pair[0]);
        let widest = gaps.fold(0.0, f64::max);
        if widest > MAX_GAP {
            return Err(MidiError::ImpossibleTime(TimeFault::LongGap(widest)));
        }
        Ok(())
    }

    /// The repairs that were needed to read the file.
    pub fn repairs(&self) -> impl Iterator<Item = Repair> {
        self.repairs.iter().copied()
    }

    /// The text events of all tracks, track by track, without spaces around them.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The bars of the file; none if its time is not counted in quarter notes, or if it is a string
    /// of patterns.
    pub fn bars(&self) -> Option<&Bars> {
        self.bars.as_ref()
    }

    /// The file's notes, sorted by onset.
    ///
    /// With [`Tracks::First`], notes of one onset keep the order in which they end in the file, as
    /// the report has them; with [`Tracks::All`] they are sorted by pitch, so that a chord reads the
    /// same however its hands are spread over tracks.
    ///
    /// # Errors
    /// [`MidiError::NoNotes`] if there are none.
    pub fn notes(&self, tracks: Tracks, endings: Endings) -> Result<Vec<TimedNote>, MidiError> {
        let mut placed = self.ending(endings).peekable();
        let first = placed.peek().map(|&(_, instrument)| instrument);
        let chosen = placed.filter(|&(_, id)| tracks == Tracks::All || Some(id) == first);
        let mut notes: Vec<TimedNote> = chosen.map(|(note, _)| note).collect();
        match tracks {
            Tracks::First => notes.sort_by(|a, b| a.start.total_cmp(&b.start)),
            Tracks::All => notes.sort_by(in_order),
        }
        if notes.is_empty() { Err(MidiError::NoNotes) } else { Ok(notes) }
    }

    /// The file's instruments, with the pedal: a piano performance as played.
    ///
    /// # Errors
    /// [`MidiError::NoNotes`] if there are none.
    pub fn score(&self) -> Result<Score, MidiError> {
        let mut places: HashMap<InstrumentId, usize> = HashMap::new();
        let mut instruments: Vec<Instrument> = Vec::new();
        let mut end = 0.0;
        for (note, id) in self.ending(Endings::AsPlayed) {
            let place = *places.entry(id).or_insert_with(|| {
                instruments.push(Instrument { name: self.names[id.2].clone(), notes: Vec::new() });
                instruments.len() - 1
            });
            instruments[place].notes.push(note);
            end = f64::max(end, note.end);
        }
        if instruments.is_empty() {
            return Err(MidiError::NoNotes);
        }
        for instrument in &mut instruments {
            instrument.notes.sort_by(in_order);
        }
        Ok(Score { instruments, pedal: self.pedal(end) })
    }

    /// The notes with the endings asked for, in the order in which they end in their tracks.
    fn ending(&self, endings: Endings) -> impl Iterator<Item = (TimedNote, InstrumentId)> {
        let kept = move |placed: &&PlacedNote| match endings {
            Endings::NoteOffs => placed.has_note_off,
            // A note that is silenced at its start never sounds.
            Endings::AsPlayed => placed.played_until > placed.note.start,
        };
        self.notes.iter().filter(kept).map(move |placed| {
            let end = match endings {
                Endings::NoteOffs => placed.note.end,
                Endings::AsPlayed => placed.played_until,
            };
            (TimedNote { end, ..placed.note }, placed.instrument)
        })
    }

    /// Intervals in which the pedal of any channel is down; one that is never released is down to `end`.
    fn pedal(&self, end: f64) -> Vec<(f64, f64)> {
        let mut moves = self.pedal.clone();
        moves.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let mut pedal: Vec<(f64, f64)> = Vec::new();
        let mut channels_down = 0u16;
        for (seconds, channel, down) in moves {
            let before = channels_down;
            channels_down = before & !(1 << channel) | u16::from(down) << channel;
            match (before, channels_down, pedal.last_mut()) {
                (0, 1.., _) => pedal.push((seconds, end)),
                (1.., 0, Some(last)) => last.1 = seconds,
                _ => {}
            }
        }
        pedal.retain(|(down, up)| down < up);
        pedal
    }
}
