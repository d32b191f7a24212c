//! The model on emulated boards: `tests/board` under QEMU, against the same script on this
//! machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rayon::prelude::*;

use crate::no_std::cargo_for;
use crate::shell::{captured, cargo, need, root, run_under};

/// A board that QEMU emulates.
pub struct Board {
    /// Processor, as the committed counts name it.
    pub core: &'static str,
    /// Processor, as the compiler names it.
    pub cpu: &'static str,
    /// Machine name in QEMU.
    pub machine: &'static str,
    /// Compilation target.
    pub target: &'static str,
    /// Address of the model in the programs' memory maps.
    pub model_region: u32,
}

/// The boards on which programs are tested.
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

/// Instructions per note, on one processor with one model.
#[derive(Clone)]
pub struct Count {
    /// `PROCESSOR/MODEL`.
    pub key: String,
    /// The count.
    pub instructions: u64,
}

/// Models with random weights, small enough for thousands of notes.
const RANDOM: [&str; 4] = [
    "runtime/tests/models/report-small-int8.safetensors",
    "runtime/tests/models/report-small-int4.safetensors",
    "runtime/tests/models/expressive-small-int8.safetensors",
    "runtime/tests/models/expressive-small-int4.safetensors",
];

/// Plays the script of the tests with every model on every board and compares the results with this machine's, bit for
/// bit. Returns the counts of the bundled models.
pub fn run() -> anyhow::Result<Vec<Count>> {
    need("qemu-system-arm", "qemu-system-arm")?;
    let bundled = models()?;
    let all: Vec<PathBuf> = bundled.iter().cloned().chain(RANDOM.map(PathBuf::from)).collect();
    // Every run is its own process; only the first one of a board builds anything.
    let counts = all.par_iter().map(|model| {
        let mut host = cargo();
        host.args(["run", "--quiet", "--release", "-p", "pianola-tests"]);
        let host = captured(host.args(["--example", "fingerprint", "--"]).arg(model))?;
        let expected = value(&host, "crc32")?;
        let count = |board: &Board| {
            let played = board.play(model)?;
            let (crc32, key) = (value(&played, "crc32")?, key(board.core, model));
            ensure!(crc32 == expected, "{key} computes {crc32}, this machine {expected}");
            let instructions = value(&played, "instructions")?.parse()?;
            println!("{key} on {}: the same bits as here, CRC-32 {crc32}", board.machine);
            Ok(Count { key, instructions })
        };
        let counts = BOARDS.iter().map(count).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(if bundled.contains(model) { counts } else { Vec::new() })
    });
    Ok(counts.collect::<anyhow::Result<Vec<_>>>()?.concat())
}

impl Board {
    /// Plays the script and returns what the program prints.
    fn play(&self, model: &Path) -> anyhow::Result<String> {
        let Self { machine, cpu, target, model_region, .. } = self;
        let length = root().join(model).metadata()?.len();
        // A word with the length, then the file at the next multiple of 64 bytes.
        let word = format!("loader,addr={model_region:#x},data={length},data-len=4");
        let at = model_region + 64;
        let file = format!("loader,file={},addr={at:#x},force-raw=on", model.display());
        let mut qemu = vec!["qemu-system-arm", "-machine", machine, "-display", "none"];
        qemu.extend(["-monitor", "none", "-serial", "none"]);
        qemu.extend(["-semihosting-config", "enable=on,target=native"]);
        // One nanosecond per instruction: the program counts instructions by its clock.
        qemu.extend(["-icount", "shift=0"]);
        qemu.extend(["-device", &word, "-device", &file, "-kernel"]);
        let mut cargo = cargo_for(target)?;
        // The target alone does not imply the processor's DSP extension.
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

/// Key of a count.
pub fn key(processor: &str, model: &Path) -> String {
    format!("{processor}/{}", model.file_stem().unwrap_or_default().to_string_lossy())
}

/// The value of a name in output of the form `NAME VALUE`, one per line.
pub fn value<'a>(printed: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let mut values = printed.lines().filter_map(|line| line.strip_prefix(name));
    Ok(values.next().with_context(|| format!("no {name} in: {printed}"))?.trim())
}
