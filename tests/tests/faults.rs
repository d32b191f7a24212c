//! Faults of live ports and terminals: `pianola play` ends in time, loses nothing and leaves nothing
//! sounding.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use pianola_host::midi_file::{Tracks, read};
use pianola_runtime::controller;
use pianola_tests::instrument::{DENSE, Instrument, MODEL, Playing, Signal, until};
use pianola_tests::{pianola, refuse, root, run, succeed};
use rustix::process::{Pid, kill_process};

/// Messages that silence whatever sounds, at the start.
const SILENCING: usize = 133;

const SECOND: Duration = Duration::from_secs(1);

/// A soft thru, or one port for both input and output: the echo is ignored.
#[test]
fn what_comes_back_is_not_heard() {
    for mode in [["--mode", "accompany"], ["--mode", "answer"]] {
        let instrument = Instrument::plug_in();
        instrument.send_back();
        let path = instrument.path.to_str().unwrap();
        let options = [&mode[..], &["--listen", path, "--gap", "0.2"]].concat();
        let mut playing = Playing::on(&instrument.path, 1, &options);
        until("the first messages are sent back", || instrument.messages().len() >= SILENCING);
        instrument.press(&[0x90, 60, 33]);
        instrument.press(&[0x80, 60, 33]);
        instrument.wait_for(20);
        playing.signal(Signal::INT);
        let (_, said) = playing.end();
        instrument.must_be_silent();
        assert_eq!(said.matches("sends back what it gets").count(), 1, "{said}");
        // The silencing at both ends, and the notes.
        assert!(instrument.bytes() < 6_000, "{} bytes", instrument.bytes());
    }
}

#[test]
fn half_a_key_holds_nothing_up() {
    let halves: [&[u8]; 5] = [b"\x1b[", b"\x1bO", b"\xc3", b"\xe2\x82", b"\xfc"];
    for (half, signal) in halves.iter().zip([
        Some(Signal::TERM),
        Some(Signal::INT),
        Some(Signal::HUP),
        Some(Signal::QUIT),
        None,
    ]) {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("kept.mid");
        let (instrument, terminal) = (Instrument::plug_in(), Instrument::plug_in());
        let mut command = Playing::command(&instrument.path, 1);
        command.arg("--record").arg(&record);
        if signal.is_none() {
            command.args(["--notes", "12"]);
        }
        let before = terminal.modes();
        let mut playing = Playing::in_terminal(&terminal, command);
        instrument.wait_for(3);
        assert_ne!(terminal.modes(), before, "the view has taken the terminal over");
        terminal.press(half);
        instrument.wait_for(6);
        // It is still drawn.
        let drawn = terminal.bytes();
        until("it is drawn", || terminal.bytes() > drawn);
        if let Some(signal) = signal {
            playing.signal(signal);
            assert!(playing.ends_within(SECOND), "{half:x?}");
        } else {
            assert!(playing.ends_within(20 * SECOND), "{half:x?}");
        }
        instrument.must_be_silent();
        assert_eq!(terminal.modes(), before, "the terminal is given back");
        let kept = read(&fs::read(record).unwrap(), Tracks::All).unwrap();
        assert_eq!(kept.len(), instrument.starts().len());
    }
}

#[test]
fn a_terminal_that_nobody_reads_holds_nothing_up() {
    for signal in [Some(Signal::TERM), None] {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("kept.mid");
        let (instrument, terminal) = (Instrument::plug_in(), Instrument::unread());
        let mut command = Playing::command(&instrument.path, 1);
        command.arg("--record").arg(&record);
        if signal.is_none() {
            command.args(["--notes", "40"]);
        }
        let mut playing = Playing::in_terminal(&terminal, command);
        instrument.wait_for(40);
        if let Some(signal) = signal {
            playing.signal(signal);
            assert!(playing.ends_within(SECOND));
        }
        assert!(playing.ends_within(20 * SECOND));
        instrument.must_be_silent();
        let kept = read(&fs::read(record).unwrap(), Tracks::All).unwrap();
        assert_eq!(kept.len(), instrument.starts().len());
    }
}

