//! `pianola flash`: writes firmware and model to a board.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use object::LittleEndian;
use object::elf::{EM_ARM, FileHeader32, PT_LOAD, SHT_SYMTAB};
use object::read::elf::{FileHeader, ProgramHeader, Sym};
use pianola_host::files::{read_bounded, write_whole};
use pianola_runtime::Generator;

use crate::options::model_file::ModelFile;
use crate::options::output::{self, ensure_apart, ensure_writable, verb};
use crate::program::{self, say};
use crate::progress;
use crate::uf2::{Image, RP2350_ARM_S};

/// Largest firmware file that is read, in bytes.
const LARGEST: u64 = 256 << 20;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola flash --board pico2
  pianola flash --board pico2 --model models/small-int4.safetensors
  pianola flash --board rp2350-16mb --model mine.safetensors --out box.uf2")]
pub struct Options {
    /// Target board: Raspberry Pi Pico 2 (4 MB of flash, int4 models), or a board with the same wiring and
    /// 16 MB (int8 models too).
    #[arg(long, value_enum)]
    board: Board,
    /// Model file [default: models/expressive-int4.safetensors].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// UF2 file to write, - for standard output [default: the drive of a board in boot mode].
    #[arg(long, value_name = "FILE.uf2", value_parser = output::path())]
    out: Option<PathBuf>,
    /// Firmware ELF file [default: build it, which takes minutes the first time].
    #[arg(long, value_name = "ELF")]
    firmware: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Board {
    // Raspberry Pi Pico 2: 4 MB of flash, for int4 models.
    Pico2,
    // A board with the wiring of the Pico 2 and 16 MB of flash: also for int8 models.
    #[value(name = "rp2350-16mb")]
    Rp2350Flash16,
}

impl Board {
    /// Bytes of flash.
    fn flash(self) -> u32 {
        match self {
            Self::Pico2 => 4 << 20,
            Self::Rp2350Flash16 => 16 << 20,
        }
    }

