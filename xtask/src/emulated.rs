//! The firmware on emulated boards: what it sends and when, what it takes, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};

use crate::board::{BOARDS, Board, models};
use crate::firmware;
use crate::no_std::cargo_for;
use crate::shell::{captured, cargo, need, program, root, run as start};

/// Notes that a board must send as this machine does.
const NOTES: u32 = 1000;

/// Seed of the piece, and positions of the knobs for temperature and density.
const CONTROLS: [u32; 3] = [42, 54, 80];

/// Where in the region the script lies, as `firmware-demo/mps2` has it.
const SCRIPT: u32 = 15 << 20;

/// Messages that silence whatever sounds, before the first note.
const SILENCING: usize = 133;

/// Notes of the largest chord.
const CHORD: usize = 32;

/// The largest the program may be beside the model, and its data in RAM, in bytes.
const LIMITS: (u64, u64) = (66 << 10, 32 << 10);

/// Runs the firmware on every board with every bundled model, then without one that can be played.
pub fn run() -> anyhow::Result<()> {
    need("qemu-system-arm", "qemu-system-arm")?;
    let folder = tempfile::tempdir()?;
    // The hardware layer of the real board can panic, at its start: a check of the check below.
    let pico2 = Firmware::read(&firmware::build(firmware::Board::Pico2)?)?;
    pico2.ensure_small("Pico 2")?;
    ensure!(pico2.can_panic, "the check for panics does not find the one that is there");
    for board in &BOARDS {
        let firmware = build(board)?;
        let found = Firmware::read(&firmware)?;
        found.ensure_small(board.core)?;
        ensure!(!found.can_panic, "the firmware can panic");
        for model in models()? {
            let expected = expected(&model)?;
            let played =
                board.run(&firmware, &root().join(&model), NOTES, u32::MAX, folder.path())?;
            let name = format!("{} with {}", board.machine, model.display());
            played.compare(&expected).with_context(|| name.clone())?;
            played.stack().with_context(|| name.clone())?;
            println!(
                "{name}: {NOTES} notes, the same bytes as here, each within a millisecond; first \
                 byte after {} µs, first note after {} µs; {}",
                played.times[0],
                played.times[SILENCING],
                played.words.trim()
            );
        }
        refuses(board, &firmware, folder.path())?;
    }
    Ok(())
}

/// Erased, cut short and changed, a model leaves the board silent, and the board says why.
fn refuses(board: &Board, firmware: &Path, folder: &Path) -> anyhow::Result<()> {
    let int4 = fs::read(root().join("models/expressive-int4.safetensors"))?;
    let erased = vec![0xff; int4.len()];
    let mut cut = int4.clone();
    cut[int4.len() / 2..].fill(0xff);
    let mut changed = int4.clone();
    changed[int4.len() / 3] ^= 4;
    let cases = [
        ("erased", erased, "no model here"),
        ("cut", cut, "damaged"),
        ("changed", changed, "damaged"),
    ];
    for (name, region, cause) in cases {
        let model = folder.join(name);
        fs::write(&model, region)?;
        let played = board.run(firmware, &model, NOTES, 2_000_000, folder)?;
        let silent = played.bytes.len() == 3 * SILENCING;
        ensure!(silent && played.words.starts_with(cause), "{name}: {}", played.words);
        println!("{}: silent with a model that is {name}: {cause}", board.machine);
    }
    Ok(())
}

/// What a board has sent.
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
        // The board ends with the chord that the last note is part of.
        ensure!(
            alike == bytes.len() && self.times.len() < expected.len() + CHORD,
            "sends other bytes than this machine, from message {} of {} on",
            alike / 3,
            expected.len()
        );
        // Time counts from the first note: a board takes a while to check its model.
        let delays = self.times.iter().zip(expected).skip(SILENCING);
        let delays: Vec<i64> = delays.map(|(&time, (due, _))| i64::from(time) - due).collect();
        let late = delays.iter().map(|delay| (delay - delays[0]).abs()).max();
        ensure!(late.is_some_and(|late| late < 1000), "a message is {late:?} µs off its time");
        Ok(())
    }

    /// At least a quarter of the stack must be spare.
    fn stack(&self) -> anyhow::Result<()> {
        let numbers: Vec<u32> =
            self.words.split(' ').filter_map(|word| word.trim().parse().ok()).collect();
        let [used, size] = numbers[..] else { anyhow::bail!("no stack in: {}", self.words) };
        ensure!(used * 4 <= size * 3, "{used} of {size} bytes of stack are used");
        Ok(())
    }
}

impl Board {
    /// Runs the firmware with a model until it has started so many notes, or for so long.
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
        // A nanosecond for each instruction, and none for sleeping: the clock jumps to its end.
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

/// Builds the firmware of a board; returns where it is.
fn build(board: &Board) -> anyhow::Result<PathBuf> {
    let target_dir = root().join("target/board");
    let mut cargo: Command = cargo_for(board.target)?;
    let flags = format!("target.'cfg(all())'.rustflags=[\"-Ctarget-cpu={}\"]", board.cpu);
    cargo.args(["build", "--quiet", "--release", "--config", &flags, "--target", board.target]);
    cargo.args(["--manifest-path", "firmware-demo/mps2/Cargo.toml", "--target-dir"]);
    start(cargo.arg(&target_dir))?;
    Ok(target_dir.join(board.target).join("release/pianola-mps2"))
}

/// What a firmware takes.
struct Firmware {
    /// Bytes of flash.
    program: u64,
    /// Bytes of RAM, the stack apart.
    data: u64,
    /// Whether anything in it calls the panic handler, which is not linked otherwise.
    can_panic: bool,
}

impl Firmware {
    /// Reads what the linker has left. There must be no allocator.
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
            // What is written to starts as a copy in flash, unless it starts as zeros.
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
            "the firmware has grown beyond its limits"
        );
        Ok(())
    }
}
