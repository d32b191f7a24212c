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
    /// Seed files and folders of the repository.
    seeds: &'static [&'static str],
    /// Whether an input takes microseconds, so that a short run says something.
    is_fast: bool,
}

impl Target {
    const fn fast(name: &'static str, seeds: &'static [&'static str]) -> Self {
        Self { name, seeds, is_fast: true }
    }

    const fn slow(name: &'static str, seeds: &'static [&'static str]) -> Self {
        Self { name, seeds, is_fast: false }
    }
}

const TARGETS: [Target; 8] = [
    Target::fast("model", &["runtime/tests/models"]),
    Target::fast("filter", &["fuzz/seeds/filter"]),
    Target::fast("midi_file", &["docs/examples", "tests/cases"]),
    Target::fast("midi_stream", &["fuzz/seeds/midi_stream"]),
    Target::fast("player", &[]),
    Target::fast("controller_map", &["docs/controls.toml"]),
    Target::slow("soundfont", &["fuzz/seeds/soundfont"]),
    Target::slow("svg_text", &["fuzz/seeds/svg_text"]),
];

/// Maximum seed size: mutations of long files find no more than those of short ones, but are slower.
const LARGEST_SEED: u64 = 64 << 10;

/// Fuzzes each target for `seconds`, and prints the number of inputs.
pub fn run(seconds: u32) -> anyhow::Result<()> {
    run_targets(TARGETS.iter(), seconds)
}

/// As [`run`], for the fast targets.
pub fn run_fast(seconds: u32) -> anyhow::Result<()> {
    run_targets(TARGETS.iter().filter(|target| target.is_fast), seconds)
}

fn run_targets(targets: impl Iterator<Item = &'static Target>, seconds: u32) -> anyhow::Result<()> {
    let fuzz = cargo_fuzz()?;
    let mut all = 0;
    for &Target { name: target, seeds, .. } in targets {
        // The corpus stays in the cache, for the next run to start from.
        let corpus = cache()?.join("fuzz").join(target);
        fs::create_dir_all(&corpus)?;
        seeds.iter().try_for_each(|from| copy_seeds(&root().join(from), &corpus))?;
        let mut command = program("cargo");
        command
            .env("PATH", path_with(&fuzz))
            .args(["+nightly", "fuzz", "run", target])
            .arg(&corpus);
        // The limit of an input is on the clock, which runs on while other programs have the processor.
        let limits = ["-rss_limit_mb=1024", "-timeout=30", "-print_final_stats=1"];
        command.args(["--", &format!("-max_total_time={seconds}")]).args(limits);
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

fn copy_seeds(from: &Path, corpus: &Path) -> anyhow::Result<()> {
    let files = if from.is_dir() {
        let entries = fs::read_dir(from)?.map(|entry| Ok(entry?.path()));
        entries.collect::<anyhow::Result<Vec<_>>>()?
    } else {
        vec![from.to_path_buf()]
    };
    let mut copied = 0;
    for file in files.iter().filter(|file| file.is_file()) {
        if fs::metadata(file)?.len() <= LARGEST_SEED {
            let seed = fs::read(file).with_context(|| file.display().to_string())?;
            fs::write(corpus.join(file.file_name().unwrap_or_default()), seed)?;
            copied += 1;
        }
    }
    ensure!(copied > 0, "no seeds in {}", from.display());
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
