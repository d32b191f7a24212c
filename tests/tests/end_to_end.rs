//! End-to-end tests of the real `tools`: export, inspect, generate, evaluate; and their errors for
//! bad input.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pianola_host::midi_file::{
    Instrument, Score, TimedNote, Tracks, read, to_relative, write, write_score,
};
use pianola_runtime::{BOS, Note};
use pianola_tests::{data, refuse, root, run, succeed, tools};
use serde_json::Value;
use tempfile::tempdir;

fn golden_weights() -> std::path::PathBuf {
    root().join("tests/golden/report-small.safetensors")
}

/// A small model file exported by `tools` from a PyTorch state dict.
fn small_model(folder: &Path, quantize: &str) -> std::path::PathBuf {
    let out = folder.join(format!("{quantize}.safetensors"));
    let mut command = tools();
    command.arg("export").arg(golden_weights()).args(["--quantize", quantize]);
    let printed = succeed(command.arg("--out").arg(&out));
    assert!(printed.contains("checksum") && printed.contains(&out.display().to_string()));
    out
}

fn notes(path: &Path) -> Vec<Note> {
    to_relative(&read(&fs::read(path).unwrap(), Tracks::All).unwrap())
}

#[test]
fn the_bundled_model_plays_and_the_same_seed_writes_the_same_bytes() {
    let folder = tempdir().unwrap();
    let piece = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let mut command = tools();
        command.args(["generate", "--notes", "120", "--seed", seed, "--out"]).arg(&out);
        let printed = succeed(&mut command);
        assert_eq!(printed.lines().count(), 1, "{printed}");
        assert!(printed.contains("120 notes") && printed.contains("hear it"), "{printed}");
        fs::read(out).unwrap()
    };
    let first = piece("a.mid", "7");
    assert!(first == piece("b.mid", "7"), "the same seed wrote other bytes");
    assert!(first != piece("c.mid", "8"), "another seed wrote the same bytes");
}

#[test]
fn many_pieces_are_those_of_their_seeds() {
    let folder = tempdir().unwrap();
    let model = small_model(folder.path(), "int8");
    let generate = |more: &[&str], out: &Path| {
        let mut command = tools();
        command.arg("generate").arg("--model").arg(&model).args(["--notes", "50"]).args(more);
        succeed(command.arg("--out").arg(out))
    };
    let many = folder.path().join("many");
    generate(&["--seed", "3", "--count", "5"], &many);
    assert_eq!(fs::read_dir(&many).unwrap().count(), 5);
    let one = folder.path().join("one.mid");
    generate(&["--seed", "6"], &one);
    assert!(fs::read(many.join("piece-6.mid")).unwrap() == fs::read(one).unwrap());
    // The report's model samples only pitches.
    let mut command = tools();
    command.arg("generate").arg("--model").arg(&model).args(["--count", "2", "--seed", "1"]);
    command.args(["--notes", "9", "--pitch-temperature", "0", "--out"]).arg(&many);
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("every seed gives the same piece"));
    let piece = |name| notes(&many.join(name));
    assert!(piece("piece-1.mid") == piece("piece-2.mid"));
}

#[test]
fn a_primer_opens_the_piece_and_steers_it() {
    let folder = tempdir().unwrap();
    let model = small_model(folder.path(), "none");
    let note = |pitch| Note { pitch, velocity: 64, step: 0.25, duration: 0.2 };
    let generate = |primer: &[Note]| {
        let (prime, out) = (folder.path().join("prime.mid"), folder.path().join("out.mid"));
        fs::write(&prime, write(primer)).unwrap();
        let mut command = tools();
        command.arg("generate").arg("--model").arg(&model).args(["--seed", "1", "--notes", "30"]);
        command.args(["--prime-notes", "4", "--prime"]).arg(prime).arg("--out").arg(&out);
        succeed(&mut command);
        notes(&out)
    };
    let low: Vec<Note> = (40..50).map(note).collect();
    let high: Vec<Note> = (80..90).map(note).collect();
    let (after_low, after_high) = (generate(&low), generate(&high));
    let opening: Vec<u8> = after_low[..4].iter().map(|note| note.pitch).collect();
    assert_eq!(opening, [46, 47, 48, 49], "the last four are heard");
    let rest = |piece: &[Note]| piece[4..].iter().map(|note| note.pitch).collect::<Vec<_>>();
    assert_ne!(rest(&after_low), rest(&after_high));
}

