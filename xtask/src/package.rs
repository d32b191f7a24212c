//! The crates to publish: packages them, and runs each package's own tests outside the
//! workspace, as a user who downloads it would.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::shell::{cargo, program, root, run as start};

const CRATES: [&str; 2] = ["pianola-runtime", "pianola-host"];

/// Files that each package must have.
const FILES: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Features off by default that have tests of their own.
const FEATURES: &str = "pianola-runtime/embedded-io";

/// Packages the crates, unpacks them into a temporary folder, and runs their tests there.
pub fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    package(folder.path())?;
    let mut members = Vec::new();
    for name in CRATES {
        let archive = archive(folder.path(), name)?;
        start(program("tar").arg("xzf").arg(&archive).arg("-C").arg(folder.path()))?;
        let member = archive.file_stem().context("no name")?.to_string_lossy().into_owned();
        for file in FILES {
            ensure!(folder.path().join(&member).join(file).is_file(), "{member} has no {file}");
        }
        members.push(member);
    }
    // They depend on each other as crates of the registry; here on the other package. Tests
    // play thousands of notes, so they are optimised as in this workspace.
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n\
         [patch.crates-io]\n{} = {{ path = {:?} }}\n\n[profile.dev]\nopt-level = 2\n",
        CRATES[0], members[0],
    );
    fs::write(folder.path().join("Cargo.toml"), manifest)?;
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock"))?;
    let mut tests = cargo();
    // Its own: binaries of an earlier run would look for files in a folder that is gone.
    tests.current_dir(folder.path()).env("CARGO_TARGET_DIR", folder.path().join("target"));
    start(tests.args(["test", "--workspace", "--features", FEATURES]))
}

/// Packages the crates into a folder. Warnings, such as missing metadata, are errors.
fn package(folder: &Path) -> anyhow::Result<()> {
    let mut package = cargo();
    // The tests build the packages.
    package.args(["package", "--no-verify", "--allow-dirty", "--target-dir"]).arg(folder);
    package.args(CRATES.iter().flat_map(|name| ["-p", name]));
    let output = package.output().context("cannot start cargo")?;
    let printed = String::from_utf8_lossy(&output.stderr);
    eprint!("{printed}");
    ensure!(output.status.success(), "`cargo package` failed");
    ensure!(!printed.contains("warning"), "`cargo package` has warnings");
    Ok(())
}

/// The path of a crate's package.
fn archive(folder: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let packages = folder.join("package");
    for entry in fs::read_dir(&packages)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.starts_with(name) && file.ends_with(".crate") {
            return Ok(path);
        }
    }
    anyhow::bail!("no package of {name} in {}", packages.display())
}
