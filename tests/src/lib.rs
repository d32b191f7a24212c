//! Helpers of the tests across crates: the real binaries and the corpora.

mod circle;
pub mod elf;
#[cfg(target_os = "linux")]
pub mod instrument;
pub mod script;
pub mod soundfont;
pub mod stream;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub use circle::circle;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The program `pianola`, built in the profile of the tests.
///
/// # Panics
/// If the build fails.
pub fn pianola() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PATH.get_or_init(|| build("pianola-tools", "pianola")))
}

/// Builds a binary of the workspace in the profile of the tests and returns its path; with the features
/// that `PIANOLA_FEATURES` names.
fn build(package: &str, binary: &str) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", binary]).current_dir(root());
    if let Ok(features) = std::env::var("PIANOLA_FEATURES") {
        command.args(["--features", &features]);
    }
    // target/PROFILE/deps/TEST
    let test = std::env::current_exe().unwrap_or_default();
    let profile = test.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{package} does not build");
    profile.join(binary)
}

/// Runs a command and returns its output.
///
/// # Panics
/// If it cannot be started.
pub fn run(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Runs a command that must succeed, and returns what it printed.
///
/// # Panics
/// If it fails.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must refuse its input: exit code 1, or 2 for its options, and one line that starts with
/// `error:`, which is returned.
///
/// # Panics
/// If it succeeds, panics, or does not print exactly one line.
pub fn refuse(command: &mut Command) -> String {
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{command:?}: {errors}");
    let beside = |line: &&str| line.starts_with("seed ") || line.starts_with("continuing ");
    let said: Vec<&str> = errors.lines().filter(|line| !beside(line)).collect();
    assert!(said.len() == 1 && said[0].starts_with("error: "), "{command:?}: {errors}");
    said[0].to_string()
}

/// Weights of a small report's model, from PyTorch.
pub fn golden_weights() -> PathBuf {
    root().join("tests/golden/report-small.safetensors")
}

/// The model file that `export` makes of them in a folder.
///
/// # Panics
/// If it fails, or reports no checksum or another file.
pub fn small_model(folder: &Path, quantize: &str) -> PathBuf {
    let out = folder.join(format!("{quantize}.safetensors"));
    let mut command = pianola();
    command.arg("export").arg(golden_weights()).args(["--quantize", quantize]);
    let printed = succeed(command.arg("--out").arg(&out));
    assert!(printed.contains("checksum") && printed.contains(&out.display().to_string()));
    out
}

/// The folder of the corpora, `$PIANOLA_DATA`.
///
/// # Panics
/// If it is missing; tests that need it are ignored by default.
pub fn data() -> PathBuf {
    let folder = PathBuf::from(std::env::var_os("PIANOLA_DATA").unwrap_or_default());
    assert!(
        folder.join("reference_split.tsv").exists(),
        "no corpora in {}: set PIANOLA_DATA to the folder that holds piano-midi/",
        folder.display()
    );
    folder
}
