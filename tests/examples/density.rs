//! Prints the density of a folder of MIDI files: mean notes per second, most notes in any ten
//! seconds, and the number of files with long silences. Only the first instrument of each file counts: a
//! piece from `generate` has no other, and in a song it may be the right hand.

use std::path::Path;

use anyhow::Context;
use pianola_host::corpus::Corpus;
use pianola_host::midi_file::Tracks;

/// Seconds of silence that count as long.
const HOLE: f64 = 4.0;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: density FOLDER")?;
    let (mut notes, mut seconds, mut densest) = (0, 0.0, (0, String::new()));
    let (mut files, mut with_holes) = (0, 0);
    for song in Corpus::read(Path::new(&folder), Tracks::First)?.songs {
        let onsets = song.notes.iter().scan(0.0, |onset, note| {
            *onset += f64::from(note.step);
            Some(*onset)
        });
        let onsets: Vec<f64> = onsets.collect();
        let mut silent_from = *onsets.first().unwrap_or(&0.0);
        let mut hole = false;
        for (onset, note) in onsets.iter().zip(&song.notes) {
            hole |= onset - silent_from >= HOLE;
            silent_from = silent_from.max(onset + f64::from(note.duration));
        }
        files += 1;
        with_holes += usize::from(hole);
        notes += onsets.len();
        seconds += onsets.last().unwrap_or(&0.0);
        for (first, onset) in onsets.iter().enumerate() {
            let count = onsets.partition_point(|other| *other < onset + 10.0) - first;
            if count > densest.0 {
                densest = (count, song.name.clone());
            }
        }
    }
    let (count, name) = densest;
    println!("{:.2} notes a second; {count} in the densest ten, in {name}", notes as f64 / seconds);
    println!("{with_holes} of {files} files are silent for {HOLE} s somewhere");
    Ok(())
}
