//! Runs of the real `trainer` on a small corpus.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pianola_host::midi_file::write;
use pianola_runtime::Note;
use serde_json::Value;
use tempfile::TempDir;

/// Ten songs of arpeggios.
fn corpus() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for song in 0..10u8 {
        let note = |i: usize| Note {
            pitch: 48 + song + [0, 4, 7, 12][i % 4],
            velocity: 80,
            step: 0.25,
            duration: 0.2 + 0.05 * (i % 3) as f32,
        };
        let notes: Vec<Note> = (0..400).map(note).collect();
        fs::write(folder.path().join(format!("{song}.mid")), write(&notes)).unwrap();
    }
    folder
}

fn fit(corpus: &Path, run: &Path, more: &[&str]) -> Command {
    fit_preset("report", corpus, run, more)
}

fn fit_preset(preset: &str, corpus: &Path, run: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.arg("fit").arg(corpus).arg("--out").arg(run).args(["--preset", preset]);
    command.args(["--threads", "1", "--hidden", "32", "--layers", "2", "--batch", "4"]);
    command.args(["--length", "48", "--epochs", "3", "--seed", "9"]).args(more);
    command
}

fn log(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The log without fields that depend on the clock.
fn figures(run: &Path) -> Vec<Value> {
    let mut log = log(run);
    for entry in &mut log {
        entry.as_object_mut().unwrap().remove("seconds");
    }
    log
}

#[test]
#[cfg(unix)]
fn names_cannot_control_a_terminal() {
    let (corpus, out) = (corpus(), tempfile::tempdir().unwrap());
    fs::write(corpus.path().join("\u{1b}[2J\u{202e}.mid"), "not MIDI").unwrap();
    let output =
        fit(corpus.path(), &out.path().join("\u{1b}[1mrun"), &["--resume"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("error: "), "{said:?}");
    assert!(!said.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{said:?}");
    assert!(said.contains("/\\u001b[2J\\u202e.mid: ") && said.contains("\\u001b[1mrun"), "{said}");
}

#[test]
fn a_run_learns_and_leaves_what_it_promises() {
    learns_and_leaves_what_it_promises("report");
    learns_and_leaves_what_it_promises("expressive");
}

fn learns_and_leaves_what_it_promises(preset: &str) {
    let (corpus, out) = (corpus(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let fit = |corpus: &Path, run: &Path, more: &[&str]| fit_preset(preset, corpus, run, more);
    let output = fit(corpus.path(), &run, &[]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["weights.safetensors", "checkpoint.safetensors", "recipe.json"] {
        assert!(fs::metadata(run.join(file)).unwrap().len() > 100, "{file}");
    }
    for picture in ["curves.svg", "corpus.svg"] {
        let svg = fs::read_to_string(run.join(picture)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("validation"), "{picture}");
    }
    let epochs: Vec<_> = log(&run).into_iter().filter(|entry| entry["event"] == "epoch").collect();
    assert_eq!(epochs.len(), 3);
    let loss = |epoch: usize| epochs[epoch]["validation"]["total"].as_f64().unwrap();
    assert!(loss(2) < loss(0), "{} then {}", loss(0), loss(2));
    assert!(epochs[2]["jsd"]["pitch"].as_f64().unwrap() > 0.0);

    // A run is not overwritten.
    let output = fit(corpus.path(), &run, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--resume"));
    // Nor resumed with other options.
    let output = fit(corpus.path(), &run, &["--resume", "--batch", "5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "an option given twice");
    let output = fit(corpus.path(), &run, &["--resume", "--clip", "2"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("clip: 1.0, not 2.0"));
    // Nor from a recipe that lacks fields of this version.
    let recipe = fs::read_to_string(run.join("recipe.json")).unwrap();
    fs::write(run.join("recipe.json"), recipe.replace("weight_dropout", "dropout_once")).unwrap();
    let output = fit(corpus.path(), &run, &["--resume"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("another version of Pianola"));
    fs::write(run.join("recipe.json"), recipe).unwrap();
    // Nor with other data.
    let output = fit(corpus.path(), &run, &["--resume", "--split-seed", "1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("split"));
    // Log entries after a killed run's last checkpoint appear once in the final log.
    let before = figures(&run);
    let (path, last) = (run.join("log.jsonl"), before.last().unwrap());
    let mut text = fs::read_to_string(&path).unwrap();
    let killed = last.to_string().replace("\"epoch\":3", "\"epoch\":4");
    text += &format!("{killed}\n");
    fs::write(&path, text).unwrap();
    assert!(fit(corpus.path(), &run, &["--resume"]).output().unwrap().status.success());
    assert_eq!(figures(&run), before);
    // A run stopped before its first checkpoint starts again.
    fs::remove_file(run.join("checkpoint.safetensors")).unwrap();
    let output = fit(corpus.path(), &run, &["--resume"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("checkpoint.safetensors is missing"));
    fs::remove_file(run.join("weights.safetensors")).unwrap();
    assert!(fit(corpus.path(), &run, &["--resume"]).output().unwrap().status.success());
    assert_eq!(figures(&run), before);
}

#[test]
fn a_stopped_run_goes_on_bit_for_bit() {
    stopped_goes_on_bit_for_bit("report");
}

/// Songs continue from batch to batch, and their states with them.
#[test]
fn a_stopped_run_of_songs_goes_on_bit_for_bit() {
    stopped_goes_on_bit_for_bit("expressive");
}

fn stopped_goes_on_bit_for_bit(preset: &str) {
    let (corpus, out) = (corpus(), tempfile::tempdir().unwrap());
    let fit = |corpus: &Path, run: &Path, more: &[&str]| fit_preset(preset, corpus, run, more);
    let (straight, stopped) = (out.path().join("straight"), out.path().join("stopped"));
    assert!(fit(corpus.path(), &straight, &[]).output().unwrap().status.success());

    // Ctrl-C at any number of logged batches, until the run is complete.
    let mut interruptions = 0;
    for attempt in 0.. {
        let more: &[&str] = if attempt == 0 { &[] } else { &["--resume"] };
        let lines =
            || fs::read_to_string(stopped.join("log.jsonl")).map_or(0, |log| log.lines().count());
        let before = lines();
        let mut child = fit(corpus.path(), &stopped, more).stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the run hangs");
            if interruptions < 3 && lines() >= before + 5 {
                interruptions += 1;
                let pid = child.id().to_string();
                assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert!(status.success());
        if log(&stopped).iter().filter(|entry| entry["event"] == "epoch").count() == 3 {
            break;
        }
    }
    assert!(interruptions > 0, "the run was over before it could be stopped");
    assert_eq!(figures(&straight), figures(&stopped));
    let weights = |run: &Path| fs::read(run.join("weights.safetensors")).unwrap();
    assert!(weights(&straight) == weights(&stopped), "the weights differ");
}

#[test]
fn early_stopping_ends_a_run_that_no_longer_learns() {
    let (corpus, out) = (corpus(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    // A learning rate of 0 never improves on the first epoch.
    let more = ["--learning-rate", "0", "--schedule", "constant", "--patience", "1"];
    let output = fit(corpus.path(), &run, &more).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("stopped early"));
    assert_eq!(log(&run).iter().filter(|entry| entry["event"] == "epoch").count(), 2);
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let out = tempfile::tempdir().unwrap();
    let (empty, run) = (out.path().join("empty"), out.path().join("run"));
    fs::create_dir(&empty).unwrap();
    for (corpus, more, says) in [
        (&empty, [].as_slice(), "no notes"),
        (&out.path().join("nowhere"), &[], "nowhere"),
        (&empty, &["--dropout", "1.5"], "--dropout"),
        (&empty, &["--weight-dropout", "1"], "--weight-dropout"),
        (&empty, &["--patience", "0"], "--patience"),
    ] {
        let output = fit(corpus, &run, more).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(says) && errors.lines().count() == 1, "{errors}");
        assert!(!run.exists(), "a refused run leaves nothing");
    }
}
