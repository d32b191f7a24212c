//! The contents of one track of a file, in ticks from its start.

use std::collections::BTreeSet;

use midly::{MetaMessage, MidiMessage, TrackEventKind};

use pianola_runtime::controller::{self, ALL_SOUND_OFF, SUSTAIN};

use super::events::Events;
use super::{MidiError, Repair};
use crate::text::decode;

/// MIDI channel 10, counted from zero: its note numbers are drums, not pitches.
pub(super) const DRUM_CHANNEL: u8 = 9;

/// The lowest value of a pedal that is down.
const PEDAL_DOWN: u8 = 64;

/// The controller that resets all others, and so lifts the pedal.
const RESET_CONTROLLERS: u8 = 121;

/// The controllers that release all notes of a channel: "all notes off", and the four that change
/// its mode.
const ALL_NOTES_OFF: std::ops::RangeInclusive<u8> = controller::ALL_NOTES_OFF..=127;

/// Longest name that is kept, in characters.
const MAX_NAME: usize = 256;

/// Program, channel and track.
pub(super) type InstrumentId = (u8, u8, usize);

/// A note in ticks, with the instrument that plays it.
pub(super) struct TickNote {
    pub start: u64,
    /// Its note-off; none if there is none.
    pub end: Option<u64>,
    /// The first message after its start that releases or silences all notes of its channel.
    pub silenced: Option<u64>,
    pub pitch: u8,
    pub velocity: u8,
    pub instrument: InstrumentId,
}

/// One track chunk.
#[derive(Default)]
pub(super) struct Track {
    pub name: String,
    /// In the order in which they end, those without a note-off last.
    pub notes: Vec<TickNote>,
    /// (tick, channel, whether it goes down)
    pub pedal: Vec<(u64, u8, bool)>,
    /// (tick, microseconds per quarter note)
    pub tempi: Vec<(u64, u32)>,
    /// (tick, beats per bar, log2 of the beat's denominator)
    pub signatures: Vec<(u64, u8, u8)>,
    /// Its text events.
    pub texts: Vec<String>,
    pub length: u64,
}

impl Track {
    /// Reads the body of the track chunk of that number, counted from 0.
    pub fn read(
        bytes: &[u8],
        index: usize,
        repairs: &mut BTreeSet<Repair>,
    ) -> Result<Self, MidiError> {
        let mut track = Self::default();
        let mut keys = Keys::new(index);
        let mut events = Events::new(bytes, index);
        let mut ended = false;
        loop {
            let event = match events.next(repairs) {
                // Some programs pad tracks.
                Err(_) if ended => {
                    repairs.insert(Repair::BytesAfterEnd);
                    break;
                }
                event => event?,
            };
            let Some((delta, kind)) = event else { break };
            ended |= matches!(kind, Some(TrackEventKind::Meta(MetaMessage::EndOfTrack)));
            let tick = track.length + u64::from(delta);
            track.length = tick;
            match kind {
                Some(TrackEventKind::Meta(message)) => track.meta(tick, message),
                Some(TrackEventKind::Midi { channel, message }) => {
                    track.message(tick, channel.as_int(), message, &mut keys);
                }
                _ => {}
            }
        }
        keys.finish(&mut track.notes);
        Ok(track)
    }

    fn meta(&mut self, tick: u64, message: MetaMessage) {
        match message {
            MetaMessage::Tempo(tempo) => self.tempi.push((tick, tempo.as_int())),
            MetaMessage::TimeSignature(beats, part, ..) => {
                self.signatures.push((tick, beats, part));
            }
            MetaMessage::TrackName(name) if self.name.is_empty() => {
                self.name = decode(name).chars().take(MAX_NAME).collect();
            }
            MetaMessage::Text(bytes) => self.texts.push(decode(bytes)),
            _ => {}
        }
    }

    fn message(&mut self, tick: u64, channel: u8, message: MidiMessage, keys: &mut Keys) {
        match message {
            MidiMessage::ProgramChange { program } => {
                keys.program[usize::from(channel)] = program.as_int();
            }
            MidiMessage::Controller { controller, value } => match controller.as_int() {
                SUSTAIN => self.pedal.push((tick, channel, value >= PEDAL_DOWN)),
                RESET_CONTROLLERS => self.pedal.push((tick, channel, false)),
                ALL_SOUND_OFF => keys.silence(tick, channel),
                number if ALL_NOTES_OFF.contains(&number) => keys.silence(tick, channel),
                _ => {}
            },
            MidiMessage::NoteOn { key, vel } if vel.as_int() > 0 => {
                keys.press(tick, channel, key.as_int(), vel.as_int());
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                keys.release(tick, channel, key.as_int(), &mut self.notes);
            }
            _ => {}
        }
    }
}

/// A note that sounds.
struct Sounding {
    start: u64,
    silenced: Option<u64>,
    velocity: u8,
}

/// The notes that sound at some moment of a track.
struct Keys {
    track: usize,
    /// Of each channel.
    program: [u8; 16],
    /// By channel and pitch.
    sounding: Vec<Vec<Sounding>>,
}

impl Keys {
    fn new(track: usize) -> Self {
        let sounding = std::iter::repeat_with(Vec::new).take(16 * 128).collect();
        Self { track, program: [0; 16], sounding }
    }

    fn slot(channel: u8, pitch: u8) -> usize {
        usize::from(channel & 15) * 128 + usize::from(pitch & 127)
    }

    fn note(&self, slot: usize, note: &Sounding, end: Option<u64>) -> TickNote {
        let (channel, pitch) = ((slot / 128) as u8, (slot % 128) as u8);
        TickNote {
            start: note.start,
            end,
            silenced: note.silenced,
            pitch,
            velocity: note.velocity,
            instrument: (self.program[usize::from(channel)], channel, self.track),
        }
    }

    fn press(&mut self, start: u64, channel: u8, pitch: u8, velocity: u8) {
        let slot = Self::slot(channel, pitch);
        self.sounding[slot].push(Sounding { start, silenced: None, velocity });
    }

    fn silence(&mut self, tick: u64, channel: u8) {
        let first = Self::slot(channel, 0);
        for open in &mut self.sounding[first..first + 128] {
            // Those before the last silenced one are silenced too.
            for note in open.iter_mut().rev().take_while(|note| note.silenced.is_none()) {
                note.silenced = Some(tick);
            }
        }
    }

    /// Ends the notes of a pitch, as `pretty_midi` does.
    fn release(&mut self, tick: u64, channel: u8, pitch: u8, notes: &mut Vec<TickNote>) {
        let slot = Self::slot(channel, pitch);
        let before = notes.len();
        let open = std::mem::take(&mut self.sounding[slot]);
        let closing = open.iter().filter(|note| note.start != tick);
        notes.extend(closing.map(|note| self.note(slot, note, Some(tick))));
        // A note-off that ends no older note drops the notes that start with it.
        if notes.len() > before {
            let starting = open.into_iter().filter(|note| note.start == tick);
            self.sounding[slot] = starting.collect();
        }
    }

    /// Adds the notes that sound at the end of the track.
    fn finish(self, notes: &mut Vec<TickNote>) {
        let before = notes.len();
        for (slot, open) in self.sounding.iter().enumerate() {
            notes.extend(open.iter().map(|note| self.note(slot, note, None)));
        }
        notes[before..].sort_by_key(|note| note.start);
    }
}
