//! Instructions per note, compared with the committed counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use rayon::prelude::*;

use crate::board::{self, Count, key, models, value};
use crate::shell::{captured, cargo, need, root, run_under};

/// The committed counts, by processor and model.
const COMMITTED: &str = "tests/instructions.json";

/// Relative growth of a count that is accepted.
const TOLERANCE: f64 = 0.03;

/// Counts instructions per note on boards and on this machine. Fails if a count has grown; with `bless`, writes the
/// counts instead.
pub fn run(bless: bool) -> anyhow::Result<()> {
    let path = root().join(COMMITTED);
    let text = if path.exists() { fs::read_to_string(&path)? } else { "{}".into() };
    let mut committed: BTreeMap<String, u64> = serde_json::from_str(&text).context(COMMITTED)?;

    let mut counts = board::run()?;
    counts.extend(host()?);
    let mut grown = Vec::new();
    for Count { key, instructions } in counts {
        let before = committed.insert(key.clone(), instructions);
        let growth =
            before.map_or(f64::INFINITY, |before| instructions as f64 / before as f64 - 1.0);
        let before = before.map_or("nothing".into(), |before| before.to_string());
        println!("{key}: {instructions} instructions per note, {before} committed");
        if growth > TOLERANCE {
            grown.push(format!("{key} from {before} to {instructions}"));
        }
    }
    if bless {
        fs::write(&path, serde_json::to_string_pretty(&committed)? + "\n")?;
        return Ok(());
    }
    ensure!(
        grown.is_empty(),
        "instructions per note have grown: {}; to accept the new counts, run \
         `cargo xtask instructions --bless`",
        grown.join(", ")
    );
    Ok(())
}

/// Instruction sets that can be counted on this machine. Valgrind does not support AVX-512.
fn instruction_sets() -> &'static [&'static str] {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if is_x86_feature_detected!("avx2") {
        return &["portable", "avx2"];
    }
    &[]
}

/// Counts on this machine, for the instruction sets that Valgrind supports.
fn host() -> anyhow::Result<Vec<Count>> {
    if instruction_sets().is_empty() {
        println!("NOT COUNTED: the kernels for x86-64, which need Linux and AVX2");
        return Ok(Vec::new());
    }
    need("valgrind", "valgrind")?;
    let models = models()?;
    let kernels =
        models.iter().flat_map(|model| instruction_sets().iter().map(move |isa| (model, isa)));
    let kernels: Vec<_> = kernels.collect();
    // Valgrind runs a program on one core.
    let counts = kernels.par_iter().map(|(model, isa)| {
        // The difference of two pieces leaves out start-up.
        let [few, many] = [4, 20];
        let longer = callgrind(model, isa, many)? - callgrind(model, isa, few)?;
        let key = key(&format!("x86-64-{isa}"), model);
        Ok(Count { key, instructions: longer / u64::from(many - few) })
    });
    counts.collect()
}

/// Instructions of a process that generates `notes` notes.
fn callgrind(model: &Path, isa: &str, notes: u32) -> anyhow::Result<u64> {
    let mut cargo = cargo();
    let valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=/dev/stdout"];
    run_under(&mut cargo, &valgrind).args(["-p", "pianola-tests", "--example", "play_notes", "--"]);
    let printed = captured(cargo.arg(model).args([isa, &notes.to_string()]))?;
    Ok(value(&printed, "totals:")?.parse()?)
}
