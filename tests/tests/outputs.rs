//! Destinations of output: standard output, pipes, links and existing files.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use pianola_host::midi_file::{Tracks, read, read_score, write};
use pianola_runtime::Note;
use pianola_tests::elf::{self, elf};
use pianola_tests::{pianola, refuse, root, run, succeed};
use tempfile::{TempDir, tempdir};

/// Runs a shell command in a folder, with the program as `$1`.
fn sh(line: &str, folder: &Path) -> Command {
    let mut sh = Command::new("sh");
    sh.args(["-c", line, "sh"]).arg(pianola().get_program()).current_dir(folder);
    sh
}

/// Composes a short piece to a file.
fn compose(out: &str, folder: &Path) -> String {
    succeed(
        pianola()
            .args(["generate", "--notes", "5", "--seed", "1", "--out", out])
            .current_dir(folder),
    )
}

fn is_piece(bytes: &[u8]) -> bool {
    read(bytes, Tracks::All).is_ok_and(|notes| notes.len() == 5)
}

/// Names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn standard_output_takes_the_piece_and_nothing_else() {
    let folder = tempdir().unwrap();
    for out in ["-", "/dev/stdout", "/dev/fd/1"] {
        let output = run(pianola().args(["generate", "--notes", "5", "--seed", "1", "--out", out]));
        assert!(output.status.success() && is_piece(&output.stdout), "{out}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"), "{out}");
    }
    let generate = "\"$1\" generate --notes 5 --seed 1 --out";
    succeed(&mut sh(
        &format!("{generate} - > a; echo old > b; {generate} /dev/stdout >> b"),
        folder.path(),
    ));
    let at = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(is_piece(&at("a")));
    assert!(at("b").strip_prefix(b"old\n").is_some_and(is_piece));
    succeed(&mut sh(
        &format!("{generate} a.mid; \"$1\" plot a.mid --out - > a.png"),
        folder.path(),
    ));
    assert!(at("a.png").starts_with(b"\x89PNG"));
    let model = root().join("tests/golden/expressive-small.safetensors");
    let output = run(pianola().arg("export").arg(model).args(["--out", "-"]));
    assert!(output.status.success());
    assert!(pianola_runtime::Model::from_bytes(&output.stdout).is_ok());
}

/// Every writer of one file, with the ending of its file.
const WRITERS: [(&str, &str); 10] = [
    ("generate --notes 5 --seed 1 --out", "mid"),
    ("generate --notes 5 --seed 1 --out /dev/null --wav", "wav"),
    ("plot piece.mid --out", "png"),
    ("plot piece.mid --out", "svg"),
    ("render piece.mid --plain --out", "wav"),
    ("export weights.safetensors --out", "safetensors"),
    ("filter --corpus songs --out", "filter"),
    ("compare songs --corpus songs --picture", "png"),
    ("evaluate --model m.safetensors --corpus songs --pieces 1 --notes 100 --picture", "png"),
    ("flash --board pico2 --model m.safetensors --firmware firmware --out", "uf2"),
];

/// A folder with what the writers read.
fn inputs() -> TempDir {
    let folder = tempdir().unwrap();
    let weights = root().join("tests/golden/expressive-small.safetensors");
    fs::copy(weights, folder.path().join("weights.safetensors")).unwrap();
    let model = root().join("runtime/tests/models/expressive-small-int4.safetensors");
    fs::copy(model, folder.path().join("m.safetensors")).unwrap();
    fs::write(folder.path().join("firmware"), elf(&[(elf::FLASH, &[1; 300])])).unwrap();
    compose("piece.mid", folder.path());
    let songs = "\"$1\" generate --count 5 --notes 40 --seed 1 --out songs";
    succeed(&mut sh(songs, folder.path()));
    folder
}

