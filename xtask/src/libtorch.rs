//! libtorch for the trainer, from the PyPI wheels of PyTorch.
//!
//! The wheel's CPU library needs only two small CUDA libraries, which its profiler links to. So 500 MB on disk suffice,
//! where a full PyTorch takes several GB.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::shell::{cache, program, run};

/// The version that `tch` 0.24 binds.
const VERSION: &str = "2.11.0";

/// Extracts headers and CPU libraries from downloaded wheels. Arguments: folder of the wheels,
/// folder to create.
const UNPACK: &str = r#"
import os, sys, zipfile
from pathlib import Path, PurePosixPath

wheels, out = map(Path, sys.argv[1:])
LIBRARIES = ("libtorch_cpu.", "libc10.", "libgomp", "libcudart.so.", "libcupti.so.",
             "libarm_compute", "libopenblas", "libgfortran")
for wheel in wheels.glob("*.whl"):
    archive = zipfile.ZipFile(wheel)
    for name in archive.namelist():
        path = PurePosixPath(name)
        if name.endswith("/"):
            continue
        if name.startswith("torch/include/"):
            target = out / path.relative_to("torch")
        elif path.name.startswith(LIBRARIES) and ("lib" in path.parts or "torch.libs" in path.parts):
            target = out / "lib" / path.name
        else:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(name))
# `torch-sys` links to libtorch, which in the wheel only pulls in the CUDA libraries.
(out / "lib" / "libtorch.so").write_text("INPUT(libtorch_cpu.so)\n")
"#;

/// The folder of libtorch: `$LIBTORCH` if set, else one in the cache, downloaded if missing.
pub fn folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("LIBTORCH") {
        return Ok(std::path::absolute(folder)?);
    }
    ensure!(
        cfg!(target_os = "linux"),
        "libtorch is downloaded on Linux only: set LIBTORCH to the folder of a libtorch 2.11"
    );
    let cache = cache()?;
    let folder = cache.join(format!("libtorch-{VERSION}"));
    if folder.join("lib/libtorch.so").exists() {
        return Ok(folder);
    }
    let (wheels, part) = (cache.join("wheels"), cache.join(format!("libtorch-{VERSION}.part")));
    fs::create_dir_all(&wheels).with_context(|| format!("cannot create {}", wheels.display()))?;
    let mut packages = vec![format!("torch=={VERSION}")];
    if cfg!(target_arch = "x86_64") {
        packages
            .extend(["nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"].map(String::from));
    }
    let mut pip = program("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]);
    run(pip.arg(&wheels).args(packages).stdout(Stdio::null())).context(
        "libtorch cannot be downloaded; set LIBTORCH to the folder of a libtorch 2.11 instead",
    )?;
    let _ = fs::remove_dir_all(&part);
    run(program("python3").args(["-c", UNPACK.trim_start()]).arg(&wheels).arg(&part))?;
    fs::rename(&part, &folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _ = fs::remove_dir_all(&wheels);
    Ok(folder)
}

/// Sets the environment in which a command finds libtorch at build time and at run time.
pub fn use_in(command: &mut Command) -> anyhow::Result<()> {
    let folder = folder()?;
    command.env("LD_LIBRARY_PATH", library_path(&folder)).env("LIBTORCH", folder);
    Ok(())
}

fn library_path(folder: &std::path::Path) -> String {
    let lib = folder.join("lib").display().to_string();
    match env::var("LD_LIBRARY_PATH") {
        Ok(others) if !others.is_empty() => format!("{lib}:{others}"),
        _ => lib,
    }
}

/// Prints the shell commands that make `cargo` find libtorch.
pub fn print_exports() -> anyhow::Result<()> {
    let folder = folder()?;
    let quoted = |text: String| format!("'{}'", text.replace('\'', r"'\''"));
    println!("export LIBTORCH={}", quoted(folder.display().to_string()));
    // The shell appends its own value: `cargo` has added build folders to ours.
    let lib = quoted(folder.join("lib").display().to_string());
    println!("export LD_LIBRARY_PATH={lib}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}");
    Ok(())
}
