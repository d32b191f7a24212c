//! `pianola originality` and `pianola filter` on a small corpus, and on the reference corpus.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pianola_host::corpus::below;
use pianola_host::midi_file::write;
use pianola_runtime::Note;
use pianola_runtime::guard::{Filter, Guard};
use pianola_tests::{data, pianola, refuse, run, succeed};
use rand_pcg::Pcg32;
use serde_json::Value;
use tempfile::tempdir;

/// A melody unlike that of any other seed.
fn melody(seed: u64, notes: u8) -> Vec<Note> {
    let mut rng = Pcg32::new(seed, 1);
    let note = |_| {
        let pitch = 48 + below(&mut rng, 32) as u8;
        Note { pitch, velocity: 64, step: 0.25, duration: 0.2 }
    };
    (0..notes).map(note).collect()
}

/// A corpus of two training songs and a test song that repeats twenty notes, with its split.
fn corpus(folder: &Path) {
    let songs = folder.join("corpus");
    fs::create_dir(&songs).unwrap();
    let mut test = melody(3, 100);
    test[40..60].copy_from_slice(&melody(2, 100)[10..30]);
    for (name, notes) in [("a.mid", melody(1, 100)), ("b.mid", melody(2, 100)), ("c.mid", test)] {
        fs::write(songs.join(name), write(&notes)).unwrap();
    }
    fs::write(folder.join("split.tsv"), "split\tfile\ntrain\ta.mid\ntrain\tb.mid\ntest\tc.mid\n")
        .unwrap();
}

/// A command with the corpus and the split.
fn on_corpus(command: &str, folder: &Path) -> std::process::Command {
    let mut tool = pianola();
    tool.arg(command).arg("--corpus").arg(folder.join("corpus"));
    tool.arg("--split").arg(folder.join("split.tsv"));
    tool
}

