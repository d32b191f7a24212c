//! Checks without running: other operating systems, the oldest supported Rust, documentation, and dependencies.

use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;

use crate::shell::{cache, cargo, install_crate, program, run as start, succeeds};

/// Systems that the command line and the tests across crates must compile for. `check` needs no linker.
const TARGETS: [&str; 3] = ["x86_64-pc-windows-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"];

/// The minimum supported Rust version in the manifests.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The version that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// Workspaces beside the main one; each has a lock file of its own.
const WORKSPACES: [&str; 6] =
    [".", "tests/board", "firmware-demo/mps2", "firmware-demo/pico2", "bench/peers/rten", "fuzz"];

/// Runs all checks of this file; stops at the first that fails.
pub fn run() -> anyhow::Result<()> {
    docs()?;
    dependencies()?;
    other_systems()?;
    oldest_rust()
}

/// Documentation must build without warnings: everything with default features, private items included, and the
/// runtime as boards use it.
fn docs() -> anyhow::Result<()> {
    let doc = |options: &[&str]| {
        let mut doc = cargo();
        doc.args(["doc", "--no-deps"]).args(options);
        start(doc.env("RUSTDOCFLAGS", "-D warnings"))
    };
    doc(&["--workspace", "--exclude", "pianola-trainer", "--document-private-items"])?;
    doc(&["-p", "pianola-runtime", "--no-default-features"])
}

/// Licences, sources and version requirements of all dependencies. Advisories need a database from the network, so
/// only the workflow checks them.
fn dependencies() -> anyhow::Result<()> {
    let deny = cargo_deny()?;
    for workspace in WORKSPACES {
        let mut check = program(&deny.to_string_lossy());
        check.args(["--manifest-path", &format!("{workspace}/Cargo.toml")]);
        check.args(["--config", "deny.toml", "check", "--hide-inclusion-graph"]);
        start(check.args(["licenses", "bans", "sources"]))?;
    }
    Ok(())
}

/// `cargo-deny`, installed into the cache if it is not on the path.
fn cargo_deny() -> anyhow::Result<PathBuf> {
    let works = |path: &PathBuf| succeeds(program(&path.to_string_lossy()).arg("--version"));
    let on_path = PathBuf::from("cargo-deny");
    if works(&on_path) {
        return Ok(on_path);
    }
    let root = cache()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let cached = root.join("bin/cargo-deny");
    if !works(&cached) {
        install_crate("cargo-deny", CARGO_DENY, &root)?;
    }
    Ok(cached)
}

fn other_systems() -> anyhow::Result<()> {
    let mut check = cargo();
    check.args(["check", "-p", "pianola-tools", "-p", "pianola-tests", "--all-targets"]);
    for target in TARGETS {
        ensure!(
            has_std(target) || succeeds(program("rustup").args(["target", "add", target])),
            "no standard library for {target}: run `rustup target add {target}`"
        );
        check.args(["--target", target]);
    }
    start(&mut check)
}

/// Whether the compiler has the standard library of a target.
fn has_std(target: &str) -> bool {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    libraries.is_ok_and(|folder| folder.exists())
}

/// Everything but the trainer, which needs libtorch to compile, must compile with the oldest supported Rust.
fn oldest_rust() -> anyhow::Result<()> {
    let toolchain = format!("+{OLDEST_RUST}");
    let there = || succeeds(program("cargo").args([&toolchain, "--version"]));
    if !there() {
        let rustup = ["toolchain", "install", OLDEST_RUST, "--profile", "minimal"];
        succeeds(program("rustup").args(rustup));
    }
    ensure!(
        there(),
        "no Rust {OLDEST_RUST}: run `rustup toolchain install {OLDEST_RUST} --profile minimal`"
    );
    let mut check = program("cargo");
    check.args([&toolchain, "check", "--locked", "--workspace", "--exclude", "pianola-trainer"]);
    start(check.arg("--all-targets"))
}
