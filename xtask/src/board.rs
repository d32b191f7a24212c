//! The player on emulated boards: `tests/board` under QEMU, against the same script on this
//! machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::no_std::cargo_for;
use crate::shell::{captured, cargo, need, root, run_under};

/// A board that QEMU emulates.
pub struct Board {
    /// Its processor, as its counts go by.
    pub core: &'static str,
    /// Its processor, as the compiler knows it.
    pub cpu: &'static str,
    /// Its name in QEMU.
    pub machine: &'static str,
    /// Its target for the compiler.
    pub target: &'static str,
    /// Where programs look for the model, as their memory maps say.
    pub model_region: u32,
}

/// The boards that programs are tried on.
pub const BOARDS: [Board; 2] = [
    Board {
        core: "cortex-m4f",
        cpu: "cortex-m4",
        machine: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        model_region: 0x2100_0000,
    },
    Board {
        core: "cortex-m33",
        cpu: "cortex-m33",
        machine: "mps2-an505",
        target: "thumbv8m.main-none-eabihf",
        model_region: 0x8000_0000,
    },
];

/// Instructions that a note takes, on one processor with one model.
pub struct Count {
    /// `PROCESSOR/MODEL`.
    pub key: String,
    /// How many.
    pub instructions: u64,
}

/// Models with random weights, small enough to play thousands of notes.
const RANDOM: [&str; 4] = [
    "runtime/tests/models/report-small-int8.safetensors",
    "runtime/tests/models/report-small-int4.safetensors",
    "runtime/tests/models/expressive-small-int8.safetensors",
    "runtime/tests/models/expressive-small-int4.safetensors",
];

/// Plays the script of the tests with every model on every board; each must compute what this
/// machine computes, bit for bit. Returns the counts of the bundled models.
pub fn run() -> anyhow::Result<Vec<Count>> {
    need("qemu-system-arm", "qemu-system-arm")?;
    let mut counts = Vec::new();
    let bundled = models()?;
    for model in bundled.iter().cloned().chain(RANDOM.map(PathBuf::from)) {
        let mut host = cargo();
        host.args(["run", "--quiet", "--release", "-p", "pianola-tests"]);
        let host = captured(host.args(["--example", "fingerprint", "--"]).arg(&model))?;
        let expected = value(&host, "crc32")?;
        for board in &BOARDS {
            let played = board.play(&model)?;
            let (crc32, key) = (value(&played, "crc32")?, key(board.core, &model));
            ensure!(crc32 == expected, "{key} computes {crc32}, this machine {expected}");
            let instructions = value(&played, "instructions")?.parse()?;
            println!("{key} on {}: the same bits as here, CRC-32 {crc32}", board.machine);
            if bundled.contains(&model) {
                counts.push(Count { key, instructions });
            }
        }
    }
    Ok(counts)
}

impl Board {
    /// Plays the script and returns what the program prints.
    fn play(&self, model: &Path) -> anyhow::Result<String> {
        let Self { machine, cpu, target, model_region, .. } = self;
        let length = root().join(model).metadata()?.len();
        // The length in a word, then the file on the next boundary of 64 bytes.
        let word = format!("loader,addr={model_region:#x},data={length},data-len=4");
        let at = model_region + 64;
        let file = format!("loader,file={},addr={at:#x},force-raw=on", model.display());
        let mut qemu = vec!["qemu-system-arm", "-machine", machine, "-display", "none"];
        qemu.extend(["-monitor", "none", "-serial", "none"]);
        qemu.extend(["-semihosting-config", "enable=on,target=native"]);
        // One nanosecond for each instruction: that is what the program counts by.
        qemu.extend(["-icount", "shift=0"]);
        qemu.extend(["-device", &word, "-device", &file, "-kernel"]);
        let mut cargo = cargo_for(target)?;
        // With the processor's DSP extension, which the target alone does not promise.
        let flags = format!("target.'cfg(all())'.rustflags=[\"-Ctarget-cpu={cpu}\"]");
        run_under(&mut cargo, &qemu).args(["--config", &flags]);
        cargo.args(["--manifest-path", "tests/board/Cargo.toml"]);
        captured(cargo.args(["--target", target, "--target-dir", "target/board"]))
    }
}

/// The bundled models, by their paths from the root of the repository.
pub fn models() -> anyhow::Result<Vec<PathBuf>> {
    let files = root().join("models").read_dir()?;
    let names = files.map(|file| Ok(file?.file_name())).collect::<anyhow::Result<Vec<_>>>()?;
    let paths = names.iter().map(|name| Path::new("models").join(name));
    let mut models: Vec<_> =
        paths.filter(|path| path.extension() == Some("safetensors".as_ref())).collect();
    models.sort();
    Ok(models)
}

/// What a count goes by.
pub fn key(processor: &str, model: &Path) -> String {
    format!("{processor}/{}", model.file_stem().unwrap_or_default().to_string_lossy())
}

/// The value of a name in lines of a name and a value each.
pub fn value<'a>(printed: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let mut values = printed.lines().filter_map(|line| line.strip_prefix(name));
    Ok(values.next().with_context(|| format!("no {name} in: {printed}"))?.trim())
}
