//! Names of files that would control a terminal are printed escaped, whatever prints them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pianola_host::midi_file::write;
use pianola_runtime::Note;
use pianola_tests::{pianola, root, run};
use tempfile::tempdir;

/// Clears the screen, sets the title, and turns the direction of writing.
const NAME: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}1m\u{202e}";

/// What is printed instead.
const PRINTED: &str = "\\u001b[2J\\u001b]0;x\\u0007\\u009b1m\\u202e";

/// Runs a command; what it prints names a file, escaped, and controls nothing.
fn names_it_harmlessly(command: &mut Command, succeeds: bool) -> String {
    let output = run(command);
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(output.status.success(), succeeds, "{printed:?}");
    let controls = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!printed.contains(controls), "{command:?}: {printed:?}");
    assert!(printed.contains(PRINTED), "{command:?}: {printed:?}");
    printed
}

/// A file in a folder, with a name that controls a terminal.
fn named(folder: &Path, ending: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(format!("{NAME}{ending}"));
    fs::write(&path, bytes).unwrap();
    path
}

/// A piece with a note for each index.
fn piece(note: impl Fn(u8) -> u8) -> Vec<u8> {
    let note = |i| Note { pitch: note(i), velocity: 64, step: 0.2, duration: 0.3 };
    write(&(0..100).map(note).collect::<Vec<_>>())
}

/// A folder of songs: one is damaged, one has a warning, two are the same.
fn corpus(folder: &Path) -> PathBuf {
    let corpus = folder.join("corpus");
    fs::create_dir(&corpus).unwrap();
    for song in 0..5u8 {
        fs::write(corpus.join(format!("{song}.mid")), piece(|i| 40 + (i % 20) * (song + 3) % 40))
            .unwrap();
    }
    named(&corpus, "same.mid", piece(|i| 40 + (i % 20) * 3 % 40));
    named(&corpus, "damaged.mid", "not MIDI");
    let clock = fs::read(root().join("tests/cases/30-realtime-f8-inline.mid")).unwrap();
    named(&corpus, "clock.mid", clock);
    corpus
}

#[test]
fn files_of_a_corpus() {
    let folder = tempdir().unwrap();
    let corpus = corpus(folder.path());
    let split = folder.path().join("split.tsv");
    let rows = [("train", format!("{NAME}same.mid")), ("test", "0.mid".into())];
    let rows = rows.map(|(set, name)| format!("{set}\t{name}\n")).concat();
    fs::write(&split, format!("split\tfile\n{rows}train\tgone.mid\n")).unwrap();
    let piece = named(folder.path(), ".mid", piece(|i| 40 + (i % 20) * 3 % 40));
    for arguments in [&["compare"][..], &["originality"], &["originality", "--json"]] {
        let mut command = pianola();
        command.args(arguments).arg(&piece).arg("--corpus").arg(&corpus);
        let said = names_it_harmlessly(command.arg("--split").arg(&split), true);
        for part in [
            &format!("skipped {}/{PRINTED}damaged.mid", corpus.display()),
            &format!("{PRINTED}clock.mid: ignored system messages"),
            &format!("{PRINTED}same.mid (train)"),
            "not in the corpus: 1 file of the split",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

#[test]
fn pieces_and_outputs() {
    let folder = tempdir().unwrap();
    let out = folder.path().join(format!("{NAME}.mid"));
    let mut command = pianola();
    command.args(["generate", "--notes", "5", "--seed", "1", "--out"]).arg(&out);
    let said = names_it_harmlessly(&mut command, true);
    assert!(!said.contains("pianola render"), "a name that cannot be typed: {said}");
    names_it_harmlessly(pianola().arg("inspect").arg(&out), true);
    names_it_harmlessly(pianola().arg("render").arg("--plain").arg(&out), true);
    names_it_harmlessly(pianola().arg("plot").arg(&out), true);
}

#[test]
fn files_that_are_refused() {
    let folder = tempdir().unwrap();
    let damaged = named(folder.path(), ".mid", "not MIDI");
    let gone = folder.path().join(format!("{NAME}gone"));
    for command in ["plot", "render", "inspect", "export"] {
        names_it_harmlessly(pianola().arg(command).arg(&damaged), false);
        names_it_harmlessly(pianola().arg(command).arg(&gone), false);
    }
    names_it_harmlessly(pianola().args(["play", "--port"]).arg(&gone), false);
}
