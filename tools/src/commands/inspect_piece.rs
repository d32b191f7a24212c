//! What `pianola inspect` prints of a `.mid` file: its tracks, and how Pianola composed it.

use std::fmt::Write;

use anyhow::Context;
use pianola_host::midi_file::read_score;
use pianola_host::score_writer::provenance;

use crate::options::time::clock;
use crate::program;

/// Whether bytes begin as a MIDI file does.
pub fn is_midi(bytes: &[u8]) -> bool {
    bytes.starts_with(b"MThd")
}

/// The tracks of a file with their notes; of a piece that Pianola composed also the command that composes it again.
pub fn report(name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let score = read_score(bytes).with_context(|| name.to_string())?;
    let notes = || score.instruments.iter().flat_map(|instrument| &instrument.notes);
    let end = notes().map(|note| note.end).fold(0.0, f64::max);
    let count = |notes: usize| match notes {
        1 => "1 note".to_string(),
        notes => format!("{notes} notes"),
    };
    let mut report = format!("{name}: {}, {}\n", count(notes().count()), clock(end, 1.0, end));
    for instrument in &score.instruments {
        let pitches = instrument.notes.iter().map(|note| note.pitch);
        let (low, high) =
            pitches.fold((127, 0), |(low, high), pitch| (pitch.min(low), pitch.max(high)));
        let name = match printable(&instrument.name) {
            name if name.is_empty() => "unnamed".into(),
            name => name,
        };
        let notes = count(instrument.notes.len());
        let _ = writeln!(report, "  {name}: {notes}, pitches {low} to {high}");
    }
    let Some(provenance) = provenance(bytes) else {
        report += "not composed by Pianola, or not as it was written\n";
        return Ok(report);
    };
    let (how, command) = provenance.split_once("; command: ").unwrap_or((&provenance, ""));
    let _ = writeln!(report, "composed by {}", printable(how));
    if let Some(arguments) = command.strip_prefix(program::NAME) {
        let _ = writeln!(report, "again: {}{}", program::command(), printable(arguments));
    }
    Ok(report)
}

/// Text from a file without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
