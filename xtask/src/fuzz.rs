//! `cargo xtask fuzz`: the fuzz targets, each for some seconds, from a corpus of seeds.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::shell::{cache, install_crate, program, root, run as start, succeeds};

/// The version of `cargo-fuzz` to install if none is there.
const CARGO_FUZZ: &str = "0.13.2";

/// A fuzz target.
struct Target {
    name: &'static str,
    /// Folders of seeds, with the extension of the files to take; or single files.
    seeds: &'static [(&'static str, &'static str)],
}

const TARGETS: [Target; 8] = [
    Target { name: "model", seeds: &[("runtime/tests/models", "safetensors")] },
    Target { name: "filter", seeds: &[("fuzz/seeds/filter", "filter")] },
    Target { name: "midi_file", seeds: &[("docs/examples", "mid"), ("tests/cases", "mid")] },
    Target { name: "midi_stream", seeds: &[("fuzz/seeds/midi_stream", "")] },
    Target { name: "player", seeds: &[] },
    Target { name: "controller_map", seeds: &[("docs/controls.toml", "toml")] },
    Target { name: "soundfont", seeds: &[("fuzz/seeds/soundfont", "sf2")] },
    Target { name: "svg_text", seeds: &[("fuzz/seeds/svg_text", "")] },
];

/// Size of the largest input, and so of the largest seed, in bytes: the larger a file, the slower its mutations.
const LARGEST: u64 = 128 << 10;

/// Fuzzes each target for `seconds`, and prints the number of inputs.
pub fn run(seconds: u32) -> anyhow::Result<()> {
    let fuzz = cargo_fuzz()?;
    let mut all = 0;
    for Target { name: target, seeds } in TARGETS {
        // The corpus stays in the cache, for the next run to start from.
        let corpus = cache()?.join("fuzz").join(target);
        fs::create_dir_all(&corpus)?;
        for (from, extension) in seeds {
            copy_seeds(&root().join(from), extension, &corpus)?;
        }
        let mut command = program("cargo");
        command
            .env("PATH", path_with(&fuzz))
            .args(["+nightly", "fuzz", "run", target])
            .arg(&corpus);
        // The limit of an input is on the clock, which runs on while other programs have the processor.
        let limits = ["-rss_limit_mb=1024", "-timeout=30", "-print_final_stats=1"];
        command.args(["--", &format!("-max_total_time={seconds}")]);
        command.arg(format!("-max_len={LARGEST}")).args(limits);
        let output = command.output().context("cannot start cargo +nightly fuzz")?;
        // libFuzzer reports on standard error.
        let printed = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprint!("{printed}");
            bail!(
                "fuzz target {target} failed; `cargo +nightly fuzz run {target} FILE` repeats it"
            );
        }
        let runs = executions(&printed).with_context(|| format!("{target} printed no count"))?;
        ensure!(runs > 0, "{target} ran nothing");
        println!("{target}: {runs} executions, no failure");
        all += runs;
    }
    println!("{all} executions in all");
    Ok(())
}

/// The number of inputs, from libFuzzer's final statistics.
fn executions(printed: &str) -> Option<u64> {
    let line =
        printed.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line?.trim().parse().ok()
}

/// Copies the seeds of a folder, or one seed, to a corpus.
fn copy_seeds(from: &Path, extension: &str, corpus: &Path) -> anyhow::Result<()> {
    let mut files = if from.is_dir() {
        let entries = fs::read_dir(from)?.map(|entry| Ok(entry?.path()));
        entries.collect::<anyhow::Result<Vec<_>>>()?
    } else {
        vec![from.to_path_buf()]
    };
    files.retain(|file| file.extension().unwrap_or_default() == extension);
    ensure!(!files.is_empty(), "no seeds in {}", from.display());
    for file in files {
        let seed = fs::read(&file).with_context(|| file.display().to_string())?;
        let size = seed.len() as u64;
        ensure!(size <= LARGEST, "the seed {} has {size} bytes, not {LARGEST}", file.display());
        fs::write(corpus.join(file.file_name().unwrap_or_default()), seed)?;
    }
    Ok(())
}

/// The folder of `cargo-fuzz`; empty if it is on the path.
fn cargo_fuzz() -> anyhow::Result<String> {
    if !succeeds(program("cargo").args(["+nightly", "--version"])) {
        start(program("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    if succeeds(program("cargo-fuzz").arg("--version")) {
        return Ok(String::new());
    }
    let folder = cache()?.join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let bin = folder.join("bin");
    if !succeeds(program(&bin.join("cargo-fuzz").to_string_lossy()).arg("--version")) {
        install_crate("cargo-fuzz", CARGO_FUZZ, &folder)?;
    }
    Ok(bin.to_string_lossy().into_owned())
}

fn path_with(folder: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    if folder.is_empty() { path } else { format!("{folder}:{path}") }
}
