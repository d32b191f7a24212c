//! The firmware on emulated boards: its MIDI output and timing, its size, and the models it refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};
use rayon::prelude::*;

use crate::board::{BOARDS, Board, models};
use crate::firmware;
use crate::no_std::cargo_for;
use crate::shell::{captured, cargo, need, program, root, run as start};

/// Notes of the piece that a board must send exactly as this machine does.
const NOTES: u32 = 1000;

/// Seed of the piece, and positions of the knobs for temperature and density.
const CONTROLS: [u32; 3] = [42, 54, 80];

/// Offset of the script in the model region, as in `firmware-demo/mps2`.
const SCRIPT: u32 = 15 << 20;

/// Messages that silence whatever sounds, before the first note.
const SILENCING: usize = 133;

/// Notes of the largest chord.
const CHORD: usize = 32;

/// Maximum size of the program without the model, and of its data in RAM, in bytes.
const LIMITS: (u64, u64) = (64 << 10, 32 << 10);

/// Runs the firmware on every board with every bundled model, then with models that it must refuse.
pub fn run() -> anyhow::Result<()> {
    need("qemu-system-arm", "qemu-system-arm")?;
    let folder = tempfile::tempdir()?;
    // The HAL of the real board can panic at start-up, which shows that the check below detects panics.
    let pico2 = Firmware::read(&firmware::build(firmware::Board::Pico2)?)?;
    pico2.ensure_small("Pico 2")?;
    ensure!(pico2.can_panic, "the check for panics misses the known one");
    let models = models()?;
    let expected = models.iter().map(|model| expected(model));
    let expected = expected.collect::<anyhow::Result<Vec<_>>>()?;
    for board in &BOARDS {
        let firmware = build(board)?;
        let found = Firmware::read(&firmware)?;
        found.ensure_small(board.core)?;
        ensure!(!found.can_panic, "the firmware can panic");
        models.par_iter().zip(&expected).try_for_each(|(model, expected)| {
            let name = format!("{} with {}", board.machine, model.display());
            board.sends(&firmware, model, expected).with_context(|| name)
        })?;
        refuses(board, &firmware, folder.path())?;
    }
    Ok(())
}

/// With an erased, truncated or modified model the board must stay silent and report the cause.
fn refuses(board: &Board, firmware: &Path, folder: &Path) -> anyhow::Result<()> {
    let int4 = fs::read(root().join("models/expressive-int4.safetensors"))?;
    let erased = vec![0xff; int4.len()];
    let mut cut = int4.clone();
    cut[int4.len() / 2..].fill(0xff);
    let mut changed = int4.clone();
    changed[int4.len() / 3] ^= 4;
    let cases = [
        ("erased", erased, "no model here"),
        ("truncated", cut, "damaged"),
        ("modified", changed, "damaged"),
    ];
    for (name, region, cause) in cases {
        let model = folder.join(name);
        fs::write(&model, region)?;
        let played = board.run(firmware, &model, NOTES, 2_000_000, folder)?;
        let silent = played.bytes.len() == 3 * SILENCING;
        ensure!(silent && played.words.starts_with(cause), "{name}: {}", played.words);
        println!("{}: silent with a model that is {name}, and reports: {cause}", board.machine);
    }
    Ok(())
}

/// Output of a board.
struct Played {
    bytes: Vec<u8>,
    /// When each message was sent, in microseconds.
    times: Vec<u32>,
    words: String,
}

/// A message and when it is due, in microseconds.
type Due = (i64, [u8; 3]);

impl Played {
    fn compare(&self, expected: &[Due]) -> anyhow::Result<()> {
        let bytes: Vec<u8> = expected.iter().flat_map(|(_, bytes)| *bytes).collect();
        let alike = self.bytes.iter().zip(&bytes).take_while(|(sent, due)| sent == due).count();
        // The board stops after the whole chord of the last note.
        ensure!(
            alike == bytes.len() && self.times.len() < expected.len() + CHORD,
            "sends other bytes than this machine, from message {} of {} on",
            alike / 3,
            expected.len()
        );
        // Times are relative to the first note: a board first checks its model.
        let delays = self.times.iter().zip(expected).skip(SILENCING);
        let delays: Vec<i64> = delays.map(|(&time, (due, _))| i64::from(time) - due).collect();
        let late = delays.iter().map(|delay| (delay - delays[0]).abs()).max();
        ensure!(late.is_some_and(|late| late < 1000), "a message is {late:?} µs early or late");
        Ok(())
    }

    /// At least a quarter of the stack must be spare.
    fn stack(&self) -> anyhow::Result<()> {
        let numbers: Vec<u32> =
            self.words.split(' ').filter_map(|word| word.trim().parse().ok()).collect();
        let [used, size] = numbers[..] else { anyhow::bail!("no stack usage in: {}", self.words) };
        ensure!(
            used * 4 <= size * 3,
            "{used} of {size} bytes of stack are used, more than three quarters"
        );
        Ok(())
    }
}

