//! `cargo xtask test`: all checks that a change must pass, the fast ones first.

use std::env;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};

use crate::shell::{cache, cargo, install, need, program, run as start, succeeds};
use crate::{aarch64, emulated, fuzz, instructions, libtorch, live, no_std, package, platforms};

/// Seconds for each fuzz target: enough for errors that most inputs trigger.
const FUZZ_SECONDS: u32 = 10;

/// Runs all checks; stops at the first that fails.
pub fn run() -> anyhow::Result<()> {
    start(cargo().args(["fmt", "--all", "--check"]))?;
    start(cargo().args(["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))?;
    let everything_but_the_trainer = ["--workspace", "--exclude", "pianola-trainer"];
    let mut clippy = cargo();
    // Default features: the others of `tools` need libraries, and `live` lints them.
    clippy.arg("clippy").args(everything_but_the_trainer).arg("--all-targets");
    start(clippy.args(["--", "-D", "warnings"]))?;
    platforms::run()?;
    start(cargo().arg("test"))?;
    // Without `-p`: which packages are selected decides on the features of their dependencies, and a different
    // selection would compile them again.
    start(cargo().args(["test", "--features", "pianola-tools/ogg", "--lib", "--bins", "ogg"]))?;
    installed()?;
    package::run()?;

    no_std::build()?;
    no_std::lint()?;
    instructions::run(false)?;
    emulated::run()?;
    aarch64::run()?;
    live::run()?;
    miri()?;
    fuzz::run(FUZZ_SECONDS)?;

    let mut lints = cargo();
    libtorch::use_in(&mut lints)?;
    lints.args(["clippy", "--release", "-p", "pianola-trainer", "--all-targets"]);
    start(lints.args(["--", "-D", "warnings"]))?;
    let mut trainer = cargo();
    libtorch::use_in(&mut trainer)?;
    start(trainer.args(["test", "--release", "-p", "pianola-trainer"]))?;

    match env::var_os("PIANOLA_DATA") {
        Some(data) => reference(&std::path::absolute(data)?)?,
        None => println!(
            "NOT RUN: the tests on the reference corpora. Set PIANOLA_DATA to the folder that \
             contains piano-midi/ and reference_split.tsv."
        ),
    }
    println!("all checks passed");
    Ok(())
}

/// Tests that need shells, a SoundFont and systemd, which not every machine has.
fn installed() -> anyhow::Result<()> {
    need("zsh", "zsh")?;
    need("fish", "fish")?;
    need("systemd-analyze", "systemd")?;
    // A small SoundFont; the tests look in the same folders as `render`.
    if !Path::new("/usr/share/sounds/sf2").exists() {
        install(&["timgm6mb-soundfont"]);
    }
    let mut tests = cargo();
    tests.args(["test", "--test", "command_line", "--test", "render"]);
    start(tests.args(["--", "--ignored"]))
}

/// The runtime under Miri, which finds undefined behaviour: unit tests, and a piece from a model file. The host crate
/// contains no unsafe code.
fn miri() -> anyhow::Result<()> {
    let there = || succeeds(program("cargo").args(["+nightly", "miri", "--version"]));
    if !there() {
        let toolchain = ["toolchain", "install", "nightly", "--profile", "minimal"];
        succeeds(program("rustup").args(toolchain).args(["-c", "miri", "-c", "rust-src"]));
    }
    ensure!(
        there(),
        "Miri is missing: run `rustup toolchain install nightly --profile minimal -c miri -c rust-src`"
    );
    let mut miri = program("cargo");
    // proptest asks for the current folder.
    miri.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    miri.args(["+nightly", "miri", "test", "-p", "pianola-runtime", "--lib"]);
    start(miri.args(["--test", "generator", "--", "tests::", "pinned"]))
}

/// Tests on the corpora: sizes of the sets, figures of the bundled models, and every note of every file against
/// `pretty_midi`.
fn reference(data: &Path) -> anyhow::Result<()> {
    let mut tests = cargo();
    tests.args([
        "test",
        "--release",
        "-p",
        "pianola-tests",
        "--test",
        "corpora",
        "--test",
        "originality",
    ]);
    start(tests.env("PIANOLA_DATA", data).args(["--", "--ignored"]))?;
    let mut duet = cargo();
    duet.args(["test", "--release", "-p", "pianola-tests", "--test", "duet"]);
    start(duet.env("PIANOLA_DATA", data).args(["--", "--ignored", "--nocapture"]))?;

    let python = cache()?.join("python/bin/python");
    if !succeeds(program(&python.to_string_lossy()).args(["-c", "import pretty_midi"])) {
        let folder = cache()?.join("python");
        start(program("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = program(&python.to_string_lossy());
        // setuptools: pretty_midi still imports pkg_resources.
        pip.args(["-m", "pip", "install", "--quiet", "pretty_midi==0.2.11", "setuptools<81"]);
        start(&mut pip)?;
    }
    let mut dump = cargo();
    dump.args(["run", "--quiet", "--release", "-p", "pianola-tests", "--example", "dump_notes"]);
    let mut dump = dump.arg(data.join("piano-midi")).stdout(Stdio::piped()).spawn()?;
    let notes = dump.stdout.take().context("dump_notes has no output")?;
    let mut compare = program(&python.to_string_lossy());
    start(compare.arg("tests/compare_with_pretty_midi.py").stdin(notes))?;
    ensure!(dump.wait()?.success(), "dump_notes failed");
    Ok(())
}