/// The whole primer is observed, and the piece continues from its end; a line reports the primer.
#[test]
fn a_primer_is_heard_to_its_end() {
    let folder = tempdir().unwrap();
    let recording = folder.path().join("recording.mid");
    // A minute: more than a hundred notes, half a second each.
    let step = |note: u8| Note { pitch: 48 + note % 24, velocity: 64, step: 0.5, duration: 0.4 };
    let played: Vec<Note> = (0..120).map(step).collect();
    fs::write(&recording, write(&played)).unwrap();
    let generate = |more: &[&str]| {
        let out = folder.path().join("out.mid");
        let mut command = tools();
        command.args(["generate", "--seed", "1", "--notes", "20"]).args(more);
        command.arg("--prime").arg(&recording).arg("--out").arg(&out);
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (notes(&out), said)
    };
    let pitches = |notes: &[Note]| notes.iter().map(|note| note.pitch).collect::<Vec<_>>();
    let (whole, said) = generate(&[]);
    assert!(said.contains("heard all 120 notes, 60 s"), "{said}");
    assert_eq!(whole.len(), 140);
    assert_eq!(pitches(&whole[..120]), pitches(&notes(&recording)));
    let (new, _) = generate(&["--only-new"]);
    assert_eq!(pitches(&new), pitches(&whole[120..]));
    assert_eq!(new[0].step, 0.0);
    let (last, said) = generate(&["--prime-notes", "7"]);
    assert!(said.contains("heard the last 7 of 120 notes"), "{said}");
    assert_eq!(pitches(&last[..7]), pitches(&whole[113..120]));
    let (from, said) = generate(&["--prime-from", "0:50"]);
    assert!(said.contains("heard the last 20 of 120 notes"), "{said}");
    assert_eq!(from.len(), 40);
}

/// The sampling options have their effect.
#[test]
fn music_is_as_asked_for() {
    let folder = tempdir().unwrap();
    let generate = |more: &[&str]| {
        let out = folder.path().join("out.mid");
        let mut command = tools();
        command.args(["generate", "--seed", "5", "--out"]).arg(&out).args(more);
        succeed(&mut command);
        read(&fs::read(&out).unwrap(), Tracks::All).unwrap()
    };
    // D minor in German: no pitch is outside the scale.
    let in_d_minor = |note: &TimedNote| [2, 4, 5, 7, 9, 10, 0].contains(&(note.pitch % 12));
    assert!(generate(&["--notes", "60", "--scale", "d-Moll"]).iter().all(in_d_minor));
    let (home, up) =
        (generate(&["--notes", "60"]), generate(&["--notes", "60", "--transpose", "12"]));
    let raised = home.iter().zip(&up);
    let raised = raised.filter(|(home, up)| home.pitch + 12 == up.pitch).count();
    assert!(raised > 50, "{raised}");
    assert!(home.iter().all(|note| (21..=108).contains(&note.pitch)));
    let minute = generate(&["--seconds", "0:08"]);
    assert!(minute.last().is_some_and(|last| (6.0..=8.0).contains(&last.start)));
    // One voice, at the requested density.
    let voice = generate(&["--notes", "100", "--polyphony", "1", "--density", "10"]);
    let pace = 100.0 / voice.last().unwrap().start;
    assert!(pace > 6.0, "{pace} notes a second");
    assert!(voice.windows(2).all(|notes| notes[0].end <= notes[1].start + 1e-3));
}

