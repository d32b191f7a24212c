//! Builds for boards, with rustup's targets or Debian's compiler.

use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure};

use crate::shell::{captured, cargo, install, program, root, run, succeeds};

const TARGET: &str = "thumbv7em-none-eabihf";

/// Debian's compiler, the sources of its standard library, and a linker.
const DEBIAN: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// Targets that the bare-metal example is built for.
const EXAMPLE_TARGETS: [&str; 2] = [TARGET, "riscv32imac-unknown-none-elf"];

/// A target of processors with and without the DSP extension.
const UNDECIDED: &str = "thumbv8m.main-none-eabihf";

/// Builds the crates that boards run, and the runtime's bare-metal example with the features that
/// firmware may turn on.
pub fn build() -> anyhow::Result<()> {
    let mut cargo = cargo_for(TARGET)?;
    cargo.args(["build", "--release", "-p", "pianola-runtime", "-p", "pianola-firmware"]);
    run(cargo.args(["--no-default-features", "--target", TARGET]))?;
    for target in EXAMPLE_TARGETS {
        let mut cargo = cargo_for(target)?;
        cargo.args(["build", "--release", "-p", "pianola-runtime", "--example", "bare_metal"]);
        cargo.args(["--no-default-features", "--features", "embedded-io,defmt"]);
        run(cargo.args(["--target", target]))?;
    }
    dsp_needs_a_processor()?;
    few_dependencies()
}

/// The only dependencies of the runtime with default features.
const DEPENDENCIES: [&str; 5] = ["crc32fast", "heapless", "libm", "rand_pcg", "thiserror"];

fn few_dependencies() -> anyhow::Result<()> {
    let mut tree = cargo();
    tree.args(["tree", "-p", "pianola-runtime", "--no-default-features", "-e", "normal"]);
    let tree = captured(tree.args(["--depth", "1", "--prefix", "none", "--format", "{p}"]))?;
    // The first line is the runtime itself.
    let names = tree.lines().skip(1).filter_map(|line| line.split(' ').next());
    ensure!(names.eq(DEPENDENCIES), "the runtime has other dependencies: {tree}");
    Ok(())
}

/// The kernels for Cortex-M refuse a processor that may lack their instructions, in one clear line.
fn dsp_needs_a_processor() -> anyhow::Result<()> {
    let mut cargo = cargo_for(UNDECIDED)?;
    cargo.args(["check", "-p", "pianola-runtime", "--no-default-features"]);
    cargo.args(["--features", "cortex-m-dsp", "--target", UNDECIDED]);
    let output = cargo.env_remove("RUSTFLAGS").output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let errors = printed.lines().filter(|line| line.starts_with("error:")).count();
    let clear = printed.contains("needs a processor with the DSP extension");
    ensure!(
        !output.status.success() && clear,
        "`cortex-m-dsp` builds for any processor: {printed}"
    );
    ensure!(errors <= 2, "one error and cargo's own line, not {errors}: {printed}");
    Ok(())
}

/// Programs for boards, each a workspace of its own, and their targets.
const PROGRAMS: [(&str, &str); 3] = [
    ("tests/board", TARGET),
    ("firmware-demo/mps2", TARGET),
    ("firmware-demo/pico2", "thumbv8m.main-none-eabihf"),
];

/// Checks formatting and lints of the programs for boards.
pub fn lint() -> anyhow::Result<()> {
    for (folder, target) in PROGRAMS {
        let manifest = format!("{folder}/Cargo.toml");
        run(cargo().args(["fmt", "--check", "--manifest-path", &manifest]))?;
        let mut clippy = cargo_for(target)?;
        ensure!(
            clippy.get_program() == cargo().get_program(),
            "{folder} cannot be linted, as Debian's compiler comes without clippy: install rustup, then run \
             `rustup target add {target}`"
        );
        // In the program's folder, whose configuration names the processor.
        clippy.current_dir(root().join(folder)).args(["clippy", "--release", "--target", target]);
        clippy.arg("--target-dir").arg(root().join("target/board"));
        run(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// A `cargo` that can build for a target: the usual one if rustup can add the target, else Debian's, which builds
/// `core`, or all of `std`, from source.
pub fn cargo_for(target: &str) -> anyhow::Result<Command> {
    let has_target = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists());
    if has_target || succeeds(program("rustup").args(["target", "add", target])) {
        return Ok(cargo());
    }
    if !debian_can_build() {
        install(&DEBIAN);
    }
    if !debian_can_build() {
        bail!(
            "no compiler for {target}: run `rustup target add {target}`, or on Debian \
             `apt-get install {}`",
            DEBIAN.join(" ")
        );
    }
    let mut cargo = program("/usr/bin/cargo");
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    // Boards have `core` only.
    let parts = if target.contains("-none-") { "-Zbuild-std=core" } else { "-Zbuild-std" };
    cargo.env_remove("RUSTUP_TOOLCHAIN").arg(parts);
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
    cargo.env(linker, "ld.lld");
    // A target directory of its own, so that the two compilers do not invalidate each other's builds.
    cargo.env("CARGO_TARGET_DIR", "target/no_std");
    Ok(cargo)
}

fn debian_can_build() -> bool {
    if !succeeds(program("ld.lld").arg("--version")) {
        return false;
    }
    let sysroot = Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).output();
    sysroot.is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_string();
        Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml").exists()
    })
}
