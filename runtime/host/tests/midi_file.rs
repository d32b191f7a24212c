//! Reading and writing Standard MIDI Files.
#![allow(clippy::unwrap_used)]

use midly::{MidiMessage, Smf, TrackEventKind};
use pianola_host::midi_file::{
    Instrument, MidiError, MidiFile, Score, TimedNote, Tracks, read, read_score, to_absolute,
    to_relative, write, write_score,
};
use pianola_runtime::Note;
use proptest::prelude::*;

/// A file of the given format, division and track bodies; each body gets its end-of-track event.
fn file(format: u8, division: [u8; 2], tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06\0".to_vec();
    bytes.extend([format, 0, tracks.len() as u8]);
    bytes.extend(division);
    for track in tracks {
        bytes.extend(b"MTrk");
        bytes.extend((track.len() as u32 + 4).to_be_bytes());
        bytes.extend(*track);
        bytes.extend([0, 0xff, 0x2f, 0]);
    }
    bytes
}

/// 100 ticks a quarter note: at the default tempo, a tick is 5 ms.
const HUNDRED: [u8; 2] = [0, 100];

fn notes(bytes: &[u8], tracks: Tracks) -> Vec<(u8, u8, f64, f64)> {
    let milliseconds = |seconds: f64| (seconds * 1e6).round() / 1e3;
    let place = |note: &TimedNote| {
        (note.pitch, note.velocity, milliseconds(note.start), milliseconds(note.end))
    };
    read(bytes, tracks).unwrap().iter().map(place).collect()
}

#[test]
fn running_status_and_velocity_zero_end_notes() {
    let track = [0, 0x90, 60, 70, 100, 60, 0, 0, 62, 71, 50, 0x80, 62, 64];
    let bytes = file(0, HUNDRED, &[&track]);
    assert_eq!(notes(&bytes, Tracks::First), [(60, 70, 0.0, 500.0), (62, 71, 500.0, 750.0)]);
}

#[test]
fn tempo_changes_count_in_every_track() {
    // 1 s per quarter from tick 100 on.
    let tempo = [100, 0xff, 0x51, 3, 0x0f, 0x42, 0x40];
    let track = [0, 0x90, 60, 70, 0x81, 0x48, 60, 0]; // held for 200 ticks
    for tracks in [[&tempo[..], &track[..]], [&track[..], &tempo[..]]] {
        let bytes = file(1, HUNDRED, &tracks);
        assert_eq!(notes(&bytes, Tracks::First), [(60, 70, 0.0, 1500.0)]);
    }
}

#[test]
fn a_note_off_ends_all_overlapping_notes_of_its_pitch() {
    let track = [0, 0x90, 60, 70, 20, 60, 71, 20, 60, 0, 20, 60, 0];
    let bytes = file(0, HUNDRED, &[&track]);
    assert_eq!(notes(&bytes, Tracks::First), [(60, 70, 0.0, 200.0), (60, 71, 100.0, 200.0)]);
}

#[test]
fn a_note_restruck_as_it_ends_goes_on() {
    // Note-on at tick 20, then the note-off of the first at the same tick.
    let track = [0, 0x90, 60, 70, 20, 60, 71, 0, 60, 0, 20, 60, 0];
    let bytes = file(0, HUNDRED, &[&track]);
    assert_eq!(notes(&bytes, Tracks::First), [(60, 70, 0.0, 100.0), (60, 71, 100.0, 200.0)]);
}

#[test]
fn notes_without_an_end_are_left_out() {
    let track = [0, 0x90, 60, 70, 10, 62, 70, 10, 62, 0];
    assert_eq!(notes(&file(0, HUNDRED, &[&track]), Tracks::All), [(62, 70, 50.0, 100.0)]);
    let track = [0, 0x90, 60, 70];
    assert!(matches!(read(&file(0, HUNDRED, &[&track]), Tracks::All), Err(MidiError::NoNotes)));
}

#[test]
fn the_first_instrument_is_the_first_to_end_a_note() {
    let right = [0, 0x90, 72, 70, 40, 72, 0];
    let left = [0, 0x91, 48, 60, 10, 48, 0];
    let bytes = file(1, HUNDRED, &[&right, &left]);
    assert_eq!(notes(&bytes, Tracks::First), [(72, 70, 0.0, 200.0)]);
    // Both hands: a chord is read from its lowest note, whatever the order of the tracks.
    assert_eq!(notes(&bytes, Tracks::All), [(48, 60, 0.0, 50.0), (72, 70, 0.0, 200.0)]);
    // Another program on the same channel is another instrument.
    let track = [0, 0xc0, 0, 0, 0x90, 60, 70, 10, 60, 0, 0, 0xc0, 5, 0, 0x90, 64, 70, 10, 64, 0];
    let bytes = file(0, HUNDRED, &[&track]);
    assert_eq!(notes(&bytes, Tracks::First), [(60, 70, 0.0, 50.0)]);
    assert_eq!(notes(&bytes, Tracks::All).len(), 2);
}