#[test]
fn every_writer_treats_every_output_alike() {
    let folder = inputs();
    let at = |name: &str| folder.path().join(name);
    let shell = |line: String| {
        let output = run(&mut sh(&line, folder.path()));
        assert!(output.status.success(), "{line}: {output:?}");
        output
    };
    let said = |output: &Output| {
        let both = [output.stdout.as_slice(), &output.stderr].concat();
        String::from_utf8(both).unwrap()
    };
    for (writer, ending) in WRITERS {
        let writer = format!("\"$1\" {writer}");
        let new = format!("new.{ending}");
        let wrote = said(&shell(format!("{writer} {new}")));
        assert!(wrote.contains(&new) && !wrote.contains("replaced"), "{wrote}");
        let bytes = fs::read(at(&new)).unwrap();

        fs::set_permissions(at(&new), Permissions::from_mode(0o640)).unwrap();
        let wrote = said(&shell(format!("{writer} {new}")));
        assert!(wrote.contains(&new) && wrote.contains("replaced"), "{wrote}");
        assert!(fs::read(at(&new)).unwrap() == bytes, "{writer}: other bytes");
        assert_eq!(fs::metadata(at(&new)).unwrap().mode() & 0o777, 0o640, "{writer}");

        // Standard output has no ending: it takes a PNG.
        if ending != "svg" {
            assert!(shell(format!("{writer} -")).stdout == bytes, "{writer} -");
            shell(format!("echo old > log; {writer} /dev/stdout >> log"));
            let log = fs::read(at("log")).unwrap();
            assert!(log.strip_prefix(b"old\n") == Some(&bytes), "{writer}");
        }

        let pipe = format!("pipe.{ending}");
        let through =
            shell(format!("mkfifo {pipe}; {writer} {pipe} > said 2>&1 & cat {pipe}; wait"));
        assert!(through.stdout == bytes, "{writer} {pipe}");

        let link = format!("link.{ending}");
        symlink(format!("there.{ending}"), at(&link)).unwrap();
        shell(format!("{writer} {link}"));
        assert!(fs::symlink_metadata(at(&link)).unwrap().is_symlink(), "{writer}");
        assert!(fs::read(at(&format!("there.{ending}"))).unwrap() == bytes, "{writer}");

        fs::set_permissions(at(&new), Permissions::from_mode(0o444)).unwrap();
        let refused = refuse(&mut sh(&format!("exec {writer} {new}"), folder.path()));
        assert!(refused.contains(&new) && refused.contains("read-only"), "{refused}");
        assert!(fs::read(at(&new)).unwrap() == bytes, "{writer}");
        for name in [new, pipe, link, format!("there.{ending}"), "said".into()] {
            fs::remove_file(at(&name)).unwrap();
        }
    }
    let inputs = ["firmware", "log", "m.safetensors", "piece.mid", "songs", "weights.safetensors"];
    assert_eq!(names(folder.path()), inputs);
}

#[test]
fn manual_pages_are_replaced_with_a_notice() {
    let folder = tempdir().unwrap();
    let pages = || succeed(&mut sh("\"$1\" man --out man1", folder.path()));
    assert!(!pages().contains("replaced"));
    let count = names(&folder.path().join("man1")).len();
    assert_eq!(pages(), format!("wrote {count} pages to man1 ({count} replaced)\n"));
}

