//! Instructions per note, held against the committed figures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::board::{self, Count, key, models, value};
use crate::shell::{captured, cargo, need, root, run_under};

/// Where the figures are: by processor and model.
const COMMITTED: &str = "tests/instructions.json";

/// What a count may grow by.
const TOLERANCE: f64 = 0.03;

/// Counts instructions per note, on boards and here, and fails if a count has grown; to `bless` is
/// to commit to the counts as they are.
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
        "instructions per note have grown: {}; if they must, `cargo xtask instructions --bless` \
         commits to them",
        grown.join(", ")
    );
    Ok(())
}

/// Instruction sets that can be counted on this machine. Valgrind has no AVX-512.
fn instruction_sets() -> &'static [&'static str] {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if is_x86_feature_detected!("avx2") {
        return &["portable", "avx2"];
    }
    &[]
}

/// Counts on this machine, as far as Valgrind can.
fn host() -> anyhow::Result<Vec<Count>> {
    if instruction_sets().is_empty() {
        println!("NOT COUNTED: the kernels for x86-64, which take Linux and AVX2");
        return Ok(Vec::new());
    }
    need("valgrind", "valgrind")?;
    let mut counts = Vec::new();
    for model in models()? {
        for isa in instruction_sets() {
            // The difference of two pieces: what is done once does not count.
            let [few, many] = [4, 20];
            let longer = callgrind(&model, isa, many)? - callgrind(&model, isa, few)?;
            counts.push(Count {
                key: key(&format!("x86-64-{isa}"), &model),
                instructions: longer / u64::from(many - few),
            });
        }
    }
    Ok(counts)
}

/// Instructions of a process that plays so many notes.
fn callgrind(model: &Path, isa: &str, notes: u32) -> anyhow::Result<u64> {
    let mut cargo = cargo();
    let valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=/dev/stdout"];
    run_under(&mut cargo, &valgrind).args(["-p", "pianola-tests", "--example", "play_notes", "--"]);
    let printed = captured(cargo.arg(model).args([isa, &notes.to_string()]))?;
    Ok(value(&printed, "totals:")?.parse()?)
}