#[test]
fn many_pieces_have_a_sound_file_each() {
    let folder = tempdir().unwrap();
    let mut command = tools();
    command.args(["generate", "--count", "2", "--seed", "8", "--notes", "10"]);
    command.args(["--out", "pieces", "--wav", "sound"]).current_dir(folder.path());
    let printed = succeed(&mut command);
    assert!(printed.starts_with("wrote 2 pieces to pieces, their audio to sound"), "{printed}");
    for seed in [8, 9] {
        let wav = folder.path().join(format!("sound/piece-{seed}.wav"));
        assert!(hound::WavReader::open(wav).unwrap().duration() > 44_100);
        assert_eq!(notes(&folder.path().join(format!("pieces/piece-{seed}.mid"))).len(), 10);
    }
    let said = refuse(command.args(["--wav", "sound.wav"]).current_dir(folder.path()));
    assert!(said.contains("--wav"), "{said}");
}

/// A melody continues the melody of a piece.
#[test]
fn the_right_hand_alone_is_primed_by_the_right_hand() {
    let folder = tempdir().unwrap();
    let [prime, out] = ["prime.mid", "out.mid"].map(|name| folder.path().join(name));
    let hand = |pitches: std::ops::Range<u8>| Instrument {
        name: String::new(),
        notes: (0..).zip(pitches).map(|(at, pitch)| timed(at, pitch)).collect(),
    };
    let score = Score { instruments: vec![hand(72..76), hand(40..44)], pedal: Vec::new() };
    fs::write(&prime, write_score(&score)).unwrap();
    for (hands, opening) in [("right", [72, 73, 74, 75]), ("both", [42, 74, 43, 75])] {
        let mut command = tools();
        command.args(["generate", "--seed", "1", "--notes", "1", "--hands", hands]);
        command.args(["--prime-notes", "4", "--prime"]).arg(&prime).arg("--out").arg(&out);
        succeed(&mut command);
        let pitches: Vec<u8> = notes(&out).iter().map(|note| note.pitch).collect();
        assert_eq!(pitches[..4], opening, "{hands}");
    }
}

/// A note that starts `at` quarters of a second after the start.
fn timed(at: u32, pitch: u8) -> TimedNote {
    let start = f64::from(at) / 4.0;
    TimedNote { start, end: start + 0.2, pitch, velocity: 64 }
}

#[test]
fn seconds_end_a_piece() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("short.mid");
    let mut command = tools();
    command.args(["generate", "--seconds", "5", "--seed", "1", "--out"]).arg(&out);
    succeed(&mut command);
    let notes = read(&fs::read(&out).unwrap(), Tracks::All).unwrap();
    let last = notes.last().unwrap().start;
    assert!(last <= 5.0, "a note starts after {last} s");
}