#[test]
fn what_cannot_be_done_draws_no_seed_and_writes_nothing() {
    let folder = tempdir().unwrap();
    for line in ["--out gone/a.mid", "--prime gone.mid", "--out a.mid --wav a.xyz", "--model gone"]
    {
        let said = refuse(&mut sh(&format!("exec \"$1\" generate {line}"), folder.path()));
        assert!(!said.contains("seed"), "{said}");
    }
    // JSON holds no bytes that are not Unicode.
    let line = "exec \"$1\" generate --notes 5 --json --out \"$(printf 'a\\377.mid')\"";
    let said = refuse(&mut sh(line, folder.path()));
    assert!(said.contains("--json cannot name"), "{said}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_keeps_its_mode_owner_and_other_names() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(compose("new.mid", folder.path()).starts_with("wrote new.mid: 5 notes"));
    fs::write(at("old.mid"), "old and much longer than that\n".repeat(100)).unwrap();
    fs::set_permissions(at("old.mid"), Permissions::from_mode(0o640)).unwrap();
    assert!(compose("old.mid", folder.path()).starts_with("replaced old.mid: 5 notes"));
    let there = fs::metadata(at("old.mid")).unwrap();
    assert_eq!(there.mode() & 0o777, 0o640);
    assert_eq!(fs::read(at("old.mid")).unwrap(), fs::read(at("new.mid")).unwrap());
    // A process that may change owners must not do so: the owner stays.
    if std::os::unix::fs::chown(at("old.mid"), Some(1234), Some(1234)).is_ok() {
        compose("old.mid", folder.path());
        let there = fs::metadata(at("old.mid")).unwrap();
        assert_eq!((there.uid(), there.gid(), there.mode() & 0o777), (1234, 1234, 0o640));
    }
    fs::write(at("one.mid"), "old\n".repeat(1000)).unwrap();
    fs::hard_link(at("one.mid"), at("two.mid")).unwrap();
    compose("one.mid", folder.path());
    assert!(is_piece(&fs::read(at("two.mid")).unwrap()), "a hard link is cut off");
    assert_eq!(names(folder.path()), ["new.mid", "old.mid", "one.mid", "two.mid"]);
}

#[test]
fn links_stay_and_lead_to_the_piece() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("there")).unwrap();
    fs::write(at("there/old.mid"), "old").unwrap();
    symlink("there/old.mid", at("link.mid")).unwrap();
    symlink("there/new.mid", at("dangling.mid")).unwrap();
    for (link, target) in [("link.mid", "there/old.mid"), ("dangling.mid", "there/new.mid")] {
        compose(link, folder.path());
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        assert!(is_piece(&fs::read(at(target)).unwrap()), "{target}");
    }
    symlink("round.mid", at("round.mid")).unwrap();
    let mut command = pianola();
    command.args(["generate", "--notes", "5", "--seed", "1", "--out", "round.mid"]);
    assert!(refuse(command.current_dir(folder.path())).contains("round.mid"));
}

#[test]
fn a_read_only_file_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kept.mid");
    fs::write(&path, "kept").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let said =
        refuse(pianola().args(["generate", "--notes", "5", "--seed", "1", "--out"]).arg(&path));
    assert!(said.contains("kept.mid") && said.contains("read-only"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), b"kept");
}

#[test]
fn the_longest_name_works() {
    let folder = tempdir().unwrap();
    let name = format!("{}.mid", "n".repeat(251));
    compose(&name, folder.path());
    assert_eq!(names(folder.path()), [name]);
}

/// Waits for a condition, but no longer than a minute.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} takes longer than a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A signal while a long file is written leaves the old one.
#[test]
fn a_signal_leaves_the_old_file() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rest = Note { pitch: 60, velocity: 80, step: 10.0, duration: 0.1 };
    fs::write(at("long.mid"), write(&vec![rest; 1000])).unwrap();
    fs::write(at("long.wav"), "old").unwrap();
    let mut child = pianola();
    child.args(["render", "long.mid", "--plain"]).current_dir(folder.path());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("rendering", || names(folder.path()).iter().any(|name| name.ends_with(".part")));
    succeed(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]));
    assert!(!child.wait().unwrap().success(), "it ended before the signal");
    assert_eq!(names(folder.path()), ["long.mid", "long.wav"]);
    assert_eq!(fs::read(at("long.wav")).unwrap(), b"old");
}

/// The program with a signal's default action: a background job of a shell, such as these tests may be, ignores SIGINT and
/// SIGQUIT, and so do its children.
fn unaffected(signal: &str) -> Command {
    let program = pianola();
    if !cfg!(target_os = "linux") {
        return program;
    }
    let mut command = Command::new("env");
    command.arg(format!("--default-signal={signal}")).arg(program.get_program());
    command
}

