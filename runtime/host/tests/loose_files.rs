//! MIDI files that violate the standard, as other programs write them.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use pianola_host::midi_file::{
    Endings, MAX_BYTES, MidiError, MidiFile, Repair, TimeFault, TimedNote, Tracks, is_midi_name,
};
use proptest::prelude::*;

/// A file whose header announces `announced` tracks, at 100 ticks a quarter note: a tick is 5 ms.
fn file(announced: u8, tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06\0\x01\0".to_vec();
    bytes.extend([announced, 0, 100]);
    for track in tracks {
        bytes.extend(b"MTrk");
        bytes.extend((track.len() as u32 + 4).to_be_bytes());
        bytes.extend(*track);
        bytes.extend([0, 0xff, 0x2f, 0]);
    }
    bytes
}

fn case(name: &str) -> MidiFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    MidiFile::open(&folder.join(name)).unwrap()
}

/// (pitch, onset and release in milliseconds), with the endings asked for.
fn notes(midi: &MidiFile, endings: Endings) -> Vec<(u8, i64, i64)> {
    let milliseconds = |seconds: f64| (seconds * 1e3).round() as i64;
    let place = |note: TimedNote| (note.pitch, milliseconds(note.start), milliseconds(note.end));
    midi.notes(Tracks::All, endings).unwrap().into_iter().map(place).collect()
}

fn written(midi: &MidiFile) -> Vec<(u8, i64, i64)> {
    notes(midi, Endings::NoteOffs)
}

fn repairs(midi: &MidiFile) -> Vec<Repair> {
    midi.repairs().collect()
}

#[test]
fn the_files_of_others_are_read() {
    for (name, count, repaired) in [
        ("03-running-after-sysex.mid", 42, vec![Repair::StatusAfterSysEx]),
        (
            "06-header-says-1-track-has-2.mid",
            80,
            vec![Repair::MoreTracks { announced: 1, found: 2 }],
        ),
        ("08b-riff-list-before-data.mid", 40, vec![]),
        ("30-realtime-f8-inline.mid", 47, vec![Repair::SystemBytes]),
        ("38-lyrics-karaoke.kar", 40, vec![]),
    ] {
        let midi = case(name);
        let found = written(&midi).len();
        assert_eq!(found, count, "{name}");
        assert_eq!(repairs(&midi), repaired, "{name}");
    }
}

/// The melody that the files below hold: each of its events as a whole, without the delta time.
const EVENTS: [[u8; 3]; 6] = [
    [0x90, 60, 70],
    [0x80, 60, 64],
    [0x90, 62, 71],
    [0x80, 62, 64],
    [0x90, 64, 72],
    [0x80, 64, 64],
];
const MELODY: [(u8, i64, i64); 3] = [(60, 50, 100), (62, 150, 200), (64, 250, 300)];

/// A system message that has no place in a file, as an event of its own.
fn system_message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0xf8u8..=0xfe).prop_map(|byte| vec![byte]),
        Just(vec![0xf6]),
        (0u8..128).prop_map(|data| vec![0xf1, data]),
        (0u8..128, 0u8..128).prop_map(|(low, high)| vec![0xf2, low, high]),
        (0u8..128).prop_map(|data| vec![0xf3, data]),
    ]
}