    /// Bytes of flash from the model's start to the end.
    fn room(self) -> usize {
        (self.flash() - (MODEL - FLASH)) as usize
    }
}

/// Start address of flash, and of the program in it.
const FLASH: u32 = 0x1000_0000;

/// Address at which the firmware looks for the model.
const MODEL: u32 = 0x1002_0000;

pub fn run(options: &Options) -> anyhow::Result<String> {
    // Fast checks first; the build takes a while.
    let model_path = match &options.model {
        Some(path) => path.clone(),
        None => root().join("models/expressive-int4.safetensors"),
    };
    let model = ModelFile::open(Some(&model_path))?;
    check_model(&model, options.board)?;
    let drive = match &options.out {
        Some(out) => {
            for input in [&model_path].into_iter().chain(&options.firmware) {
                ensure_apart(out, input)?;
            }
            ensure_writable(out, &["uf2"])?;
            None
        }
        None => Some(the_drive(&mounts())?),
    };

    let firmware = options.firmware.clone().map_or_else(build, Ok)?;
    let name = firmware.display().to_string();
    let elf = read_bounded(&firmware, LARGEST).with_context(|| format!("cannot read {name}"))?;
    let program = segments(&elf).with_context(|| name)?;

    let mut image = Image::default();
    program.iter().for_each(|&(address, bytes)| image.put(address, bytes));
    image.put(MODEL, model.bytes());
    let uf2 = image.to_uf2(RP2350_ARM_S);
    let verb = options.out.as_deref().map_or("wrote", verb);
    let (place, then) = match (&drive, &options.out) {
        (Some(drive), _) => {
            let file = drive.join("pianola.uf2");
            let name = file.display().to_string();
            write_to_drive(&file, &uf2)
                .with_context(|| format!("cannot write {name}: plug the board in again"))?;
            (name, "the board restarts and plays")
        }
        (None, Some(out)) => {
            let name = output::name(out);
            write_whole(out, &uf2).with_context(|| format!("cannot write {name}"))?;
            (name, "copy it to the drive of a board that was plugged in with BOOTSEL held")
        }
        (None, None) => bail!("neither a drive nor --out"),
    };

    let end = program.iter().map(|&(address, bytes)| (address - FLASH) as usize + bytes.len());
    let (program, model) = (end.max().unwrap_or(0), model.bytes().len());
    Ok(format!(
        "{verb} {place}: program {program} bytes ({} left), model {model} bytes ({} left); {then}\n",
        (MODEL - FLASH) as usize - program,
        options.board.room() - model,
    ))
}

/// Refuses a model that the board would refuse, or that does not fit it.
fn check_model(file: &ModelFile, board: Board) -> anyhow::Result<()> {
    let model = file.model()?;
    // The firmware plays with the default generator.
    let generator = Generator::new(&model, 0);
    ensure!(
        generator.is_ok(),
        "{}: {} layers of {} units, more than the firmware has room for: train a smaller network",
        file.name(),
        model.layers(),
        model.hidden()
    );
    let (bytes, room) = (file.bytes().len(), board.room());
    ensure!(
        bytes <= room,
        "{}: {bytes} bytes, but {} MB of flash hold {room} beside the program: `{} export --quantize int4` \
         makes a model that fits",
        file.name(),
        board.flash() >> 20,
        program::command()
    );
    Ok(())
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Builds the firmware and returns its path.
fn build() -> anyhow::Result<PathBuf> {
    let root = root();
    ensure!(
        root.join("firmware-demo/pico2/Cargo.toml").exists(),
        "the sources of the firmware are not in {}: give --firmware ELF",
        root.display()
    );
    say("building the firmware; the first time, this takes some minutes");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--package", "xtask", "--", "firmware", "pico2"]).current_dir(root);
    let mut building = cargo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(
        "cannot start cargo, which builds the firmware: install Rust, or give --firmware ELF",
    )?;
    let said = building.stderr.take().map(follow_build).unwrap_or_default();
    let output = building.wait_with_output().context("cannot wait for cargo")?;
    if !output.status.success() {
        say(&said);
        bail!("the firmware does not build, see above: mend that, or give --firmware ELF");
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    // Installing a compiler prints more, before it.
    Ok(printed.lines().last().context("`cargo xtask firmware` names no file")?.into())
}

/// Shows the last line printed by a build, with the elapsed time; returns all lines.
fn follow_build(lines: impl io::Read) -> String {
    let spinner = progress::spinner();
    let mut said = String::new();
    for line in io::BufReader::new(lines).lines().map_while(Result::ok) {
        spinner.set_message(line.trim().to_string());
        said += &line;
        said.push('\n');
    }
    spinner.finish_and_clear();
    said
}

/// Error for firmware with addresses outside the program's region.
const DAMAGED: &str = "a damaged ELF file: build it again";

/// Loadable contents of an ELF file: addresses and bytes.
fn segments(elf: &[u8]) -> anyhow::Result<Vec<(u32, &[u8])>> {
    let header = FileHeader32::<LittleEndian>::parse(elf);
    let header = header.ok().filter(|header| header.e_machine(LittleEndian) == EM_ARM);
    let header = header.context(
        "not an ELF file with a program for the board: leave --firmware out to build one",
    )?;
    let mut segments = Vec::new();
    for segment in header.program_headers(LittleEndian, elf).context(DAMAGED)? {
        // The physical address is the one in flash, even if the section is copied to RAM at start-up.
        let (address, size) = (segment.p_paddr(LittleEndian), segment.p_filesz(LittleEndian));
        if segment.p_type(LittleEndian) != PT_LOAD || size == 0 {
            continue;
        }
        let end = u64::from(address) + u64::from(size);
        ensure!(
            address >= FLASH && end <= u64::from(MODEL),
            "{size} bytes at {address:#x} lie outside the program's part of flash, {FLASH:#x} to \
             {MODEL:#x}"
        );
        let bytes = segment
            .data(LittleEndian, elf)
            .ok()
            .context("the ELF file is cut short: build it again")?;
        segments.push((address, bytes));
    }
    // Symbols set by the linker script, unless the file was stripped.
    let sections = header.sections(LittleEndian, elf).context(DAMAGED)?;
    let symbols = sections.symbols(LittleEndian, elf, SHT_SYMTAB).context(DAMAGED)?;
    for symbol in symbols.iter() {
        let name = symbol.name(LittleEndian, symbols.strings());
        let address = symbol.st_value(LittleEndian);
        ensure!(
            name != Ok(b"model_region") || address == MODEL,
            "the program looks for its model at {address:#x}, not at {MODEL:#x}: build it from these \
             sources"
        );
    }
    let starts = segments.iter().any(|&(address, _)| address == FLASH);
    ensure!(starts, "the program does not start at {FLASH:#x}: it is not one for this board");
    Ok(segments)
}

/// File on the drive that identifies the board.
const INFO: &str = "INFO_UF2.TXT";

/// Folders in which systems mount drives, each with the number of levels below it.
fn mounts() -> Vec<(PathBuf, usize)> {
    let mut mounts: Vec<(PathBuf, usize)> =
        [("/media", 1), ("/media", 2), ("/run/media", 2), ("/mnt", 1), ("/Volumes", 1)]
            .map(|(folder, depth)| (folder.into(), depth))
            .into();
    if cfg!(windows) {
        mounts.extend(('A'..='Z').map(|letter| (format!("{letter}:\\").into(), 0)));
    }
    mounts
}

/// The drive of the one board that is in boot mode.
fn the_drive(mounts: &[(PathBuf, usize)]) -> anyhow::Result<PathBuf> {
    let mut drives = Vec::new();
    for (folder, depth) in mounts {
        find_drives(folder, *depth, &mut drives);
    }
    drives.sort();
    // Some systems have one folder under two names.
    drives.dedup_by_key(|drive| fs::canonicalize(&drive).unwrap_or_else(|_| drive.clone()));
    match drives.as_slice() {
        [drive] => Ok(drive.clone()),
        [] => bail!(
            "no board in boot mode: hold BOOTSEL while you plug it in and open the drive that \
             appears, or write a file with --out FILE.uf2"
        ),
        drives => {
            let names: Vec<_> = drives.iter().map(|drive| drive.display().to_string()).collect();
            bail!(
                "{} boards in boot mode ({}): leave one plugged in, or write a file with --out \
                 FILE.uf2",
                names.len(),
                names.join(", ")
            )
        }
    }
}

/// Adds the drives of RP2350s at this depth below a folder. Unreadable folders are skipped.
fn find_drives(folder: &Path, depth: usize, drives: &mut Vec<PathBuf>) {
    if depth == 0 {
        let info = fs::read(folder.join(INFO)).unwrap_or_default();
        if String::from_utf8_lossy(&info).contains("RP2350") {
            drives.push(folder.into());
        }
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        find_drives(&entry.path(), depth - 1, drives);
    }
}

/// Bytes between two updates of the progress bar: a board takes about half a second for them.
const PIECE: usize = 64 << 10;

/// Maximum time for a system to notice that a drive is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a file to the drive of a board.
fn write_to_drive(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let bar = progress::bar("writing", bytes.len() as u64);
    let is_gone = || {
        let start = Instant::now();
        while path.with_file_name(INFO).exists() && start.elapsed() < PATIENCE {
            sleep(PATIENCE / 50);
        }
        !path.with_file_name(INFO).exists()
    };
    let written = pour(bytes, &mut File::create(path)?, &bar, is_gone);
    bar.finish_and_clear();
    written
}

/// Reports when the bytes written to it have arrived.
trait Sink: Write {
    fn sync(&self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Writes in chunks and waits for each to arrive: otherwise the bar would show how fast this
/// machine fills its page cache.
fn pour(
    bytes: &[u8],
    sink: &mut impl Sink,
    bar: &ProgressBar,
    is_gone: impl Fn() -> bool,
) -> io::Result<()> {
    let mut pieces = bytes.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        sink.write_all(piece)?;
        match sink.sync() {
            // The board restarts after the last block, and its drive disappears.
            Err(_) if pieces.peek().is_none() && is_gone() => {}
            synced => synced?,
        }
        bar.inc(piece.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tempfile::tempdir;

    const INFO_TEXT: &str = "UF2 Bootloader v1.0\nModel: Raspberry Pi RP2350\nBoard-ID: RP2350\n";

    fn drive(path: &Path, info: &str) -> PathBuf {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join(INFO), info).unwrap();
        path.into()
    }

    #[test]
    fn the_one_boot_drive_is_found_and_written_to() {
        let folder = tempdir().unwrap();
        let media = folder.path().join("media");
        let mounts = [(media.clone(), 1), (media.clone(), 2), (folder.path().join("none"), 1)];
        let said = the_drive(&mounts).unwrap_err().to_string();
        assert!(said.contains("BOOTSEL") && said.contains("--out"), "{said}");

        drive(&media.join("me/RPI-RP2"), "Model: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n");
        fs::create_dir_all(media.join("me/photos")).unwrap();
        fs::write(media.join("file"), "no folder").unwrap();
        assert!(the_drive(&mounts).is_err());

        let board = drive(&media.join("me/RP2350"), INFO_TEXT);
        assert_eq!(the_drive(&mounts).unwrap(), board);
        let bytes: Vec<u8> = (0..3 * PIECE / 2).map(|at| (at % 251) as u8).collect();
        write_to_drive(&board.join("pianola.uf2"), &bytes).unwrap();
        assert!(fs::read(board.join("pianola.uf2")).unwrap() == bytes);

        let other = drive(&media.join("RP2350"), INFO_TEXT);
        let said = the_drive(&mounts).unwrap_err().to_string();
        assert!(said.starts_with("2 boards") && said.contains("--out"), "{said}");
        assert!(said.contains(other.to_str().unwrap()) && said.contains("me/RP2350"), "{said}");
    }

    #[test]
    #[cfg(unix)]
    fn a_drive_under_two_names_is_one() {
        let folder = tempdir().unwrap();
        drive(&folder.path().join("run/RP2350"), INFO_TEXT);
        std::os::unix::fs::symlink(folder.path().join("run"), folder.path().join("media")).unwrap();
        let mounts = ["run", "media"].map(|name| (folder.path().join(name), 1));
        assert!(the_drive(&mounts).is_ok());
    }

    /// Accepts this many chunks, then fails.
    struct Unplugged {
        takes: Cell<usize>,
        taken: usize,
    }

    impl Write for Unplugged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.taken += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Unplugged {
        fn sync(&self) -> io::Result<()> {
            let left = self.takes.get().checked_sub(1).ok_or_else(|| io::Error::other("gone"))?;
            self.takes.set(left);
            Ok(())
        }
    }

    #[test]
    fn a_drive_may_vanish_at_the_end_and_not_before() {
        let bytes = vec![0; 3 * PIECE - 1];
        let pour = |takes, is_gone| {
            let mut sink = Unplugged { takes: Cell::new(takes), taken: 0 };
            pour(&bytes, &mut sink, &ProgressBar::hidden(), || is_gone).map(|()| sink.taken)
        };
        assert_eq!(pour(3, false).unwrap(), bytes.len());
        assert_eq!(pour(2, true).unwrap(), bytes.len());
        assert!(pour(2, false).is_err());
        assert!(pour(1, true).is_err());
    }
}
