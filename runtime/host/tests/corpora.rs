//! Folders of MIDI files as found in practice: links, pipes, copies, damaged files.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use pianola_host::corpus::{Corpus, Folder, Set, Split, shuffle};
use pianola_host::midi_file::{ReadError, Tracks, write};
use pianola_runtime::Note;
use proptest::prelude::*;
use rand_pcg::Pcg32;

/// A song that differs from those of other numbers in its pitches.
fn song(number: usize) -> Vec<Note> {
    let pitch = |at: usize| 40 + ((at * (number + 3) + number) % 41) as u8;
    let note = |at| Note { pitch: pitch(at), velocity: 80, step: 0.25, duration: 0.125 };
    (0..60).map(note).collect()
}

fn put(folder: &Path, name: &str, notes: &[Note]) {
    fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    fs::write(folder.join(name), write(notes)).unwrap();
}

fn names(corpus: &Corpus) -> Vec<&str> {
    corpus.songs.iter().map(|song| song.name.as_str()).collect()
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_pipes_never_opened() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "far/one.mid", &song(1));
    put(outside.path(), "far/deep/two.KAR", &song(2));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    put(folder.path(), "real/three.mid", &song(3));
    put(folder.path(), "zoo/four.rmi", &song(4));
    // Before and after the folder itself by name, up, in a circle, and twice to the same place.
    symlink(at("zoo"), at("a link to zoo")).unwrap();
    symlink(folder.path(), at("real/up")).unwrap();
    symlink(at("round"), at("round")).unwrap();
    symlink(outside.path().join("far"), at("far")).unwrap();
    symlink(outside.path().join("far"), at("far again")).unwrap();
    symlink(outside.path().join("far/one.mid"), at("linked.mid")).unwrap();
    symlink(at("nowhere"), at("dangling.mid")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(at("pipe.mid")).status().unwrap();
    assert!(status.success());
    symlink("/dev/zero", at("device.midi")).unwrap();

    let corpus = Corpus::read(folder.path(), Tracks::All).unwrap();
    let expected =
        ["far/deep/two.KAR", "far/one.mid", "linked.mid", "real/three.mid", "zoo/four.rmi"];
    assert_eq!(names(&corpus), expected);
    let skipped: HashMap<String, &ReadError> = corpus
        .skipped
        .iter()
        .map(|(path, reason)| (path.file_name().unwrap().to_string_lossy().into(), reason))
        .collect();
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert!(matches!(skipped["pipe.mid"], ReadError::NotAFile));
    assert!(matches!(skipped["device.midi"], ReadError::NotAFile));
    assert!(matches!(skipped["dangling.mid"], ReadError::Io(_)));
    let report = corpus.report();
    assert!(report.contains("pipe.mid: not a regular file"), "{report}");
    assert!(report.contains("3 files skipped, 5 read"), "{report}");
}

#[test]
fn repaired_and_damaged_files_are_told_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "whole.mid", &song(1));
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for name in [
        "03-running-after-sysex.mid",
        "06-header-says-1-track-has-2.mid",
        "16-tempo0.mid",
        "30-realtime-f8-inline.mid",
        "38-lyrics-karaoke.kar",
    ] {
        fs::copy(cases.join(name), folder.path().join(name)).unwrap();
    }
    let corpus = Corpus::read(folder.path(), Tracks::All).unwrap();
    let report = corpus.report();
    let lines = |with: &str| report.lines().filter(|line| line.contains(with)).count();
    for name in ["03-running", "06-header", "30-realtime"] {
        assert_eq!(lines(name), 1, "{report}");
    }
    assert_eq!((lines("warning: "), lines("skipped ")), (3, 1), "{report}");
    assert_eq!((lines("whole.mid"), lines("karaoke")), (0, 0), "{report}");
    assert!(report.contains("times that no music has"), "{report}");
    let count = report.lines().last().unwrap();
    assert_eq!(count, "1 file skipped, 5 read, 3 of them with a warning");
}

#[test]
fn each_file_is_read_once_for_all_views() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        put(folder.path(), &format!("{number}.mid"), &song(number));
    }
    let listed = Folder::list(folder.path()).unwrap();
    let (mut views, mut after) = (0, 0);
    let view = |file: &pianola_host::midi_file::MidiFile| {
        views += 1;
        file.score().unwrap().instruments[0].notes[0].pitch
    };
    let (corpus, pitches) = Corpus::read_with(listed, Tracks::First, view, || after += 1).unwrap();
    assert_eq!((views, after), (5, 5));
    let first = corpus.songs.iter().map(|song| song.notes[0].pitch);
    assert_eq!(pitches, first.collect::<Vec<_>>());
}