proptest! {
    #[test]
    fn system_messages_between_events_change_nothing(
        messages in prop::collection::vec((0usize..6, system_message()), 1..8)
    ) {
        let mut track = Vec::new();
        for (at, event) in EVENTS.iter().enumerate() {
            for (_, message) in messages.iter().filter(|(place, _)| *place == at) {
                track.push(0);
                track.extend(message);
            }
            track.push(10);
            track.extend(event);
        }
        let midi = MidiFile::parse(&file(1, &[&track])).unwrap();
        prop_assert_eq!(written(&midi), MELODY);
        prop_assert_eq!(repairs(&midi), [Repair::SystemBytes]);
    }

    #[test]
    fn realtime_bytes_within_events_change_nothing(
        within in prop::collection::vec((0usize..6, 1usize..3, 0xf8u8..=0xfe), 1..8)
    ) {
        let mut track = Vec::new();
        for (at, event) in EVENTS.iter().enumerate() {
            track.push(10);
            for (index, &byte) in event.iter().enumerate() {
                let here = within.iter().filter(|&&(place, before, _)| (place, before) == (at, index));
                track.extend(here.map(|&(.., realtime)| realtime));
                track.push(byte);
            }
        }
        let midi = MidiFile::parse(&file(1, &[&track])).unwrap();
        prop_assert_eq!(written(&midi), MELODY);
        prop_assert_eq!(repairs(&midi), [Repair::SystemBytes]);
    }

    #[test]
    fn running_status_goes_on_over_anything(
        over in prop::collection::vec(0usize..3, 5..=5), text in "[a-z]{0,20}"
    ) {
        // Note-offs as note-ons of velocity 0, all with the status of the first.
        let mut track = vec![10, 0x90, 60, 70];
        let rest = [[60, 0], [62, 71], [62, 0], [64, 72], [64, 0]];
        for (kind, event) in over.iter().zip(rest) {
            let length = text.len() as u8;
            match kind {
                0 => {}
                1 => track.extend([&[0, 0xff, 1, length], text.as_bytes()].concat()),
                _ => track.extend([&[0, 0xf0, length + 1], text.as_bytes(), &[0xf7]].concat()),
            }
            track.push(10);
            track.extend(event);
        }
        let midi = MidiFile::parse(&file(1, &[&track])).unwrap();
        prop_assert_eq!(written(&midi), MELODY);
        let repaired = over.contains(&2).then_some(Repair::StatusAfterSysEx);
        prop_assert_eq!(midi.repairs().collect::<Vec<_>>(), repaired.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_track_is_read_whatever_the_header_announces(announced in 0u8..6) {
        let track: &[u8] = &[0, 0x90, 60, 70, 10, 60, 0];
        let bytes = file(announced, &[track; 5]);
        let midi = MidiFile::parse(&bytes).unwrap();
        prop_assert_eq!(written(&midi).len(), 5);
        let expected = (announced < 5)
            .then_some(Repair::MoreTracks { announced: announced.into(), found: 5 });
        prop_assert_eq!(repairs(&midi), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn riff_files_are_read_whatever_comes_before_the_music(
        chunks in prop::collection::vec(("[A-Zb-z]{4}", prop::collection::vec(any::<u8>(), 0..40)), 0..5),
        padded: bool, gzip: bool, lies: bool,
    ) {
        let midi = file(1, &[&[0, 0x90, 60, 70, 100, 60, 0]]);
        let mut body = b"RMID".to_vec();
        for (index, (name, contents)) in chunks.iter().enumerate() {
            body.extend(name.as_bytes());
            body.extend((contents.len() as u32).to_le_bytes());
            body.extend(contents);
            // Some writers leave the padding out.
            let before_data = index + 1 == chunks.len();
            if contents.len() % 2 == 1 && (padded || !before_data) {
                body.push(0);
            }
        }
        body.extend(b"data");
        body.extend((midi.len() as u32 + if lies { 1000 } else { 0 }).to_le_bytes());
        body.extend(&midi);
        let mut bytes = [b"RIFF", (body.len() as u32).to_le_bytes().as_slice(), &body].concat();
        if gzip {
            bytes = pack(&bytes);
        }
        let midi = MidiFile::parse(&bytes).unwrap();
        prop_assert_eq!(written(&midi), [(60, 0, 500)]);
        let expected = lies.then_some(Repair::ShortRiff);
        prop_assert_eq!(repairs(&midi), expected.into_iter().collect::<Vec<_>>());
    }
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn gzip_is_unpacked_and_bounded() {
    let plain = file(1, &[&[0, 0x90, 60, 70, 100, 60, 0]]);
    let packed = pack(&plain);
    assert_eq!(written(&MidiFile::parse(&packed).unwrap()), [(60, 0, 500)]);
    for length in 2..packed.len() - 8 {
        let cut = MidiFile::parse(&packed[..length]);
        assert!(matches!(cut, Err(MidiError::BrokenGzip)), "cut to {length}: {cut:?}");
    }
    // Several members, as `cat` of packed parts and `bgzip` write them, and padding after the last.
    let (start, end) = plain.split_at(20);
    let members = [pack(start), pack(&[]), pack(end)].concat();
    assert_eq!(written(&MidiFile::parse(&members).unwrap()), [(60, 0, 500)]);
    let padded = [&members[..], &[0; 512]].concat();
    assert_eq!(written(&MidiFile::parse(&padded).unwrap()), [(60, 0, 500)]);
    let cut = MidiFile::parse(&members[..members.len() - 9]);
    assert!(matches!(cut, Err(MidiError::BrokenGzip)), "{cut:?}");
    let half = pack(&vec![0; MAX_BYTES as usize / 2 + 1]);
    assert!(matches!(MidiFile::parse(&[&half[..], &half].concat()), Err(MidiError::TooLarge)));
    let empty = MidiFile::parse(&pack(&[]).repeat(100_000));
    assert!(matches!(empty, Err(MidiError::TooManyMembers)), "{empty:?}");
    let bomb = pack(&vec![0; MAX_BYTES as usize + 1]);
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(MidiFile::parse(&bomb), Err(MidiError::TooLarge)));
}

#[cfg(unix)]
#[test]
fn endless_files_are_refused() {
    let error = MidiFile::open(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("32 MiB"), "{error}");
}

#[test]
fn names_of_midi_files_are_known() {
    for name in ["a.mid", "A.MID", "a.b.midi", "x.kar", "x.rmi", "x.Mid.gz", "x.KAR.GZ"] {
        assert!(is_midi_name(Path::new(name)), "{name}");
    }
    for name in ["mid", ".mid", "a.txt", "a.gz", "a.midx", "a.mid.zip", "a.mid.gz.gz", ""] {
        assert!(!is_midi_name(Path::new(name)), "{name}");
    }
}

#[test]
fn notes_without_a_release_end_as_they_are_played() {
    let hanging = case("24-last-chord-hanging.mid");
    assert_eq!(notes(&hanging, Endings::NoteOffs).len(), 40);
    let played = notes(&hanging, Endings::AsPlayed);
    assert_eq!(played.len(), 43);
    assert!(played.iter().all(|&(_, start, end)| end > start), "{played:?}");

    // A tick is 1.04 ms here: 960 ticks to CC 123, 960 more to CC 120.
    let ended = case("24b-ended-by-cc123.mid");
    assert!(ended.notes(Tracks::All, Endings::NoteOffs).is_err());
    let played = notes(&ended, Endings::AsPlayed);
    let times: Vec<_> = played.iter().map(|&(_, start, end)| (start, end)).collect();
    assert_eq!(times, [(0, 1000), (0, 1000), (0, 1000), (1000, 2000), (1000, 2000)]);

    // Held to the end of the track, and briefly if the track ends at the onset.
    let held = file(1, &[&[0, 0x90, 60, 70, 0x81, 0x48, 62, 70]]);
    let midi = MidiFile::parse(&held).unwrap();
    assert_eq!(notes(&midi, Endings::AsPlayed), [(60, 0, 1000), (62, 1000, 1500)]);
    let pitches = |score: pianola_host::midi_file::Score| score.instruments[0].notes.len();
    assert_eq!(pitches(midi.score().unwrap()), 2);
}

proptest! {
    #[test]
    fn mode_messages_release_their_channel_alone(
        controller in prop_oneof![Just(120u8), 123u8..=127], off in 0u8..9
    ) {
        let other = (off + 1) % 9;
        // Two channels play; one is released after 100 ticks, the other by its note-off.
        let track = [
            0, 0x90 | off, 60, 70, 0, 0x90 | other, 62, 70, 100, 0xb0 | off, controller, 0,
            100, 0x80 | off, 60, 0, 0, 0x80 | other, 62, 0,
        ];
        let midi = MidiFile::parse(&file(1, &[&track])).unwrap();
        prop_assert_eq!(notes(&midi, Endings::AsPlayed), [(60, 0, 500), (62, 0, 1000)]);
        prop_assert_eq!(written(&midi), [(60, 0, 1000), (62, 0, 1000)]);
    }
}

#[test]
fn texts_are_kept() {
    let midi = case("38-lyrics-karaoke.kar");
    assert_eq!(midi.texts()[..3], ["@KMIDI KARAOKE FILE", "@T Song", "la"]);
}

#[test]
fn percussion_is_never_an_instrument() {
    let midi = case("25c-drums-start-first-pitch35.mid");
    let first = midi.notes(Tracks::First, Endings::NoteOffs).unwrap();
    assert!(first.iter().all(|note| ![35, 38].contains(&note.pitch)), "{first:?}");
    assert_eq!(first.len(), 41);
    // Within one track too, and where there is nothing else.
    let drums: &[u8] = &[0, 0x99, 35, 70, 10, 35, 0];
    let piano: &[u8] = &[0, 0x90, 60, 70, 10, 60, 0];
    let midi = MidiFile::parse(&file(1, &[&[drums, piano].concat()])).unwrap();
    for tracks in [Tracks::First, Tracks::All] {
        let notes = midi.notes(tracks, Endings::NoteOffs).unwrap();
        assert_eq!(notes.iter().map(|note| note.pitch).collect::<Vec<_>>(), [60]);
    }
    let alone = MidiFile::parse(&file(1, &[drums])).unwrap();
    for tracks in [Tracks::First, Tracks::All] {
        assert!(matches!(alone.notes(tracks, Endings::AsPlayed), Err(MidiError::NoNotes)));
    }
}

#[test]
fn impossible_times_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for name in ["16-tempo0.mid", "bars_overflow.mid"] {
        let error = MidiFile::open(&folder.join(name)).unwrap_err().to_string();
        assert!(error.contains("times that no music has"), "{error}");
        assert!(error.contains("a tempo of 0"), "{error}");
    }
    let longest: &[u8] = &[0xff, 0xff, 0xff, 0x7f];
    let fault = |track: &[u8]| match MidiFile::parse(&file(1, &[track])) {
        Err(MidiError::ImpossibleTime(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let note = [&[0, 0x90, 60, 70], longest, &[60, 0]].concat();
    assert!(matches!(fault(&note), TimeFault::LongNote(seconds) if seconds > 1e6));
    let gap = [&[0, 0x90, 60, 70, 10, 60, 0], longest, &[60, 70, 10, 60, 0]].concat();
    assert!(matches!(fault(&gap), TimeFault::LongGap(seconds) if seconds > 1e6));
    let lead_in = [longest, &[0x90, 60, 70, 10, 60, 0]].concat();
    assert!(matches!(fault(&lead_in), TimeFault::LongGap(_)));
    // Time after the last note is silence, of any length.
    let tail = [&[0, 0x90, 60, 70, 10, 60, 0], longest, &[0xb0, 7, 1]].concat();
    assert!(MidiFile::parse(&file(1, &[&tail])).is_ok());
}

#[test]
fn bars_do_not_overflow() {
    // Bars of one tick, and a tempo of 1 µs a quarter note.
    let track = [
        0, 0xff, 0x51, 3, 0, 0, 1, 0, 0xff, 0x58, 4, 1, 8, 24, 8, 10, 0x90, 60, 70, 10, 60, 0, 100,
        0xff, 0x58, 4, 1, 8, 24, 8,
    ];
    let midi = MidiFile::parse(&file(1, &[&track])).unwrap();
    let bars = midi.bars().unwrap();
    assert_eq!([f64::MAX, f64::INFINITY].map(|seconds| bars.at(seconds)), [u64::MAX; 2]);
    assert_eq!(bars.at(0.0), 1);
}

#[test]
fn many_instruments_are_read_in_time() {
    // 20 tracks of 15 channels of 128 programs, a note each.
    let mut track = Vec::new();
    for channel in (0..16).filter(|&channel| channel != 9) {
        for program in 0..128 {
            track.extend([0, 0xc0 | channel, program, 0, 0x90 | channel, 60, 70, 1, 60, 0]);
        }
    }
    let bytes = file(20, &[track.as_slice(); 20]);
    let start = std::time::Instant::now();
    let score = MidiFile::parse(&bytes).unwrap().score().unwrap();
    assert_eq!(score.instruments.len(), 20 * 15 * 128);
    // The search through all earlier instruments took several seconds.
    assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
}