/// A signal between two pieces of a series leaves no temporary file.
#[test]
fn a_signal_leaves_nothing() {
    let folder = tempdir().unwrap();
    let signals = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "ALRM", "XCPU", "XFSZ"];
    for signal in signals {
        let mut child = unaffected(signal);
        child.args([
            "generate", "--count", "3000", "--notes", "2", "--seed", "1", "--out", "pieces",
        ]);
        child.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        // The program is writing now.
        let pieces = folder.path().join("pieces");
        wait_until("a piece", || pieces.exists() && names(&pieces).len() >= 20);
        succeed(Command::new("kill").args(["-s", signal, &child.id().to_string()]));
        let status = child.wait().unwrap();
        assert!(!status.success(), "it ended before the signal");
        let left = names(&pieces);
        assert!(left.iter().all(|name| name.starts_with("piece-")), "{signal}: {left:?}");
        fs::remove_dir_all(pieces).unwrap();
    }
}

#[test]
fn an_unwritable_standard_error_changes_nothing() {
    let folder = tempdir().unwrap();
    let line = "\"$1\" generate --notes 5 --out a.mid 2> /dev/full && \
                \"$1\" generate --prime a.mid --notes 5 --out b.mid 2> /dev/full && \
                \"$1\" generate --notes 5 --seed 1 --out - 2> /dev/full > c.mid && \
                \"$1\" plot clock.mid --out a.png 2> /dev/full";
    // A file with a warning.
    let clock = root().join("tests/cases/30-realtime-f8-inline.mid");
    fs::copy(clock, folder.path().join("clock.mid")).unwrap();
    succeed(&mut sh(line, folder.path()));
    assert!(is_piece(&fs::read(folder.path().join("c.mid")).unwrap()));
    let output = run(&mut sh("\"$1\" generate --prime gone.mid 2> /dev/full", folder.path()));
    assert_eq!(output.status.code(), Some(1), "it must not panic");
}

#[test]
fn a_piece_has_hands_a_tempo_and_the_command_that_makes_it_again() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut command = pianola();
    command.args(["generate", "--notes", "200", "--seed", "7", "--scale", "f#m", "--top-p", "0.9"]);
    succeed(command.args(["--out", "a.mid"]).current_dir(folder.path()));
    let score = read_score(&fs::read(at("a.mid")).unwrap()).unwrap();
    let hands: Vec<&str> = score.instruments.iter().map(|hand| hand.name.as_str()).collect();
    assert_eq!(hands, ["Right hand", "Left hand"]);
    let report = succeed(pianola().args(["inspect", "a.mid"]).current_dir(folder.path()));
    assert!(report.contains("a.mid: 200 notes") && report.contains("seed 7"), "{report}");
    let again = report.lines().find_map(|line| line.strip_prefix("again: ")).unwrap();
    assert!(again.contains("--scale 'f#m'") && again.contains("--top-p 0.9"), "{again}");
    succeed(&mut sh(&format!("{again} --out b.mid"), folder.path()));
    assert_eq!(fs::read(at("a.mid")).unwrap(), fs::read(at("b.mid")).unwrap());
    // How the command reports is no part of it.
    let again = "\"$1\" generate --notes 5 --seed 7 --json --out c.mid; \
                 \"$1\" generate --notes 5 --seed 7 --out d.mid; cmp c.mid d.mid";
    succeed(&mut sh(again, folder.path()));
    let report = succeed(pianola().args(["inspect", "c.mid"]).current_dir(folder.path()));
    assert!(report.contains("again: ") && !report.contains("--json"), "{report}");
    // A path that cannot be printed gives no command to hear it.
    let strange = "\"$1\" generate --notes 5 --seed 7 --out \"$(printf 'e\\377.mid')\"";
    let report = succeed(&mut sh(strange, folder.path()));
    assert!(report.contains("any MIDI player\n"), "{report}");
    // A file of another program has no such command.
    let other = root().join("tests/cases/30-realtime-f8-inline.mid");
    let report = succeed(pianola().arg("inspect").arg(other));
    assert!(report.contains(" notes") && !report.contains("again: "), "{report}");
}