#[test]
fn a_copied_passage_is_found_with_its_place() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let pieces = folder.path().join("pieces");
    fs::create_dir(&pieces).unwrap();
    // 16 notes of the first song, a third higher and half as fast, then other notes.
    let mut copy: Vec<Note> = melody(9, 30);
    for (copy, note) in copy[10..26].iter_mut().zip(&melody(1, 100)[40..]) {
        *copy = Note { pitch: note.pitch + 4, step: 0.5, ..*note };
    }
    fs::write(pieces.join("copy.mid"), write(&copy)).unwrap();
    fs::write(pieces.join("new.mid"), write(&melody(8, 30))).unwrap();
    fs::write(pieces.join("broken.mid"), "not MIDI").unwrap();

    let mut command = on_corpus("originality", folder.path());
    let output = run(command.arg(&pieces).args(["--reference", "--json"]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("broken.mid") && errors.contains("2 read"), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap();
    assert_eq!((number("/searched/songs"), number("/searched/notes")), (2.0, 200.0));
    assert_eq!(report["pieces"]["pieces"][0]["file"], "copy.mid");
    let longest = "/pieces/pieces/0/transposed/longest";
    assert_eq!(report.pointer(longest).unwrap()["there"]["song"], "a.mid");
    // A quarter note lasts half a second, so a bar has eight of the song's notes.
    for (part, figure) in [
        ("notes", 16.0),
        ("here/note", 11.0),
        ("here/seconds", 3.0),
        ("there/note", 41.0),
        ("there/seconds", 10.25),
        ("there/bar", 6.0),
    ] {
        assert_eq!(number(&format!("{longest}/{part}")), figure, "{part}");
    }
    let windows = "/pieces/pieces/0/transposed/windows";
    let of_lengths = [(8.0, 23.0, 9.0), (12.0, 19.0, 5.0), (16.0, 15.0, 1.0)];
    for (window, (length, windows_of, found)) in of_lengths.into_iter().enumerate() {
        assert_eq!(number(&format!("{windows}/{window}/length")), length);
        assert_eq!(number(&format!("{windows}/{window}/windows")), windows_of);
        assert_eq!(number(&format!("{windows}/{window}/found")), found);
    }
    assert_eq!(number("/pieces/all/exact/windows/0/found"), 0.0);
    assert_eq!(number("/pieces/all/transposed/longest"), 16.0);
    assert_eq!(number("/test_set/all/exact/longest"), 20.0);
    assert_eq!(number("/test_set/all/exact/windows/2/found"), 5.0);

    let mut command = on_corpus("originality", folder.path());
    let printed = succeed(command.arg(pieces.join("copy.mid")).arg("--reference"));
    assert_eq!(printed.lines().count(), 8, "{printed}");
    for part in
        ["16 notes from note 11: a.mid, note 41, 0:10, bar 6", "test set: 1 file", "39.13 %"]
    {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    // Without pieces, the test set's own songs are listed.
    let printed = succeed(on_corpus("originality", folder.path()).arg("--reference"));
    assert!(printed.contains("20 notes from note 41: b.mid, note 11, 0:02, bar 2"), "{printed}");
}

#[test]
fn a_filter_knows_the_training_songs() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let out = folder.path().join("train.filter");
    let mut command = on_corpus("filter", folder.path());
    let printed = succeed(command.args(["--notes", "10", "--out"]).arg(&out));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(printed.contains("182 passages of 10 notes"), "{printed}");
    let bytes = fs::read(&out).unwrap();
    assert!(printed.contains(&format!("{} bytes", bytes.len())), "{printed}");
    let filter = Filter::from_bytes(&bytes).unwrap();
    let forbidden = |notes: &[Note]| {
        let mut guard = Guard::new(&filter);
        let forbids = |note: &Note| {
            let forbids = guard.forbids(note.step, note.pitch);
            guard.observe(note);
            forbids
        };
        notes.iter().map(forbids).filter(|&forbids| forbids).count()
    };
    assert_eq!(forbidden(&melody(2, 100)), 91);
    assert!(forbidden(&melody(3, 100)) < 3);
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let folder = tempdir().unwrap();
    corpus(folder.path());
    let at = |name: &str| folder.path().join(name);
    fs::write(at("broken.mid"), "not MIDI").unwrap();
    let originality = |more: &[&str]| refuse(on_corpus("originality", folder.path()).args(more));
    let said = originality(&[at("broken.mid").to_str().unwrap()]);
    assert!(said.contains("broken.mid") && said.contains("not a Standard MIDI File"), "{said}");
    let said = originality(&[at("gone.mid").to_str().unwrap()]);
    assert!(said.contains("gone.mid") && said.contains("No such file"), "{said}");
    let said = originality(&["--reference", "--set", "test"]);
    assert!(said.contains("another --set"), "{said}");
    let said = originality(&["--reference", "--set", "validation"]);
    assert!(said.contains("validation set is empty"), "{said}");

    let filter = |more: &[&str], out: &str| {
        refuse(on_corpus("filter", folder.path()).args(more).arg("--out").arg(at(out)))
    };
    let said = filter(&["--set", "validation"], "f");
    assert!(said.contains("validation set is empty"), "{said}");
    assert!(filter(&[], "no/such/f").contains("no/such/f"));
    assert!(filter(&[], "split.tsv").contains("would be overwritten"));
    assert!(!at("f").exists());
}

/// Overlap of the test songs of the report's split with its training songs: the baseline for
/// real music of the same kind.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_reference_corpus_shares_what_it_did() {
    let mut command = pianola();
    command.args(["originality", "--reference", "--json", "--corpus"]);
    command.arg(data().join("piano-midi"));
    let printed = succeed(command.arg("--split").arg(data().join("reference_split.tsv")));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["searched"]["notes"].as_u64(), Some(442_307));
    let all = &report["test_set"]["all"];
    for (identity, shares, longest) in
        [("transposed", [0.0795, 0.0233, 0.0105], 65), ("exact", [0.0153, 0.0035, 0.0011], 44)]
    {
        for (window, share) in shares.into_iter().enumerate() {
            let measured = all[identity]["windows"][window]["share"].as_f64().unwrap();
            assert!((measured - share).abs() < 1e-4, "{identity} {window}: {measured}");
        }
        assert_eq!(all[identity]["longest"].as_u64(), Some(longest));
    }
}
