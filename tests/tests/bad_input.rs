//! Bad input and outputs that cannot be written: one line, a non-zero exit, and nothing half-written.
#![allow(clippy::unwrap_used)]

use std::fs;

use pianola_tests::{golden_weights, pianola, refuse, root, run, succeed};
use tempfile::tempdir;

#[test]
fn bad_input_is_refused_in_one_line_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let out = at("out.mid");
    let generate = |more: &[&str]| {
        let mut command = pianola();
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
    let said = refuse(pianola().args(["generate", "--notes", "5", "--out"]).arg(at("a.wav")));
    assert!(said.contains("a.wav") && said.contains("--wav writes audio"), "{said}");
    let said = generate(&["--wav", at("a.mp3").to_str().unwrap()]);
    assert!(said.contains("a.mp3") && said.contains(".wav"), "{said}");

    let mut command = pianola();
    command.args(["generate", "--notes", "5", "--seed", "1", "--out"]).arg(at("no/such/a.mid"));
    let said = refuse(&mut command);
    assert!(said.contains("no/such") && said.contains("there is no folder"), "{said}");
    let said = refuse(pianola().arg("export").arg(at("bad.mid")));
    assert!(said.contains("bad.mid") && said.contains("safetensors"), "{said}");
    let said = refuse(pianola().arg("inspect").arg(at("bad.mid")));
    assert!(said.contains("bad.mid"), "{said}");
    fs::write(at("bad"), "text").unwrap();
    let said = refuse(pianola().arg("inspect").arg(at("bad")));
    assert!(said.contains("bad") && said.contains("neither a .safetensors"), "{said}");
    let said = refuse(pianola().arg("export").arg(folder.path()));
    assert!(said.contains("not a training run") && said.contains("trainer fit"), "{said}");
    let said = generate(&["--register", "61", "61", "--scale", "c-major"]);
    assert!(said.contains("--register 61 61 leaves no pitch") && said.contains("widen"), "{said}");
    for (low, high) in [("h4", "c5"), ("0", "128"), ("-1", "60")] {
        let output = pianola().args(["generate", "--register", low, high]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("middle C is 60 or C4"), "{said}");
    }
    let said = refuse(pianola().arg("evaluate").arg("--corpus").arg(folder.path().join("gone")));
    assert!(said.contains("gone"), "{said}");

    // Inputs are not overwritten.
    fs::copy(golden_weights(), at("w.safetensors")).unwrap();
    let mut command = pianola();
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
    let binary = pianola().get_program().to_owned();
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
    let mut command = pianola();
    succeed(command.args(["generate", "--notes", "5", "--seed", "1", "--out", "/dev/null"]));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let binary = pianola().get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "(sleep 0.1; \"$1\" inspect; echo $? >&2) | true", "sh"]).arg(binary);
    let output = run(&mut command);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}
