//! Bad input and outputs that cannot be written: one line, a non-zero exit, and nothing half-written.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use pianola_tests::{golden_weights, pianola, refuse, root, run, succeed};
use tempfile::{TempDir, tempdir};

/// A folder with inputs; all of them are refused with one line.
struct Inputs(TempDir);

impl Inputs {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Path of the output of [`generate`](Self::generate).
    fn out(&self) -> PathBuf {
        self.at("out.mid")
    }

    /// What `generate` says that refuses its options or files.
    fn generate(&self, more: &[&str]) -> String {
        let mut command = pianola();
        command.args(["generate", "--notes", "5", "--seed", "1", "--out"]);
        refuse(command.arg(self.out()).args(more))
    }

    /// Asserts that nothing was written.
    fn nothing_is_left(&self) {
        let left: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert!(!self.out().exists());
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("part")), "{left:?}");
    }
}

#[test]
fn bad_models_are_refused() {
    let inputs = Inputs::new();
    let whole = fs::read(root().join("models/report-int8.safetensors")).unwrap();
    let mut damaged = whole.clone();
    damaged[3_000_000] ^= 1;
    for (name, bytes, says) in [
        ("empty", &[][..], "cut short"),
        ("short", &whole[..whole.len() - 1], "cut short"),
        ("damaged", &damaged, "checksum"),
        ("text", b"a very long text that is no model at all", "not a Pianola model"),
    ] {
        fs::write(inputs.at(name), bytes).unwrap();
        let said = inputs.generate(&["--model", inputs.at(name).to_str().unwrap()]);
        assert!(said.contains(says) && said.contains(name), "{said}");
    }
    let said = inputs.generate(&["--model", golden_weights().to_str().unwrap()]);
    assert!(said.contains("pianola export"), "{said}");
    let said = inputs.generate(&["--model", inputs.at("nowhere").to_str().unwrap()]);
    assert!(said.contains("nowhere") && said.contains("No such file"), "{said}");
    let said = refuse(pianola().arg("export").arg(inputs.0.path()));
    assert!(said.contains("not a training run") && said.contains("trainer fit"), "{said}");
    inputs.nothing_is_left();
}

#[test]
fn bad_files_are_refused() {
    let inputs = Inputs::new();
    let bad = inputs.at("bad.mid");
    fs::write(&bad, b"MThd\0\0\0\x06").unwrap();
    let said = inputs.generate(&["--prime", bad.to_str().unwrap()]);
    assert!(said.contains("bad.mid"), "{said}");
    let said = refuse(pianola().arg("export").arg(&bad));
    assert!(said.contains("bad.mid") && said.contains("safetensors"), "{said}");
    let said = refuse(pianola().arg("inspect").arg(&bad));
    assert!(said.contains("bad.mid"), "{said}");
    fs::write(inputs.at("bad"), "text").unwrap();
    let said = refuse(pianola().arg("inspect").arg(inputs.at("bad")));
    assert!(said.contains("bad") && said.contains("neither a .safetensors"), "{said}");
    let said = refuse(pianola().arg("evaluate").arg("--corpus").arg(inputs.at("gone")));
    assert!(said.contains("gone"), "{said}");
    inputs.nothing_is_left();
}

#[test]
fn bad_options_are_refused() {
    let inputs = Inputs::new();
    for (option, value) in
        [("--temperature", "-1"), ("--temperature", "nan"), ("--top-p", "0"), ("--seconds", "inf")]
    {
        let said = inputs.generate(&[&format!("{option}={value}")]);
        assert!(said.contains(option), "{said}");
    }
    let said = inputs.generate(&["--temperature", "-1"]);
    assert!(said.contains("--temperature must be"), "{said}");
    let said = inputs.generate(&["--register", "61", "61", "--scale", "c-major"]);
    assert!(said.contains("--register 61 61 leaves no pitch") && said.contains("widen"), "{said}");
    for (low, high) in [("h4", "c5"), ("0", "128"), ("-1", "60")] {
        let output = pianola().args(["generate", "--register", low, high]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("middle C is 60 or C4"), "{said}");
    }
    inputs.nothing_is_left();
}

#[test]
fn bad_outputs_are_refused() {
    let inputs = Inputs::new();
    let audio = inputs.at("a.wav");
    let said = refuse(pianola().args(["generate", "--notes", "5", "--out"]).arg(audio));
    assert!(said.contains("a.wav") && said.contains("--wav writes audio"), "{said}");
    let said = inputs.generate(&["--wav", inputs.at("a.mp3").to_str().unwrap()]);
    assert!(said.contains("a.mp3") && said.contains(".wav"), "{said}");
    let mut command = pianola();
    command.args(["generate", "--notes", "5", "--seed", "1", "--out"]);
    let said = refuse(command.arg(inputs.at("no/such/a.mid")));
    assert!(said.contains("no/such") && said.contains("there is no folder"), "{said}");
    inputs.nothing_is_left();
}

#[test]
fn inputs_are_not_overwritten() {
    let inputs = Inputs::new();
    let (weights, out) = (inputs.at("w.safetensors"), inputs.out());
    fs::copy(golden_weights(), &weights).unwrap();
    let said = refuse(pianola().arg("export").arg(&weights).arg("--out").arg(&weights));
    assert!(said.contains("would be overwritten"), "{said}");
    assert!(fs::read(weights).unwrap() == fs::read(golden_weights()).unwrap());
    let model = root().join("models/report-int8.safetensors");
    fs::copy(&model, &out).unwrap();
    let said = inputs.generate(&["--model", out.to_str().unwrap()]);
    assert!(said.contains("would be overwritten"), "{said}");
    assert!(fs::read(&out).unwrap() == fs::read(model).unwrap());
    fs::remove_file(out).unwrap();
    inputs.nothing_is_left();
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