#[test]
fn inspect_names_what_a_file_holds() {
    let printed = succeed(tools().arg("inspect"));
    for part in [
        "parameters: 6893010",
        "weights: int8",
        "heads: expressive",
        "lstm.2.weight",
        "plays here: yes",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    let printed = succeed(tools().arg("inspect").arg(golden_weights()));
    assert!(printed.contains("rnn.weight_hh_l1") && printed.contains("plays here: no"));
}

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
    let mut command = tools();
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
fn compare_sets_pieces_beside_a_corpus() {
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
        let mut command = tools();
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

    let mut command = tools();
    let said = refuse(command.arg("compare").arg(at("gone.mid")).arg("--corpus").arg(&corpus));
    assert!(said.contains("gone.mid") && said.contains("No such file"), "{said}");
    let short = [Note { pitch: 60, velocity: 64, step: 0.5, duration: 0.5 }; 31];
    fs::write(at("short.mid"), write(&short)).unwrap();
    let compare = |piece: &str| {
        let mut command = tools();
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

#[test]
fn bad_input_is_refused_in_one_line_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let out = at("out.mid");
    let generate = |more: &[&str]| {
        let mut command = tools();
        command.args(["generate", "--notes", "5", "--seed", "1", "--out"]).arg(&out).args(more);
        refuse(&mut command)
    };
    let whole = fs::read(root().join("models/report-int8.safetensors")).unwrap();
    let mut damaged = whole.clone();
    damaged[3_000_000] ^= 1;
    for (name, bytes, says) in [
        ("empty", &[][..], "cut short"),
        ("short", &whole[..whole.len() - 1], "cut short"),
        ("damaged", &damaged, "checksum"),
        ("text", b"a very long text that is no model at all", "not a Pianola model"),
    ] {
        fs::write(at(name), bytes).unwrap();
        let said = generate(&["--model", at(name).to_str().unwrap()]);
        assert!(said.contains(says) && said.contains(name), "{said}");
    }
    let said = generate(&["--model", golden_weights().to_str().unwrap()]);
    assert!(said.contains("pianola export"), "{said}");
    let said = generate(&["--model", at("nowhere").to_str().unwrap()]);
    assert!(said.contains("nowhere") && said.contains("No such file"), "{said}");

    fs::write(at("bad.mid"), b"MThd\0\0\0\x06").unwrap();
    let said = generate(&["--prime", at("bad.mid").to_str().unwrap()]);
    assert!(said.contains("bad.mid"), "{said}");
    for (option, value) in
        [("--temperature", "-1"), ("--temperature", "nan"), ("--top-p", "0"), ("--seconds", "inf")]
    {
        let said = generate(&[&format!("{option}={value}")]);
        assert!(said.contains(option), "{said}");
    }

    let said = generate(&["--temperature", "-1"]);
    assert!(said.contains("--temperature must be"), "{said}");
    let said = refuse(tools().args(["generate", "--notes", "5", "--out"]).arg(at("a.wav")));
    assert!(said.contains("a.wav") && said.contains("--wav writes audio"), "{said}");
    let said = generate(&["--wav", at("a.mp3").to_str().unwrap()]);
    assert!(said.contains("a.mp3") && said.contains(".wav"), "{said}");

    let mut command = tools();
    command.args(["generate", "--notes", "5", "--seed", "1", "--out"]).arg(at("no/such/a.mid"));
    let said = refuse(&mut command);
    assert!(said.contains("no/such") && said.contains("there is no folder"), "{said}");
    let said = refuse(tools().arg("export").arg(at("bad.mid")));
    assert!(said.contains("bad.mid") && said.contains("safetensors"), "{said}");
    let said = refuse(tools().arg("inspect").arg(at("bad.mid")));
    assert!(said.contains("bad.mid"), "{said}");
    fs::write(at("bad"), "text").unwrap();
    let said = refuse(tools().arg("inspect").arg(at("bad")));
    assert!(said.contains("bad") && said.contains("neither a .safetensors"), "{said}");
    let said = refuse(tools().arg("export").arg(folder.path()));
    assert!(said.contains("not a training run") && said.contains("trainer fit"), "{said}");
    let said = generate(&["--register", "61", "61", "--scale", "c-major"]);
    assert!(said.contains("--register 61 61 leaves no pitch") && said.contains("widen"), "{said}");
    for (low, high) in [("h4", "c5"), ("0", "128"), ("-1", "60")] {
        let output = tools().args(["generate", "--register", low, high]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("middle C is 60 or C4"), "{said}");
    }
    let said = refuse(tools().arg("evaluate").arg("--corpus").arg(folder.path().join("gone")));
    assert!(said.contains("gone"), "{said}");

    // Inputs are not overwritten.
    fs::copy(golden_weights(), at("w.safetensors")).unwrap();
    let mut command = tools();
    command.arg("export").arg(at("w.safetensors")).arg("--out").arg(at("w.safetensors"));
    assert!(refuse(&mut command).contains("would be overwritten"));
    assert!(fs::read(at("w.safetensors")).unwrap() == fs::read(golden_weights()).unwrap());
    fs::copy(root().join("models/report-int8.safetensors"), &out).unwrap();
    assert!(generate(&["--model", out.to_str().unwrap()]).contains("would be overwritten"));
    fs::remove_file(&out).unwrap();

    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!out.exists());
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("part")), "{left:?}");
}

