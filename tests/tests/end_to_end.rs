//! `generate`, `export`, `inspect` and `bench` through the real binary.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pianola_host::midi_file::{
    Instrument, Score, TimedNote, Tracks, read, to_relative, write, write_score,
};
use pianola_runtime::Note;
use pianola_tests::{golden_weights, pianola, refuse, run, small_model, succeed};
use serde_json::Value;
use tempfile::tempdir;

fn notes(path: &Path) -> Vec<Note> {
    to_relative(&read(&fs::read(path).unwrap(), Tracks::All).unwrap())
}

#[test]
fn the_bundled_model_plays_and_the_same_seed_writes_the_same_bytes() {
    let folder = tempdir().unwrap();
    let piece = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let mut command = pianola();
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
        let mut command = pianola();
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
    let mut command = pianola();
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
        let mut command = pianola();
        command.arg("generate").arg("--model").arg(&model).args(["--seed", "1", "--notes", "30"]);
        command.args(["--prime-notes", "4", "--prime"]).arg(prime).arg("--out").arg(&out);
        succeed(&mut command);
        notes(&out)
    };
    let low: Vec<Note> = (40..50).map(note).collect();
    let high: Vec<Note> = (80..90).map(note).collect();
    let (after_low, after_high) = (generate(&low), generate(&high));
    let opening: Vec<u8> = after_low[..4].iter().map(|note| note.pitch).collect();
    assert_eq!(opening, [46, 47, 48, 49], "the last four are observed");
    let rest = |piece: &[Note]| piece[4..].iter().map(|note| note.pitch).collect::<Vec<_>>();
    assert_ne!(rest(&after_low), rest(&after_high));
}

/// The whole primer is observed, and the piece continues from its end; a line reports the primer.
#[test]
fn a_primer_is_observed_to_its_end() {
    let folder = tempdir().unwrap();
    let recording = folder.path().join("recording.mid");
    // A minute: more than a hundred notes, half a second each.
    let step = |note: u8| Note { pitch: 48 + note % 24, velocity: 64, step: 0.5, duration: 0.4 };
    let played: Vec<Note> = (0..120).map(step).collect();
    fs::write(&recording, write(&played)).unwrap();
    let generate = |more: &[&str]| {
        let out = folder.path().join("out.mid");
        let mut command = pianola();
        command.args(["generate", "--seed", "1", "--notes", "20"]).args(more);
        command.arg("--prime").arg(&recording).arg("--out").arg(&out);
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (notes(&out), said)
    };
    let pitches = |notes: &[Note]| notes.iter().map(|note| note.pitch).collect::<Vec<_>>();
    let (whole, said) = generate(&[]);
    assert!(said.contains("recording.mid: all 120 notes, 60 s"), "{said}");
    assert_eq!(whole.len(), 140);
    assert_eq!(pitches(&whole[..120]), pitches(&notes(&recording)));
    let (new, _) = generate(&["--only-new"]);
    assert_eq!(pitches(&new), pitches(&whole[120..]));
    assert_eq!(new[0].step, 0.0);
    let (last, said) = generate(&["--prime-notes", "7"]);
    assert!(said.contains("the last 7 of 120 notes"), "{said}");
    assert_eq!(pitches(&last[..7]), pitches(&whole[113..120]));
    let (from, said) = generate(&["--prime-from", "0:50"]);
    assert!(said.contains("the last 20 of 120 notes"), "{said}");
    assert_eq!(from.len(), 40);
}

#[test]
fn sampling_options_have_their_effect() {
    let folder = tempdir().unwrap();
    let generate = |more: &[&str]| {
        let out = folder.path().join("out.mid");
        let mut command = pianola();
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
    let mut command = pianola();
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
        let mut command = pianola();
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
    let mut command = pianola();
    command.args(["generate", "--seconds", "5", "--seed", "1", "--out"]).arg(&out);
    succeed(&mut command);
    let notes = read(&fs::read(&out).unwrap(), Tracks::All).unwrap();
    let last = notes.last().unwrap().start;
    assert!(last <= 5.0, "a note starts after {last} s");
}

#[test]
fn inspect_names_what_a_file_holds() {
    let printed = succeed(pianola().arg("inspect"));
    for part in [
        "parameters: 6893010",
        "weights: int8",
        "heads: expressive",
        "lstm.2.weight",
        "plays here: yes",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    let printed = succeed(pianola().arg("inspect").arg(golden_weights()));
    assert!(printed.contains("rnn.weight_hh_l1") && printed.contains("plays here: no"));
}

#[test]
fn bench_compares_a_note_with_reading_its_weights() {
    let folder = tempdir().unwrap();
    let model = small_model(folder.path(), "int4");
    for threads in ["1", "2"] {
        let more = ["--notes", "20", "--threads", threads, "--json"];
        let output = succeed(pianola().args(["bench", "--model"]).arg(&model).args(more));
        let report: Value = serde_json::from_str(&output).unwrap();
        let number = |pointer| report.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!(number("/microseconds/p99") >= number("/microseconds/median"));
        assert!(number("/bandwidth/microseconds") > 0.0 && number("/weight_bytes") > 1000.0);
        assert_eq!(report["precision"], "int4");
    }
    let refused = refuse(pianola().args(["bench", "--isa", "abacus"]));
    assert!(refused.contains("abacus") && refused.contains("portable"), "{refused}");
}