impl Board {
    /// Compares the firmware's output with what this machine's player sends.
    fn sends(&self, firmware: &Path, model: &Path, expected: &[Due]) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let played = self.run(firmware, &root().join(model), NOTES, u32::MAX, folder.path())?;
        played.compare(expected)?;
        played.stack()?;
        println!(
            "{} with {}: {NOTES} notes, the same bytes as here, each within a millisecond; first \
             byte after {} µs, first note after {} µs; {}",
            self.machine,
            model.display(),
            played.times[0],
            played.times[SILENCING],
            played.words.trim()
        );
        Ok(())
    }

    /// Runs the firmware with a model until it has started `notes` notes, for at most `micros` microseconds.
    fn run(
        &self,
        firmware: &Path,
        model: &Path,
        notes: u32,
        micros: u32,
        folder: &Path,
    ) -> anyhow::Result<Played> {
        let [midi, times, words] = ["midi", "times", "words"].map(|name| folder.join(name));
        let mut qemu = program("qemu-system-arm");
        qemu.args(["-machine", self.machine, "-display", "none", "-monitor", "none"]);
        qemu.args(["-semihosting-config", "enable=on,target=native"]);
        // A nanosecond per instruction; while the processor sleeps, the clock jumps to the next event.
        qemu.args(["-icount", "shift=0,sleep=off"]);
        for file in [&midi, &times, &words] {
            qemu.arg("-serial").arg(format!("file:{}", file.display()));
        }
        let at = self.model_region;
        qemu.arg("-device");
        qemu.arg(format!("loader,file={},addr={at:#x},force-raw=on", model.display()));
        let [seed, temperature, density] = CONTROLS;
        for (index, word) in (0..).zip([seed, notes, micros, temperature, density]) {
            let at = at + SCRIPT + 4 * index;
            qemu.arg("-device").arg(format!("loader,addr={at:#x},data={word},data-len=4"));
        }
        start(qemu.arg("-kernel").arg(firmware))?;
        Ok(Played {
            bytes: fs::read(&midi)?,
            times: fs::read(&times)?
                .as_chunks()
                .0
                .iter()
                .map(|&time| u32::from_le_bytes(time))
                .collect(),
            words: fs::read_to_string(&words)?,
        })
    }
}

/// The messages that this machine's player sends.
fn expected(model: &Path) -> anyhow::Result<Vec<Due>> {
    let mut host = cargo();
    host.args(["run", "--quiet", "--release", "-p", "pianola-tests", "--example", "midi_messages"]);
    let [seed, temperature, density] = CONTROLS;
    host.arg("--").arg(model);
    let printed = captured(host.args([seed, NOTES, temperature, density].map(|n| n.to_string())))?;
    let lines = printed.lines().map(|line| {
        let numbers: Vec<i64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [time, bytes @ ..] = &numbers[..] else { anyhow::bail!("{line}") };
        let bytes: Vec<u8> = bytes.iter().map(|&byte| byte as u8).collect();
        Ok((*time, bytes[..].try_into()?))
    });
    lines.collect()
}

/// Builds the firmware of a board; returns its path.
fn build(board: &Board) -> anyhow::Result<PathBuf> {
    let target_dir = root().join("target/board");
    let mut cargo: Command = cargo_for(board.target)?;
    let flags = format!("target.'cfg(all())'.rustflags=[\"-Ctarget-cpu={}\"]", board.cpu);
    cargo.args(["build", "--quiet", "--release", "--config", &flags, "--target", board.target]);
    cargo.args(["--manifest-path", "firmware-demo/mps2/Cargo.toml", "--target-dir"]);
    start(cargo.arg(&target_dir))?;
    Ok(target_dir.join(board.target).join("release/pianola-mps2"))
}

/// Size of a firmware.
struct Firmware {
    /// Bytes of flash.
    program: u64,
    /// Bytes of RAM, the stack apart.
    data: u64,
    /// Whether anything calls the panic handler, which is not linked otherwise.
    can_panic: bool,
}

impl Firmware {
    /// Reads a linked firmware. Fails if it contains an allocator.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path)?;
        let elf = object::File::parse(&*bytes).context("the firmware is no ELF file")?;
        let names = elf.symbols().map(|symbol| symbol.name()).collect::<Result<Vec<_>, _>>()?;
        let has =
            |parts: &[&str]| names.iter().any(|name| parts.iter().any(|part| name.contains(part)));
        ensure!(has(&["main"]), "the firmware has no symbols");
        ensure!(!has(&["__rust_alloc", "__rg_alloc", "malloc"]), "the firmware has an allocator");
        let can_panic = has(&["rust_begin_unwind", "4core9panicking"]);
        let mut firmware = Self { program: 0, data: 0, can_panic };
        for section in elf.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
                continue;
            }
            // Writable data has its initial values in flash, unless they are zeros.
            if sh_flags & u64::from(elf::SHF_WRITE) != 0 {
                firmware.data += section.size();
            }
            if section.kind() != SectionKind::UninitializedData {
                firmware.program += section.size();
            }
        }
        Ok(firmware)
    }

    fn ensure_small(&self, board: &str) -> anyhow::Result<()> {
        let Self { program, data, .. } = self;
        println!("{board}: program {program} bytes, static RAM {data} bytes");
        ensure!(
            *program <= LIMITS.0 && *data <= LIMITS.1,
            "the firmware exceeds its limits of {} and {} bytes",
            LIMITS.0,
            LIMITS.1
        );
        Ok(())
    }
}