/// A limit on the file size stops the writing in the middle, as a full disk does.
#[test]
#[cfg(unix)]
fn a_file_that_cannot_be_finished_is_reported_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let binary = tools().get_program().to_owned();
    let script = "trap '' XFSZ; ulimit -f 8; \
                  exec \"$1\" generate --notes 4000 --seed 1 --out piece.mid";
    let mut command = std::process::Command::new("sh");
    let said = refuse(command.args(["-c", script, "sh"]).arg(binary).current_dir(folder.path()));
    assert!(said.contains("piece.mid") && said.contains("File too large"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Output to a device is written to it, not renamed over it; and a closed pipe is no error.
#[test]
#[cfg(unix)]
fn devices_and_pipes_stay_what_they_are() {
    use std::os::unix::fs::FileTypeExt;
    let mut command = tools();
    succeed(command.args(["generate", "--notes", "5", "--seed", "1", "--out", "/dev/null"]));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let binary = tools().get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "(sleep 0.1; \"$1\" inspect; echo $? >&2) | true", "sh"]).arg(binary);
    let output = run(&mut command);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}

/// The report's own statistics of its corpus: 295 files, 381,248 notes of first instruments, and the
/// shapes of its three sets.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_reference_corpus_has_the_reports_segments() {
    use pianola_host::corpus::{Corpus, Set, Split, segments};
    let corpus = Corpus::read(&data().join("piano-midi"), Tracks::First).unwrap();
    assert_eq!((corpus.songs.len(), corpus.skipped.len()), (295, 0));
    assert_eq!(corpus.songs.iter().map(|song| song.notes.len()).sum::<usize>(), 381_248);
    let split = Split::read(&data().join("reference_split.tsv")).unwrap();
    assert_eq!(split.missing(&corpus).count(), 0);
    let counts = Set::ALL.map(|set| segments(corpus.set(&split, set)).count());
    assert_eq!(counts, [3603, 997, 1214]);
    let both = Corpus::read(&data().join("piano-midi"), Tracks::All).unwrap();
    assert_eq!(both.songs.iter().map(|song| song.notes.len()).sum::<usize>(), 710_084);
    assert!(both.songs.iter().flat_map(|song| &song.notes).all(|note| note.pitch < BOS));
}

/// Every file of the three corpora is read.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn every_corpus_is_read_whole() {
    use pianola_host::corpus::Corpus;
    for (folder, files) in [("piano-midi", 295), ("lieder-cc0", 1431), ("chopin-ccby", 509)] {
        let corpus = Corpus::read(&data().join(folder), Tracks::All).unwrap();
        assert!(corpus.skipped.is_empty(), "{:?}", corpus.skipped);
        assert_eq!(corpus.songs.len(), files, "{folder}");
    }
}

fn evaluated(model: &str) -> Value {
    evaluated_with(model, &[])
}

fn evaluated_with(model: &str, more: &[&str]) -> Value {
    let mut command = tools();
    command.args(["evaluate", "--json", "--corpus"]).arg(data().join("piano-midi")).args(more);
    command.arg("--model").arg(root().join("models").join(model));
    let printed = succeed(command.arg("--split").arg(data().join("reference_split.tsv")));
    serde_json::from_str(&printed).unwrap()
}

/// The bundled models have the exact printed figures of their model cards and of
/// `docs/results.md`, on any machine, since they compute the same bits.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_expressive_models_reach_their_figures() {
    let measured = |report: &Value, pointer, figure: f64| {
        let measured = report.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!((measured - figure).abs() <= 5.1e-5, "{pointer}: {measured}, not {figure}");
    };
    let report = evaluated("expressive-int8.safetensors");
    assert_eq!(report["notes"].as_u64(), Some(147_995));
    for (figure, pointer) in [
        (5.2324, "/nats_per_note/model/total"),
        (0.5047, "/nats_per_note/model/step"),
        (2.0481, "/nats_per_note/model/pitch"),
        (1.1580, "/nats_per_note/model/duration"),
        (1.5216, "/nats_per_note/model/velocity"),
        (8.3293, "/nats_per_note/back_off_ngram/total"),
        (0.0087, "/samples/jsd/corrected/pitch"),
        (0.0005, "/samples/jsd/corrected/step"),
        (0.0043, "/samples/jsd/corrected/duration"),
        (0.0312, "/samples/jsd/fine/step"),
        (0.0465, "/samples/jsd/fine/duration"),
        (0.9452, "/samples/mean_ratio"),
        (1.9169, "/right_hand_pitch/both_hands"),
        (1.9452, "/right_hand_pitch/right_hand"),
    ] {
        measured(&report, pointer, figure);
    }
    for (model, total) in
        [("expressive-int4.safetensors", 5.2279), ("small-int4.safetensors", 5.2751)]
    {
        measured(&evaluated(model), "/nats_per_note/model/total", total);
    }
}

