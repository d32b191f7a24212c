//! `pianola inspect` on a `.mid` file: its tracks, and how Pianola composed it.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use pianola_host::midi_file::{self, Instrument, MidiFile};
use pianola_host::score_writer::provenance;
use pianola_host::text::{count, escape};
use serde::Serialize;

use crate::options::time::clock;
use crate::program::{self, say};

/// Whether bytes begin as a MIDI file does, plain, in a RIFF wrapper or compressed by gzip.
pub fn is_midi(bytes: &[u8]) -> bool {
    let beginnings: [&[u8]; 3] = [b"MThd", b"RIFF", &[0x1f, 0x8b]];
    beginnings.iter().any(|beginning| bytes.starts_with(beginning))
}

/// Contents of a `.mid` file; `--json` prints them.
#[derive(Serialize)]
pub struct Report {
    file: String,
    notes: usize,
    seconds: f64,
    tracks: Vec<Track>,
    /// None if `generate` did not write the file, or if it was edited since.
    composed: Option<Composed>,
}

#[derive(Serialize)]
struct Track {
    name: String,
    notes: usize,
    lowest: u8,
    highest: u8,
}

/// Provenance of a piece.
#[derive(Serialize)]
struct Composed {
    /// Program, model and seed.
    by: String,
    /// The command that composes it again.
    command: Option<String>,
}

impl Report {
    /// Reads a file; prints what was repaired of it.
    pub fn new(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let file = MidiFile::parse(bytes).with_context(|| name.to_string())?;
        say(&midi_file::warning(Path::new(name), file.repairs()));
        let score = file.score().with_context(|| name.to_string())?;
        let notes = || score.instruments.iter().flat_map(|instrument| &instrument.notes);
        let track = |instrument: &Instrument| {
            let pitches = instrument.notes.iter().map(|note| note.pitch);
            let (lowest, highest) =
                pitches.fold((127, 0), |(low, high), pitch| (pitch.min(low), pitch.max(high)));
            let (name, notes) = (instrument.name.clone(), instrument.notes.len());
            Track { name, notes, lowest, highest }
        };
        let composed = provenance(&file).map(|provenance| {
            let (by, command) = provenance.split_once("; command: ").unwrap_or((provenance, ""));
            let command = command.strip_prefix(program::NAME);
            let command = command.map(|arguments| format!("{}{arguments}", program::command()));
            Composed { by: by.into(), command }
        });
        Ok(Self {
            file: name.into(),
            notes: notes().count(),
            seconds: notes().map(|note| note.end).fold(0.0, f64::max),
            tracks: score.instruments.iter().map(track).collect(),
            composed,
        })
    }
}

impl fmt::Display for Report {
    /// Text from the file is escaped, so that it cannot control the terminal.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let length = clock(self.seconds, 1.0, self.seconds);
        writeln!(f, "{}: {}, {length}", escape(&self.file), count(self.notes, "note"))?;
        for Track { name, notes, lowest, highest } in &self.tracks {
            let name = if name.is_empty() { "unnamed".into() } else { escape(name) };
            writeln!(f, "  {name}: {}, pitches {lowest} to {highest}", count(*notes, "note"))?;
        }
        let Some(Composed { by, command }) = &self.composed else {
            return writeln!(f, "not composed by `pianola generate`, or edited since");
        };
        writeln!(f, "composed by {}", escape(by))?;
        match command {
            Some(command) => writeln!(f, "again: {}", escape(command)),
            None => Ok(()),
        }
    }
}
