//! Progress on a terminal: every step says what it is, and bars move while it runs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pianola_tests::instrument::{Instrument, Playing};
use pianola_tests::soundfont::soundfont;
use pianola_tests::{pianola, root, run};
use tempfile::tempdir;

/// What a command shows on a terminal.
fn shown(command: Command) -> String {
    let terminal = Instrument::plug_in();
    let mut program = Playing::in_terminal(&terminal, command);
    assert!(program.ends_within(Duration::from_secs(120)), "{}", terminal.text());
    terminal.text()
}

fn small_model() -> PathBuf {
    root().join("runtime/tests/models/expressive-small-int4.safetensors")
}

/// A folder of five pieces.
fn songs(folder: &Path) {
    let mut command = pianola();
    command.args(["generate", "--count", "5", "--notes", "100", "--seed", "1", "--out", "songs"]);
    assert!(run(command.current_dir(folder)).status.success());
}

#[test]
fn the_bar_of_generate_moves_while_it_renders() {
    let folder = tempdir().unwrap();
    let mut command = pianola();
    command
        .args(["generate", "--notes", "3000", "--seed", "1", "--out", "a.mid", "--wav", "a.wav"]);
    command.arg("--model").arg(small_model()).current_dir(folder.path());
    let text = shown(command);
    assert!(text.contains("hear it in a.wav"), "{text}");
    let (_, rendering) = text.split_once("rendering").unwrap();
    let percents: BTreeSet<u32> = rendering
        .split(" %")
        .filter_map(|text| text.split(' ').next_back()?.parse().ok())
        .collect();
    let between = percents.iter().filter(|percent| (51..100).contains(*percent)).count();
    assert!(between > 1, "{percents:?} in {text}");
}

#[test]
fn evaluate_shows_each_step() {
    let folder = tempdir().unwrap();
    songs(folder.path());
    let mut command = pianola();
    command.args(["evaluate", "--corpus", "songs", "--pieces", "1", "--notes", "100"]);
    command.args(["--picture", "a.png", "--model"]).arg(small_model()).current_dir(folder.path());
    let text = shown(command);
    assert!(text.contains("wrote a.png"), "{text}");
    for step in [
        "reading",
        "evaluating",
        "evaluating the right hand",
        "fitting the back-off n-gram",
        "fitting the unigram",
        "sampling",
        "measuring divergences",
        "comparing",
        "drawing",
    ] {
        assert!(text.contains(step), "{step} in {text}");
    }
}

#[test]
fn a_soundfont_is_named_while_it_is_read() {
    let folder = tempdir().unwrap();
    songs(folder.path());
    fs::write(folder.path().join("a.sf2"), soundfont()).unwrap();
    let mut command = pianola();
    command.args(["render", "songs/piece-1.mid", "--soundfont", "a.sf2", "--out", "a.wav"]);
    command.current_dir(folder.path());
    let text = shown(command);
    assert!(text.contains("reading the SoundFont") && text.contains("a.wav: "), "{text}");
}
