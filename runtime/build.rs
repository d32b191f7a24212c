//! Says in one line what would otherwise be a wall of assembler errors: the feature `cortex-m-dsp`
//! for a processor that the compiler does not know to have the DSP extension. Stable Rust does not
//! tell a crate's sources which extensions an Arm processor has.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = var("TARGET").unwrap_or_default();
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Of the bare-metal targets, only Armv7E-M has the extension whatever the processor.
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