#[test]
fn pedals_are_lifted_at_the_end_and_after_a_kill() {
    let (keyboard, piano) = (Instrument::plug_in(), Instrument::plug_in());
    let path = keyboard.path.to_str().unwrap();
    for kill in [false, true] {
        let mut playing = Playing::on(&piano.path, 1, &["--listen", path]);
        let silenced = piano.bytes();
        until("it is open", || piano.bytes() > silenced);
        keyboard.press(&[0xb0, 64, 127, 66, 127, 67, 127]);
        until("the pedals are down", || piano.control(controller::SOFT) == Some(127));
        if kill {
            playing.kill();
            assert_eq!(piano.control(controller::SUSTAIN), Some(127));
            playing = Playing::on(&piano.path, 1, &["--notes", "1"]);
        } else {
            playing.signal(Signal::INT);
        }
        playing.end();
        piano.must_be_silent();
        assert_eq!(controller::PEDALS.map(|pedal| piano.control(pedal)), [Some(0); 3]);
    }
}

#[test]
fn a_flood_does_not_delay_the_end() {
    for bytes in [&[0xfa][..], &[0x90, 60, 80, 60, 0], &[0xb0, 20, 64], &[0xb0, 120, 0], &[0xff]] {
        let (keyboard, piano) = (Instrument::plug_in(), Instrument::plug_in());
        let path = keyboard.path.to_str().unwrap();
        let mut playing = Playing::on(&piano.path, 1, &["--listen", path]);
        piano.wait_until_open();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let many = bytes.repeat(500);
                while !over.load(Ordering::Relaxed) {
                    keyboard.press_some(&many);
                }
            });
            sleep(SECOND);
            let memory = playing.memory();
            assert!(memory < 100_000, "{memory} kB");
            playing.signal(Signal::TERM);
            let start = Instant::now();
            let ended = playing.ends_within(SECOND);
            over.store(true, Ordering::Relaxed);
            assert!(ended, "{bytes:x?}");
            eprintln!("after a flood of {bytes:x?} it ends in {:?}", start.elapsed());
        });
        piano.must_be_silent();
    }
}

#[test]
fn another_model_may_be_copied_over_the_one_that_plays() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    fs::copy(root().join(MODEL), &model).unwrap();
    let instrument = Instrument::plug_in();
    let mut command = pianola();
    command.args(["play", "--seed", "1", "--notes", "40", "--no-view", "--port"]);
    command.arg(&instrument.path).arg("--model").arg(&model).args(DENSE);
    let mut program = command.stdout(Stdio::null()).spawn().unwrap();
    instrument.wait_for(5);
    fs::OpenOptions::new().write(true).truncate(true).open(&model).unwrap();
    assert!(program.wait().unwrap().success());
    instrument.must_be_silent();
    assert_eq!(instrument.starts().len(), 40);
}

#[test]
fn a_recording_is_checked_before_and_kept_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("x.wav");
    let error = refuse(pianola().args(["play", "--port", "/x", "--record"]).arg(&wrong));
    assert!(error.contains(".mid"), "{error}");
    let missing = folder.path().join("none/x.mid");
    refuse(pianola().args(["play", "--port", "/x", "--record"]).arg(&missing));
    // A name of the maximum length.
    let long = folder.path().join(format!("{}.mid", "x".repeat(251)));
    let instrument = Instrument::plug_in();
    let options = ["--record", long.to_str().unwrap(), "--notes", "3"];
    Playing::on(&instrument.path, 1, &[&DENSE[..], &options].concat()).end();
    assert_eq!(read(&fs::read(long).unwrap(), Tracks::All).unwrap().len(), 3);
}

