//! Prints how dense the music of a folder of MIDI files is: notes a second on average, and most notes
//! in any ten seconds. Of each file the first instrument counts, as the bundled models play it.

use std::path::Path;

use anyhow::Context;
use pianola_runtime::corpus::Corpus;
use pianola_runtime::midi_file::Tracks;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: density FOLDER")?;
    let (mut notes, mut seconds, mut densest) = (0, 0.0, (0, String::new()));
    for song in Corpus::read(Path::new(&folder), Tracks::First)?.songs {
        let onsets = song.notes.iter().scan(0.0, |onset, note| {
            *onset += f64::from(note.step);
            Some(*onset)
        });
        let onsets: Vec<f64> = onsets.collect();
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
    Ok(())
}
