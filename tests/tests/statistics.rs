//! `evaluate` and `compare` through the real binary, on small corpora.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pianola_host::midi_file::write;
use pianola_runtime::Note;
use pianola_tests::{pianola, refuse, run, small_model};
use serde_json::Value;
use tempfile::tempdir;

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

#[test]
fn compare_measures_pieces_against_a_corpus() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (corpus, pieces) = (at("corpus"), at("pieces"));
    fs::create_dir(&corpus).unwrap();
    fs::create_dir(&pieces).unwrap();
    // Songs of various figures and tempos, and pieces that repeat one high pitch.
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
    let compare = |what: &[&Path], more: &[&str]| {
        let mut command = pianola();
        command.arg("compare").args(what).arg("--corpus").arg(&corpus).args(more);
        let output = run(&mut command);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), errors)
    };
    let json = |what: &[&Path], more: &[&str]| -> Value {
        serde_json::from_str(&compare(what, &[more, &["--json"]].concat()).0).unwrap()
    };
    let measure = |report: &Value, name: &str| -> Value {
        let mut rows = report["measures"].as_array().unwrap().iter();
        rows.find(|row| row["name"] == name).unwrap().clone()
    };

    let picture = at("picture.svg");
    let drawn = ["--picture", picture.to_str().unwrap()];
    let (printed, errors) = compare(&[&pieces], &drawn);
    assert!(errors.contains("broken.mid"), "{errors}");
    for part in ["divergence, fine", "polyphony rate", "mean ratio", "densest 10 s", "inside"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(fs::read_to_string(&picture).unwrap().contains("</svg>"));

    // Four test songs and twelve to train on, of two excerpts of 40 notes each; the tail of 20
    // counts.
    let stuck = json(&[&pieces], &[]);
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
    let like = json(&[&corpus], &[]);
    let mean_ratio = |report: &Value| report["mean_ratio"].as_f64().unwrap();
    assert!(mean_ratio(&like) > mean_ratio(&stuck) + 0.3, "{like}");
    assert!(measure(&like, "mean_pitch")["overlap"].as_f64().unwrap() > 0.5, "{like}");
    let songs: Vec<_> = (0..20).map(|song| corpus.join(format!("{song}.mid"))).collect();
    let mut songs: Vec<&Path> = songs.iter().map(|song| song.as_path()).collect();
    songs.sort();
    assert_eq!(json(&songs, &[]), like);

    let mut command = pianola();
    let said = refuse(command.arg("compare").arg(at("gone.mid")).arg("--corpus").arg(&corpus));
    assert!(said.contains("gone.mid") && said.contains("No such file"), "{said}");
    let short = [Note { pitch: 60, velocity: 64, step: 0.5, duration: 0.5 }; 31];
    fs::write(at("short.mid"), write(&short)).unwrap();
    let compare = |piece: &str| {
        let mut command = pianola();
        command.arg("compare").arg(at(piece)).arg("--corpus").arg(&corpus);
        command
    };
    let said = refuse(&mut compare("short.mid"));
    assert!(said.contains("short.mid has 31 notes"), "{said}");
    let said = refuse(compare("pieces/0.mid").arg("--picture").arg(at("a.jpg")));
    assert!(said.contains("a.jpg") && said.contains(".svg"), "{said}");
    fs::copy(pieces.join("0.mid"), at("midi.svg")).unwrap();
    let said = refuse(compare("midi.svg").arg("--picture").arg(at("midi.svg")));
    assert!(said.contains("would be overwritten"), "{said}");
}
