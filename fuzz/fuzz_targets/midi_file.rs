//! A MIDI file with any content is refused, or all views of it are valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pianola_host::midi_file::{Endings, MidiFile, Tracks, to_absolute, to_relative};
use pianola_host::score_writer::provenance;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = MidiFile::parse(data) else { return };
    provenance(&file);
    for endings in [Endings::NoteOffs, Endings::AsPlayed] {
        for tracks in [Tracks::First, Tracks::All] {
            let Ok(notes) = file.notes(tracks, endings) else { continue };
            assert!(notes.windows(2).all(|pair| pair[0].start <= pair[1].start));
            assert!(notes.iter().all(|note| note.start <= note.end && note.pitch < 128));
            let relative = to_relative(&notes);
            assert_eq!(to_absolute(&relative).len(), notes.len());
            if let Some(bars) = file.bars() {
                notes.iter().for_each(|note| {
                    bars.at(note.start);
                });
            }
        }
    }
    if let Ok(score) = file.score() {
        assert!(score.pedal.iter().all(|(down, up)| down < up));
    }
});
