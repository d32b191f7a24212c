//! Running other programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A program, run in the root of the repository.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The `cargo` that runs this.
pub fn cargo() -> Command {
    program(&env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
}

/// Runs a program to its end; a failure names it.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let name = name.rsplit('/').next().unwrap_or(&name).to_string();
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let line = format!("{name} {}", words.join(" "));
    // Not on standard output, which a shell may evaluate.
    eprintln!("$ {}", line.lines().next().unwrap_or(""));
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "`{}` failed", line.lines().next().unwrap_or(""));
    Ok(())
}

/// Whether a program runs and succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Where fetched things are kept, outside the repository: `$PIANOLA_CACHE`, or `pianola` in the
/// user's cache folder.
pub fn cache() -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("PIANOLA_CACHE") {
        return Ok(std::path::absolute(folder)?);
    }
    let folder = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(folder.context("neither PIANOLA_CACHE nor HOME is set")?.join("pianola"))
}
