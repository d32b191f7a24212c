//! Running other programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

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

/// Makes a `cargo` command build a binary and run it under another program.
pub fn run_under<'c>(cargo: &'c mut Command, program: &[&str]) -> &'c mut Command {
    // TOML and Rust write arrays of strings alike.
    let runner = format!("target.'cfg(all())'.runner={program:?}");
    cargo.args(["run", "--quiet", "--release", "--config", &runner])
}

/// Runs a program to completion; an error names it.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command.stdout(Stdio::inherit())).map(drop)
}

/// Runs a program to completion and returns its standard output.
pub fn captured(command: &mut Command) -> anyhow::Result<String> {
    output(command.stdout(Stdio::piped()))
}

/// Runs a program to completion and returns its output if that is piped; an error names it.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let name = name.rsplit('/').next().unwrap_or(&name).to_string();
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let line = format!("{name} {}", words.join(" "));
    // To standard error: a shell may evaluate standard output.
    eprintln!("$ {}", line.lines().next().unwrap_or(""));
    let started = Instant::now();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {name}"))?;
    let seconds = started.elapsed().as_secs();
    if seconds >= 10 {
        eprintln!("  took {seconds} s");
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        eprint!("{printed}");
        bail!("`{}` failed", line.lines().next().unwrap_or(""));
    }
    Ok(printed)
}

/// Whether a program runs and succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Installs a program if it is missing. `packages` are the Debian packages that hold it, separated by spaces.
pub fn need(name: &str, packages: &str) -> anyhow::Result<()> {
    let there = || succeeds(program(name).arg("--version"));
    if !there() {
        install(&packages.split(' ').collect::<Vec<_>>());
    }
    ensure!(there(), "{name} is missing: install it (on Debian, `apt-get install {packages}`)");
    Ok(())
}

/// Installs Debian packages if this is Debian and the user is root. The caller checks whether that
/// succeeded.
pub fn install(packages: &[&str]) {
    if succeeds(program("sh").args(["-c", "test $(id -u) = 0"]))
        && captured(program("apt-get").args(["update", "-qq"])).is_ok()
    {
        let _ = captured(program("apt-get").args(["install", "-y", "-qq"]).args(packages));
    }
}

/// Installs the program of a crate below a folder. Unoptimized: it compiles in a fraction of the time, and the
/// programs installed so do little work.
pub fn install_crate(name: &str, version: &str, root: &Path) -> anyhow::Result<()> {
    let mut install = cargo();
    install.args(["install", name, "--version", version, "--locked", "--debug", "--root"]);
    run(install.arg(root)).with_context(|| {
        format!(
            "{name} cannot be installed; try `cargo install {name} --version {version} --locked`"
        )
    })
}

/// Where downloads are kept, outside the repository: `$PIANOLA_CACHE`, or `pianola` in the
/// user's cache folder.
pub fn cache() -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("PIANOLA_CACHE") {
        return Ok(std::path::absolute(folder)?);
    }
    let folder = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(folder.context("neither PIANOLA_CACHE nor HOME is set")?.join("pianola"))
}
