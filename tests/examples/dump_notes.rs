//! Prints every note of a folder of MIDI files, for `tests/compare_with_pretty_midi.py`.
//!
//! One line per note: file, tracks (`first` or `all`), pitch, velocity, start and end in seconds.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pianola_host::midi_file::{Tracks, read};

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("mid")) {
            files.push(path);
        }
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: dump_notes FOLDER")?;
    let mut files = Vec::new();
    list(Path::new(&folder), &mut files)?;
    let mut text = String::new();
    for path in files {
        let bytes = std::fs::read(&path)?;
        for (name, tracks) in [("first", Tracks::First), ("all", Tracks::All)] {
            let path = path.display();
            for note in read(&bytes, tracks).with_context(|| path.to_string())? {
                let (pitch, velocity) = (note.pitch, note.velocity);
                let (start, end) = (note.start, note.end);
                writeln!(text, "{path}\t{name}\t{pitch}\t{velocity}\t{start:.9}\t{end:.9}")?;
            }
        }
    }
    print!("{text}");
    Ok(())
}
