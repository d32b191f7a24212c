//! `evaluate` and `compare` through the real binary, on small corpora.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use pianola_host::midi_file::write;
use pianola_runtime::Note;
use pianola_tests::{pianola, refuse, run, small_model, succeed};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

#[test]
fn evaluate_measures_a_corpus() {
    let folder = tempdir().unwrap();
    let model = small_model(folder.path(), "int8");
    let corpus = folder.path().join("corpus");
    fs::create_dir(&corpus).unwrap();
    for song in 0..5u8 {
        let note =
            |i: u8| Note { pitch: 60 + (i + song) % 12, velocity: 64, step: 0.2, duration: 0.3 };
        fs::write(
            corpus.join(format!("{song}.mid")),
            write(&(0..100).map(note).collect::<Vec<_>>()),
        )
        .unwrap();
    }
    fs::write(corpus.join("broken.mid"), "not MIDI").unwrap();
    let mut command = pianola();
    command.arg("evaluate").arg("--model").arg(&model).arg("--corpus").arg(&corpus).arg("--json");
    let output = run(&mut command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("broken.mid") && errors.contains("1 file skipped, 5 read"), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["segments"].as_u64(), report["notes"].as_u64()), (Some(1), Some(64)));
    assert!(report["model"].as_str().unwrap().contains("int8.safetensors"));
    let loss = |part: &str| report["loss"][part].as_f64().unwrap();
    let sum = loss("pitch") + loss("step") + loss("duration");
    assert!((loss("total") - sum).abs() < 1e-9 && loss("pitch") > 1.0);
    for rule in ["published", "corrected", "fine"] {
        for part in ["pitch", "step", "duration"] {
            let divergence = report["jsd"][rule][part].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&divergence), "{rule} {part}: {divergence}");
        }
    }
}

/// A folder with a corpus of 20 songs of various figures and tempos, and 20 pieces that repeat one high
/// pitch.
struct Compared(TempDir);

impl Compared {
    fn new() -> Self {
        let compared = Self(tempdir().unwrap());
        let (corpus, pieces) = (compared.at("corpus"), compared.at("pieces"));
        fs::create_dir(&corpus).unwrap();
        fs::create_dir(&pieces).unwrap();
        for song in 0..20u32 {
            let (step, lowest) = (0.2 + 0.005 * (song % 7) as f32, 50 + song * 5 % 11);
            let pitch = |i: u32| (lowest + i * (song + 3) % 23) as u8;
            let note = |i: u32| Note { pitch: pitch(i), velocity: 64, step, duration: 0.3 };
            let notes: Vec<Note> = (0..100).map(note).collect();
            fs::write(corpus.join(format!("{song}.mid")), write(&notes)).unwrap();
            let stuck = [Note { pitch: 100, velocity: 100, step: 0.05, duration: 0.01 }; 40];
            fs::write(pieces.join(format!("{song}.mid")), write(&stuck)).unwrap();
        }
        fs::write(pieces.join("broken.mid"), "not MIDI").unwrap();
        compared
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command that compares pieces with the corpus.
    fn command(&self, pieces: &[PathBuf]) -> Command {
        let mut command = pianola();
        command.arg("compare").args(pieces).arg("--corpus").arg(self.at("corpus"));
        command
    }

    /// Its JSON report.
    fn json(&self, pieces: &[PathBuf]) -> Value {
        serde_json::from_str(&succeed(self.command(pieces).arg("--json"))).unwrap()
    }
}

/// The row of a measure in a report.
fn measure(report: &Value, name: &str) -> Value {
    let mut rows = report["measures"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap().clone()
}

#[test]
fn compare_prints_and_draws_all_measures() {
    let compared = Compared::new();
    let picture = compared.at("picture.svg");
    let output = run(compared.command(&[compared.at("pieces")]).arg("--picture").arg(&picture));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("broken.mid"), "{errors}");
    let printed = String::from_utf8_lossy(&output.stdout);
    for part in ["divergence, fine", "polyphony rate", "mean ratio", "densest 10 s", "inside"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(fs::read_to_string(&picture).unwrap().contains("</svg>"));
}

#[test]
fn compare_measures_pieces_against_a_corpus() {
    let compared = Compared::new();
    // Four test songs and twelve to train on, of two excerpts of 40 notes each; the tail of 20
    // counts.
    let stuck = compared.json(&[compared.at("pieces")]);
    assert_eq!(stuck["excerpt_notes"], 40);
    let excerpts = &stuck["excerpts"];
    assert_eq!((&excerpts["samples"], &excerpts["real"]), (&Value::from(20), &Value::from(12)));
    assert_eq!(excerpts["training"], 36);
    assert_eq!(stuck["longest_run"], serde_json::json!({"samples": 40, "corpus": 1}));
    assert_eq!(stuck["densest_window"], serde_json::json!({"samples": 40, "corpus": 50}));
    assert!(stuck["jsd"]["corrected"]["pitch"].as_f64().unwrap() > 0.9);
    let pitch = measure(&stuck, "mean_pitch");
    assert_eq!(pitch["samples"], 100.0);
    assert!(pitch["ratio"].as_f64().unwrap() < 0.1, "{pitch}");
    for range in stuck["ranges"].as_array().unwrap() {
        assert_eq!(range["inside"], 0.0, "{range}");
    }

    // Songs of the corpus resemble its other songs, whether given one by one or as a folder.
    let corpus = compared.at("corpus");
    let like = compared.json(std::slice::from_ref(&corpus));
    let mean_ratio = |report: &Value| report["mean_ratio"].as_f64().unwrap();
    assert!(mean_ratio(&like) > mean_ratio(&stuck) + 0.3, "{like}");
    assert!(measure(&like, "mean_pitch")["overlap"].as_f64().unwrap() > 0.5, "{like}");
    let mut songs: Vec<_> = (0..20).map(|song| corpus.join(format!("{song}.mid"))).collect();
    songs.sort();
    assert_eq!(compared.json(&songs), like);
}

#[test]
fn compare_refuses_what_cannot_be_compared() {
    let compared = Compared::new();
    let compare = |piece: &str| compared.command(&[compared.at(piece)]);
    let said = refuse(&mut compare("gone.mid"));
    assert!(said.contains("gone.mid") && said.contains("No such file"), "{said}");
    let short = [Note { pitch: 60, velocity: 64, step: 0.5, duration: 0.5 }; 31];
    fs::write(compared.at("short.mid"), write(&short)).unwrap();
    let said = refuse(&mut compare("short.mid"));
    assert!(said.contains("short.mid has 31 notes"), "{said}");
    let said = refuse(compare("pieces/0.mid").arg("--picture").arg(compared.at("a.jpg")));
    assert!(said.contains("a.jpg") && said.contains(".svg"), "{said}");
    let svg = compared.at("midi.svg");
    fs::copy(compared.at("pieces/0.mid"), &svg).unwrap();
    let said = refuse(compare("midi.svg").arg("--picture").arg(&svg));
    assert!(said.contains("would be overwritten"), "{said}");
}
