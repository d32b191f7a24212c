//! Reports the feature `cortex-m-dsp` on a target without the DSP extension in one line, instead of many
//! assembler errors. In stable Rust, a crate's sources cannot test for the extensions of an Arm
//! processor.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = var("TARGET").unwrap_or_default();
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Among the bare-metal targets, only Armv7E-M always has the extension.
    let known = !target.starts_with("thumb") || target.starts_with("thumbv7em");
    let chosen = flags.contains("target-cpu=") || flags.contains("+dsp");
    if var("CARGO_FEATURE_CORTEX_M_DSP").is_ok() && !known && !chosen {
        println!(
            "cargo::error=the feature `cortex-m-dsp` needs a processor with the DSP extension: set \
             e.g. `rustflags = [\"-Ctarget-cpu=cortex-m33\"]` for {target} in .cargo/config.toml, or \
             leave the feature off"
        );
    }
}