/// The split as it was before duplicates were looked for.
fn plain_split(names: &[&str], seed: u64) -> Vec<(String, Set)> {
    let mut names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    shuffle(&mut names, &mut Pcg32::new(seed, 0x5911));
    let (train, validation) = (names.len() * 6 / 10, names.len() * 2 / 10);
    let set = |place| match place {
        _ if place < train => Set::Train,
        _ if place < train + validation => Set::Validation,
        _ => Set::Test,
    };
    names.into_iter().enumerate().map(|(place, name)| (name, set(place))).collect()
}

#[test]
fn splits_without_duplicates_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..23 {
        put(folder.path(), &format!("{number:02}.mid"), &song(number));
    }
    // Too few notes to identify pieces by their pitches.
    for (name, duration) in [("x.mid", 0.1), ("y.mid", 0.2)] {
        put(folder.path(), name, &[Note { pitch: 60, velocity: 80, step: 0.0, duration }; 3]);
    }
    let corpus = Corpus::read(folder.path(), Tracks::All).unwrap();
    assert!(corpus.duplicates.is_empty(), "{:?}", corpus.duplicates);
    for seed in 0..20 {
        assert_eq!(Split::random(&corpus, seed).songs, plain_split(&names(&corpus), seed));
    }
    assert_eq!(corpus.split(None, 0).unwrap().1, "");
}

#[test]
fn leaks_of_a_given_split_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.mid", &song(1));
    put(folder.path(), "b/a.mid", &song(1));
    put(folder.path(), "c.mid", &song(2));
    let slower = song(2).into_iter().map(|note| Note { step: note.step * 1.1, ..note });
    put(folder.path(), "d.mid", &slower.collect::<Vec<_>>());
    put(folder.path(), "e.mid", &song(3));
    put(folder.path(), "f.mid", &song(3));
    let file = folder.path().join("split.tsv");
    let rows =
        "train\ta.mid\ntest\tb/a.mid\ntrain\tc.mid\nvalidation\td.mid\ntest\te.mid\ntest\tf.mid";
    fs::write(&file, format!("split\tfile\n{rows}\n")).unwrap();
    let corpus = Corpus::read(folder.path(), Tracks::First).unwrap();
    let (split, report) = corpus.split(Some(&file), 0).unwrap();
    assert_eq!(corpus.set(&split, Set::Test).count(), 3, "the split stays as it is");
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(
        lines,
        [
            "warning: the split spreads the same notes over several sets: a.mid (train), b/a.mid (test)",
            "warning: the split spreads the same pitches over several sets: c.mid (train), d.mid (validation)",
        ]
    );
}

#[test]
fn exact_and_near_copies_of_one_song_are_counted_apart() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.mid", &song(1));
    put(folder.path(), "b.mid", &song(1));
    let softer: Vec<Note> = song(1).into_iter().map(|note| Note { velocity: 50, ..note }).collect();
    for name in ["c.mid", "d.mid"] {
        put(folder.path(), name, &softer);
    }
    let corpus = Corpus::read(folder.path(), Tracks::All).unwrap();
    let report = corpus.split(None, 0).unwrap().1;
    assert!(report.contains("2 exact, 1 with the same pitches only"), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_splits_keep_copies_together(
        copies in prop::collection::vec((1usize..6, any::<bool>()), 3..15), seed: u64
    ) {
        let folder = tempfile::tempdir().unwrap();
        for (number, &(count, near)) in copies.iter().enumerate() {
            for copy in 0..count {
                let mut notes = song(number);
                if near && copy > 0 {
                    notes.iter_mut().for_each(|note| note.velocity -= copy as u8);
                }
                // Spread over the names, so that copies are not neighbours.
                put(folder.path(), &format!("{copy}/{number}.mid"), &notes);
            }
        }
        let corpus = Corpus::read(folder.path(), Tracks::All).unwrap();
        let (split, report) = corpus.split(None, seed).unwrap();
        prop_assert_eq!(split.songs.len(), corpus.songs.len());
        let mut sets: HashMap<&str, Set> = HashMap::new();
        for (name, set) in &split.songs {
            let number = name.split_once('/').unwrap().1;
            prop_assert_eq!(*sets.entry(number).or_insert(*set), *set);
        }
        let is_near: Vec<bool> = copies.iter().map(|&(_, near)| near).collect();
        let repeated = copies.iter().filter(|&&(count, _)| count > 1).count();
        prop_assert_eq!(corpus.duplicates.len(), repeated);
        prop_assert_eq!(report.lines().count(), usize::from(repeated > 0));
        for group in &corpus.duplicates {
            let number: usize = corpus.songs[group.songs[0]].name[2..]
                .strip_suffix(".mid").unwrap().parse().unwrap();
            let (exact, near) = (group.exact_copies, group.near_copies());
            let copies = group.songs.len() - 1;
            prop_assert_eq!((exact, near), if is_near[number] { (0, copies) } else { (copies, 0) });
        }
    }
}
