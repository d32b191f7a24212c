//! Chooses the memory map of the board that has the target's core.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-check-cfg=cfg(armv8m)");
    let map = if target.starts_with("thumbv8m.main") {
        println!("cargo:rustc-cfg=armv8m");
        "mps2-an505.x"
    } else {
        "mps2-an386.x"
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::copy(map, out.join("memory.x"))?;
    println!("cargo:rerun-if-changed={map}");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    Ok(())
}