/// In bins of 10 ms a hundred pieces are, on average, at most 1.5 times as far from the test songs as the training
/// songs are; and in the report's bins each hundred is near.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn hundreds_of_pieces_are_near_to_the_test_songs_on_average() {
    let report = evaluated_with("expressive-int8.safetensors", &["--pieces", "1000"]);
    let number = |of: &Value, pointer| of.pointer(pointer).and_then(Value::as_f64).unwrap();
    let hundreds = report["samples"]["jsd_of_hundreds"].as_array().unwrap();
    assert_eq!(hundreds.len(), 10);
    // The first pieces are those sampled by default.
    assert!((number(&hundreds[0], "/fine/step") - 0.0312).abs() <= 5.1e-5);
    for (pointer, figure) in [("/fine/step", 0.0267), ("/fine/duration", 0.0367)] {
        let sum: f64 = hundreds.iter().map(|each| number(each, pointer)).sum();
        let mean = sum / hundreds.len() as f64;
        assert!((mean - figure).abs() <= 5.1e-5, "{pointer}: {mean}, not {figure}");
        let training = number(&report["jsd_of_training_songs"], pointer);
        assert!(mean <= 1.5 * training, "{pointer}: {mean}, and the training songs {training}");
    }
    for (pointer, most) in [
        ("/corrected/pitch", 0.03),
        ("/corrected/step", 0.005),
        ("/corrected/duration", 0.005),
        ("/published/duration", 0.005),
    ] {
        let farthest = hundreds.iter().map(|each| number(each, pointer)).fold(0.0, f64::max);
        assert!(farthest <= most, "{pointer}: {farthest}");
    }
}

#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_reports_model_reaches_its_figures() {
    let report = evaluated("report-int8.safetensors");
    assert_eq!(report["segments"].as_u64(), Some(1214));
    for (kind, part, figure) in [
        ("loss", "total", 2.2234),
        ("loss", "pitch", 2.0776),
        ("loss", "step", 0.0784),
        ("loss", "duration", 0.0674),
        ("jsd", "pitch", 0.0281),
        ("jsd", "step", 0.0042),
        ("jsd", "duration", 0.0091),
    ] {
        let measured = match kind {
            "jsd" => &report["jsd"]["published"][part],
            _ => &report["loss"][part],
        };
        let measured = measured.as_f64().unwrap();
        assert!((measured - figure).abs() < 1e-4, "{kind} of {part}: {measured}, not {figure}");
    }
}

#[test]
fn bench_times_a_note_beside_reading_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = small_model(folder.path(), "int4");
    for threads in ["1", "2"] {
        let more = ["--notes", "20", "--threads", threads, "--json"];
        let output = succeed(tools().args(["bench", "--model"]).arg(&model).args(more));
        let report: Value = serde_json::from_str(&output).unwrap();
        let number = |pointer| report.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!(number("/microseconds/p99") >= number("/microseconds/median"));
        assert!(number("/bandwidth/microseconds") > 0.0 && number("/weight_bytes") > 1000.0);
        assert_eq!(report["precision"], "int4");
    }
    let refused = refuse(tools().args(["bench", "--isa", "abacus"]));
    assert!(refused.contains("abacus") && refused.contains("portable"), "{refused}");
}