/// The recording of a session whose file cannot be written goes to the folder for temporary files.
#[test]
fn a_recording_that_cannot_be_written_is_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("tmp")).unwrap();
    symlink("/dev/full", at("full.mid")).unwrap();
    fs::create_dir(at("songs")).unwrap();
    for (record, is_replaced) in [("songs/a.mid", true), ("full.mid", false)] {
        let instrument = Instrument::plug_in();
        let mut command = Playing::command(&instrument.path, 1);
        command.args(["--no-view", "--record"]).arg(at(record)).env("TMPDIR", at("tmp"));
        let program = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        instrument.wait_for(5);
        if is_replaced {
            // The folder is a file now.
            fs::remove_dir_all(at("songs")).unwrap();
            fs::write(at("songs"), "").unwrap();
        }
        kill_process(Pid::from_child(&program), Signal::INT).unwrap();
        let output = program.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let (file, kept) = said.trim_end().rsplit_once("; the recording is in ").unwrap();
        assert!(output.status.code() == Some(1) && file.contains(record), "{said}");
        assert!(kept.starts_with(at("tmp").to_str().unwrap()) && kept.ends_with(".mid"), "{kept}");
        let notes = read(&fs::read(kept).unwrap(), Tracks::All).unwrap();
        assert_eq!(notes.len(), instrument.starts().len());
    }
    // A name for each.
    assert_eq!(fs::read_dir(at("tmp")).unwrap().count(), 2);
}

/// A limit on the size of files stops every write, as a full disk does.
#[test]
fn a_recording_that_does_not_fit_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old.mid"), "old").unwrap();
    let instrument = Instrument::plug_in();
    let play = Playing::command(&instrument.path, 1);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"]).arg(play.get_program());
    command.args(play.get_args()).args(["--no-view", "--notes", "5", "--record", "old.mid"]);
    command.current_dir(folder.path()).env("TMPDIR", folder.path());
    let output = run(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("old.mid: File too large"), "{said}");
    assert_eq!(fs::read(at("old.mid")).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn what_sends_no_midi_is_refused_and_what_takes_all_ends() {
    for endless in ["/dev/null", "/dev/zero"] {
        let error = refuse(pianola().args(["play", "--port", "/dev/null", "--listen", endless]));
        assert!(error.contains(endless), "{error}");
    }
    for option in ["--port", "--serial"] {
        let mut command = pianola();
        command.args(["play", option, "/dev/null", "--seed", "1", "--notes", "10", "--no-view"]);
        let printed = succeed(command.args(DENSE));
        assert!(printed.starts_with("played 10 notes"), "{option}: {printed}");
    }
}

#[test]
fn channels_are_chosen() {
    let (keyboard, piano) = (Instrument::plug_in(), Instrument::plug_in());
    let path = keyboard.path.to_str().unwrap();
    let options = ["--listen", path, "--gap", "0.1", "--channel", "3,4", "--echo", "off"];
    let mut playing = Playing::on(&piano.path, 1, &options);
    piano.wait_until_open();
    keyboard.press(&[0x99, 36, 80, 0x89, 36, 0]);
    // Ten times the pause after which keys are answered.
    sleep(SECOND);
    assert!(piano.starts().is_empty(), "pads are answered");
    keyboard.press(&[0x92, 60, 80, 0x82, 60, 0]);
    piano.wait_for(8);
    playing.signal(Signal::INT);
    playing.end();
    for (_, message) in piano.messages() {
        if let Some(pitch) = message.started() {
            assert_eq!(message.channel(), Some(if pitch < 60 { 3 } else { 2 }));
        }
    }
}

#[test]
fn seeds_are_shown_and_the_last_piece_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (instrument, terminal) = (Instrument::plug_in(), Instrument::plug_in());
    let mut command = Playing::command(&instrument.path, 71);
    command.args(DENSE).current_dir(folder.path());
    let mut playing = Playing::in_terminal(&terminal, command);
    instrument.wait_for(10);
    until("the seed is shown", || terminal.text().contains("seed 71"));
    terminal.press(b"n");
    until("the next seed", || terminal.text().contains("72"));
    instrument.wait_for(instrument.starts().len() + 20);
    terminal.press(b"s");
    let saved = folder.path().join("pianola-72.mid");
    until("it is saved", || saved.exists());
    assert!(!read(&fs::read(saved).unwrap(), Tracks::All).unwrap().is_empty());
    terminal.press(b"q");
    assert!(playing.ends_within(2 * SECOND));
    until("all seeds are printed", || terminal.text().contains("seeds 71, 72"));
}