#[test]
fn drums_are_not_part_of_both_hands() {
    let track = [0, 0x99, 36, 70, 10, 36, 0, 0, 0x90, 60, 70, 10, 60, 0];
    assert_eq!(notes(&file(0, HUNDRED, &[&track]), Tracks::All), [(60, 70, 50.0, 100.0)]);
}

#[test]
fn smpte_time_ignores_the_tempo() {
    // 25 frames of 40 ticks: a tick is 1 ms.
    let track = [0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40, 10, 0x90, 60, 70, 100, 60, 0];
    let bytes = file(0, [0xe7, 40], &[&track]);
    assert_eq!(notes(&bytes, Tracks::First), [(60, 70, 10.0, 110.0)]);
}

#[test]
fn patterns_of_format_2_follow_one_another() {
    let track = [0, 0x90, 60, 70, 100, 60, 0];
    let bytes = file(2, HUNDRED, &[&track, &track]);
    assert_eq!(notes(&bytes, Tracks::All), [(60, 70, 0.0, 500.0), (60, 70, 500.0, 1000.0)]);
}

#[test]
fn bad_files_say_what_is_wrong() {
    let track = [0, 0x90, 60, 70, 100, 60, 0];
    let whole = file(1, HUNDRED, &[&track, &track]);
    assert!(matches!(read(b"", Tracks::All), Err(MidiError::NotMidi(_))));
    assert!(matches!(read(b"RIFFnonsense", Tracks::All), Err(MidiError::NotMidi(_))));
    assert!(matches!(read(&file(0, [0, 0], &[&track]), Tracks::All), Err(MidiError::ZeroDivision)));
    let one_track = whole.len() - (track.len() + 12);
    assert!(matches!(
        read(&whole[..one_track], Tracks::All),
        Err(MidiError::MissingTracks { announced: 2, found: 1 })
    ));
    assert!(matches!(
        read(&file(0, [0x80, 4], &[&track]), Tracks::All),
        Err(MidiError::ZeroDivision)
    ));
    assert!(matches!(
        read(&file(0, HUNDRED, &[&[0, 0x90, 60, 70, 0, 0xf4]]), Tracks::All),
        Err(MidiError::BrokenTrack(0))
    ));
    for length in 0..whole.len() {
        assert!(read(&whole[..length], Tracks::All).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn files_of_loose_writers_are_read() {
    let expected = [(60, 70, 0.0, 500.0)];
    // Running status continues after a meta event (here a text).
    let text = [0, 0x90, 60, 70, 0, 0xff, 1, 1, b'x', 100, 60, 0];
    assert_eq!(notes(&file(0, HUNDRED, &[&text]), Tracks::All), expected);
    let whole = file(0, HUNDRED, &[&[0, 0x90, 60, 70, 100, 60, 0]]);
    // No end-of-track event, or bytes behind the last track.
    let mut endless = whole[..whole.len() - 4].to_vec();
    endless[21] -= 4;
    assert_eq!(notes(&endless, Tracks::All), expected);
    let padded = [whole.as_slice(), b"trailing bytes that are no chunk"].concat();
    assert_eq!(notes(&padded, Tracks::All), expected);
    // In a RIFF wrapper.
    let length = (whole.len() as u32).to_le_bytes();
    let riff = [b"RIFF\0\0\0\0RMIDdata", length.as_slice(), &whole].concat();
    assert_eq!(notes(&riff, Tracks::All), expected);
}

#[test]
fn relative_times_start_at_the_first_note() {
    let note = |start, end| TimedNote { start, end, pitch: 60, velocity: 70 };
    let relative = to_relative(&[note(1.0, 1.5), note(1.25, 1.5)]);
    assert_eq!((relative[0].step, relative[0].duration), (0.0, 0.5));
    assert_eq!((relative[1].step, relative[1].duration), (0.25, 0.25));
    assert!(to_relative(&[]).is_empty());
}

/// Note-ons and note-offs of a written file: (tick, is note-on, pitch, velocity).
fn events(bytes: &[u8]) -> Vec<(u32, bool, u8, u8)> {
    let smf = Smf::parse(bytes).unwrap();
    let mut tick = 0;
    let mut events = Vec::new();
    for event in &smf.tracks[0] {
        tick += event.delta.as_int();
        match event.kind {
            TrackEventKind::Midi { message: MidiMessage::NoteOn { key, vel }, .. } => {
                events.push((tick, true, key.as_int(), vel.as_int()));
            }
            TrackEventKind::Midi { message: MidiMessage::NoteOff { key, .. }, .. } => {
                events.push((tick, false, key.as_int(), 0));
            }
            _ => {}
        }
    }
    events
}

#[test]
fn a_restruck_pitch_is_released_first() {
    let note = |step, duration| Note { pitch: 60, velocity: 80, step, duration };
    let bytes = write(&[note(0.0, 1.0), note(0.5, 1.0), note(0.0, 2.0)]);
    let expected =
        [(0, true, 60, 80), (500, false, 60, 0), (500, true, 60, 80), (2500, false, 60, 0)];
    assert_eq!(events(&bytes), expected);
}

fn any_note() -> impl Strategy<Value = Note> {
    let seconds = prop_oneof![
        4 => 0.0f32..3.0,
        1 => Just(0.0),
        1 => prop_oneof![Just(f32::NAN), Just(-1.0), Just(f32::INFINITY), Just(1e-9)],
    ];
    (0u8..=127, 0u8..=127, seconds.clone(), seconds)
        .prop_map(|(pitch, velocity, step, duration)| Note { pitch, velocity, step, duration })
}

proptest! {
    #[test]
    fn every_note_on_is_closed_before_the_next_of_its_pitch(
        piece in prop::collection::vec(any_note(), 0..200)
    ) {
        let mut sounding = [false; 128];
        for (_, on, pitch, velocity) in events(&write(&piece)) {
            prop_assert_ne!(sounding[usize::from(pitch)], on);
            prop_assert!(!on || velocity > 0);
            sounding[usize::from(pitch)] = on;
        }
        prop_assert!(!sounding.contains(&true));
    }

    #[test]
    fn a_melody_survives_writing_and_reading(
        piece in prop::collection::vec((21u8..=108, 1u8..=127, 0.01f32..2.0, 0.01f32..2.0), 1..100)
    ) {
        // Each note is released before the next one starts.
        let mut piece: Vec<Note> = piece
            .into_iter()
            .map(|(pitch, velocity, step, duration)| Note { pitch, velocity, step, duration })
            .collect();
        for index in 1..piece.len() {
            piece[index - 1].duration = piece[index - 1].duration.min(piece[index].step - 0.002);
        }
        let back = to_relative(&read(&write(&piece), Tracks::All).unwrap());
        prop_assert_eq!(back.len(), piece.len());
        for (index, (was, is)) in piece.iter().zip(&back).enumerate() {
            prop_assert_eq!((was.pitch, was.velocity), (is.pitch, is.velocity));
            prop_assert!(index == 0 || (was.step - is.step).abs() < 0.0011);
            prop_assert!((was.duration - is.duration).abs() < 0.0011);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        format in 0u8..4,
        division in any::<[u8; 2]>(),
    ) {
        let _ = read(&bytes, Tracks::All);
        let mut with_header = file(format, division, &[&[]]);
        with_header.truncate(14);
        with_header.extend(b"MTrk\0\0\x01\0");
        with_header.extend(&bytes);
        let _ = read(&with_header, Tracks::First);
    }

    #[test]
    fn damaged_files_never_panic(
        piece in prop::collection::vec(any_note(), 1..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)
    ) {
        let mut bytes = write(&piece);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes, Tracks::All);
    }
}

#[test]
fn bars_follow_time_signatures_and_tempo() {
    // Two bars of 4/4, then 3/8, half as fast after another bar; one of no length says nothing.
    let signatures = [
        0, 0xff, 0x58, 4, 0, 2, 24, 8, 0x86, 0x20, 0xff, 0x58, 4, 3, 3, 24, 8, 0, 0xff, 0x58, 4, 1,
        200, 24, 8,
    ];
    let tempo = [0x87, 0x36, 0xff, 0x51, 3, 0x0f, 0x42, 0x40];
    let bytes = file(1, HUNDRED, &[&tempo, &signatures]);
    let midi = MidiFile::parse(&bytes).unwrap();
    let bars = midi.bars().unwrap();
    let at = [0.0, 1.99, 2.0, 3.99, 4.0, 4.74, 4.75, 6.24, 6.25, -1.0, f64::NAN];
    assert_eq!(at.map(|seconds| bars.at(seconds)), [1, 1, 2, 2, 3, 3, 4, 4, 5, 1, 1]);
    // A signature in the middle of a bar begins another.
    let early = [50, 0xff, 0x58, 4, 2, 2, 24, 8];
    let midi = MidiFile::parse(&file(0, HUNDRED, &[&early])).unwrap();
    let bars = midi.bars().unwrap();
    assert_eq!([0.2, 0.25, 1.24, 1.25].map(|seconds| bars.at(seconds)), [1, 2, 2, 3]);
    // SMPTE time and patterns have none.
    assert!(MidiFile::parse(&file(0, [0xe7, 40], &[&[]])).unwrap().bars().is_none());
    assert!(MidiFile::parse(&file(2, HUNDRED, &[&[]])).unwrap().bars().is_none());
    assert!(MidiFile::parse(b"MThd").is_err());
}

#[test]
fn a_score_keeps_its_instruments_apart() {
    let right = [0, 0xff, 3, 5, b'R', b'i', b'g', b'h', b't', 0, 0x90, 72, 70, 40, 72, 0];
    let left = [0, 0x91, 48, 60, 0, 36, 61, 10, 48, 0, 0, 36, 0, 0, 0xff, 3, 1, 0xe9];
    let drums = [0, 0x99, 36, 90, 10, 36, 0];
    let score = read_score(&file(1, HUNDRED, &[&right, &drums, &left])).unwrap();
    let played = score.instruments.iter().map(|instrument| {
        let pitches: Vec<u8> = instrument.notes.iter().map(|note| note.pitch).collect();
        (instrument.name.as_str(), pitches)
    });
    // UTF-8 or Latin-1, and chords from below.
    assert_eq!(played.collect::<Vec<_>>(), [("Right", vec![72]), ("\u{e9}", vec![36, 48])]);
    let drums_alone = read_score(&file(1, HUNDRED, &[&drums]));
    assert!(matches!(drums_alone, Err(MidiError::NoNotes)));
}

#[test]
fn the_pedal_is_down_while_that_of_any_channel_is() {
    let pedal = |values: &[(u8, u8, u8)]| {
        let mut track = vec![0, 0x90, 60, 70];
        for &(delta, channel, value) in values {
            track.extend([delta, 0xb0 | channel, 64, value]);
        }
        track.extend([20, 0x80, 60, 0]);
        let score = read_score(&file(0, HUNDRED, &[&track])).unwrap();
        let milliseconds = |seconds: f64| (seconds * 1e3).round();
        let spans = score.pedal.iter().map(|&(down, up)| (milliseconds(down), milliseconds(up)));
        spans.collect::<Vec<_>>()
    };
    assert_eq!(pedal(&[]), []);
    // A half pedal is down from 64 on; one never let go stays down to the last release.
    assert_eq!(pedal(&[(0, 0, 63), (10, 0, 64), (10, 0, 127), (10, 0, 0)]), [(50.0, 150.0)]);
    assert_eq!(pedal(&[(10, 0, 127)]), [(50.0, 150.0)]);
    let both = [(10, 0, 127), (10, 1, 127), (10, 0, 0), (10, 1, 0), (10, 0, 90), (0, 0, 10)];
    assert_eq!(pedal(&both), [(50.0, 200.0)]);
}

#[test]
fn absolute_notes_are_the_sums_of_relative_ones() {
    let note = |step, duration| Note { pitch: 60, velocity: 70, step, duration };
    let notes = [note(0.0, 0.5), note(0.25, 1.0), note(1.5, 0.125)];
    let absolute = to_absolute(&notes);
    let times: Vec<_> = absolute.iter().map(|note| (note.start, note.end)).collect();
    assert_eq!(times, [(0.0, 0.5), (0.25, 1.25), (1.75, 1.875)]);
    assert_eq!(to_relative(&absolute), notes);
}

#[test]
fn a_score_survives_writing_and_reading() {
    let note = |start, end, pitch| TimedNote { start, end, pitch, velocity: 80 };
    let instrument =
        |name: &str, notes: &[TimedNote]| Instrument { name: name.into(), notes: notes.to_vec() };
    // The same pitch at once in both tracks, and more tracks than there are channels.
    let hands = [note(0.25, 1.5, 60), note(0.25, 0.75, 64), note(1.5, 2.0, 60)];
    let names = (0..20).map(|index| format!("Søster {index}"));
    let score = Score {
        instruments: names.map(|name| instrument(&name, &hands)).collect(),
        pedal: vec![(0.0, 0.5), (0.5, 1.0), (1.25, 2.0)],
    };
    assert_eq!(read_score(&write_score(&score)).unwrap(), score);
    // Notes that are out of order or too short are corrected.
    let wild = Score {
        instruments: vec![instrument("", &[note(1.0, 3.0, 60), note(0.0, 2.0, 60)])],
        pedal: vec![(1.0, 2.0), (0.5, 0.5001)],
    };
    let put_right = Score {
        instruments: vec![instrument("", &[note(0.0, 1.0, 60), note(1.0, 3.0, 60)])],
        pedal: vec![(1.0, 2.0)],
    };
    assert_eq!(read_score(&write_score(&wild)).unwrap(), put_right);
}
