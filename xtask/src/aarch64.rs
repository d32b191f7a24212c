//! The player on 64-bit Arm, under QEMU: the kernels' tests, and a piece against this machine's.

use std::fs;
use std::process::Command;

use anyhow::ensure;

use crate::no_std::cargo_for;
use crate::shell::{captured, cargo, need, root, run as start};

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Processors, and the instruction sets that each has, the fastest first.
const PROCESSORS: [(&str, &[&str]); 2] =
    [("max", &["neon-dotprod", "neon", "portable"]), ("cortex-a53", &["neon", "portable"])];

/// Tests every kernel and composes a piece on processors with and without dot products; it must be
/// the piece that this machine composes.
pub fn run() -> anyhow::Result<()> {
    need("qemu-aarch64", "qemu-user")?;
    need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")?;
    let expected = piece(&mut cargo())?;
    for (processor, isas) in PROCESSORS {
        let mut list = cargo_under(processor)?;
        list.args(["run", "--quiet", "--release", "-p", "pianola-tests"]);
        let found = captured(list.args(["--example", "instruction_sets"]))?;
        ensure!(found.lines().eq(isas.iter().copied()), "{processor} has other kernels: {found}");

        let mut tests = cargo_under(processor)?;
        tests.args(["test", "--release", "-p", "pianola-runtime", "-p", "pianola-host"]);
        start(tests.args(["--lib", "--test", "exactness", "--test", "generator"]))?;

        let played = piece(&mut cargo_under(processor)?)?;
        ensure!(played == expected, "{processor} composes another piece than this machine");
        println!("{processor} with {}: the same piece as here", isas.join(", "));
    }
    Ok(())
}

/// A `cargo` that builds for 64-bit Arm, and runs that on a processor.
fn cargo_under(processor: &str) -> anyhow::Result<Command> {
    let mut cargo = cargo_for(TARGET)?;
    cargo.env("CARGO_BUILD_TARGET", TARGET);
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    let qemu = format!("qemu-aarch64 -cpu {processor} -L /usr/aarch64-linux-gnu");
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", qemu);
    Ok(cargo)
}

/// The file that `pianola` writes when a `cargo` runs it.
fn piece(cargo: &mut Command) -> anyhow::Result<Vec<u8>> {
    let file = root().join("target/aarch64.mid");
    fs::create_dir_all(root().join("target"))?;
    cargo.args(["run", "--quiet", "--release", "-p", "pianola-tools", "--", "generate"]);
    captured(cargo.args(["--seed", "1", "--notes", "200", "--out"]).arg(&file))?;
    Ok(fs::read(file)?)
}
