//! Prints every note of a folder of MIDI files, for `tests/compare_with_pretty_midi.py`.
//!
//! One line per note: file, tracks (`first` or `all`), pitch, velocity, start and end in seconds.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use pianola_host::corpus::Folder;
use pianola_host::midi_file::{Endings, MidiFile, Tracks};

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: dump_notes FOLDER")?;
    let mut text = String::new();
    for path in Folder::list(Path::new(&folder))?.files {
        let file = MidiFile::open(&path).with_context(|| path.display().to_string())?;
        for (name, tracks) in [("first", Tracks::First), ("all", Tracks::All)] {
            let path = path.display();
            for note in file.notes(tracks, Endings::NoteOffs).with_context(|| path.to_string())? {
                let (pitch, velocity) = (note.pitch, note.velocity);
                let (start, end) = (note.start, note.end);
                writeln!(text, "{path}\t{name}\t{pitch}\t{velocity}\t{start:.9}\t{end:.9}")?;
            }
        }
    }
    print!("{text}");
    Ok(())
}
