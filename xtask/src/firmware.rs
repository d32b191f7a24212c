//! The firmware of real boards, built for `pianola flash`.

use std::path::PathBuf;

use anyhow::ensure;
use clap::ValueEnum;

use crate::no_std::cargo_for;
use crate::shell::{root, run as start};

#[derive(Clone, Copy, ValueEnum)]
pub enum Board {
    /// Raspberry Pi Pico 2 and compatible boards.
    Pico2,
}

/// Builds the firmware of a board and prints the path of the ELF file, alone on standard output.
pub fn run(board: Board) -> anyhow::Result<()> {
    println!("{}", build(board)?.display());
    Ok(())
}

/// Builds the firmware of a board; returns the path of the ELF file.
pub fn build(board: Board) -> anyhow::Result<PathBuf> {
    let (folder, package, target) = match board {
        Board::Pico2 => ("firmware-demo/pico2", "pianola-pico2", "thumbv8m.main-none-eabihf"),
    };
    let built = root().join("target/firmware");
    let mut cargo = cargo_for(target)?;
    // Cargo reads the processor and the linker script from the configuration in this folder.
    cargo.current_dir(root().join(folder));
    cargo
        .args(["build", "--release", "--manifest-path"])
        .arg(root().join(folder).join("Cargo.toml"));
    start(cargo.args(["--target", target, "--target-dir"]).arg(&built))?;
    let elf = built.join(target).join("release").join(package);
    ensure!(elf.exists(), "the build has not written {}", elf.display());
    Ok(elf)
}
