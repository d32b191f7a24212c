//! MIDI as raw bytes: serial lines, and the device nodes that Linux has for each instrument.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{self, ControlModes, OptionalActions};

use crate::live::open_port::{Direction, Input, Output};

/// Baud rate of MIDI.
const BAUD: u32 = 31_250;

/// Non-blocking output of bytes.
pub struct RawOutput(OwnedFd);

/// Input of bytes.
pub struct RawInput(OwnedFd);

impl RawOutput {
    pub fn open(path: &Path) -> io::Result<Self> {
        open(path, OFlags::WRONLY).map(Self)
    }
}

impl Output for RawOutput {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.0, bytes) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }
}

impl RawInput {
    pub fn open(path: &Path) -> io::Result<Self> {
        let device = open(path, OFlags::RDONLY)?;
        if is_memory_device(&device)? {
            return Err(io::Error::other(
                "no MIDI comes from it: name an instrument or a serial line",
            ));
        }
        Ok(Self(device))
    }
}

impl Input for RawInput {
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 256];
        loop {
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
                Err(Errno::INTR) => continue,
                polled => polled?,
            };
            match rustix::io::read(&self.0, &mut bytes) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Opens a device; a serial line at MIDI's speed, eight bits without parity.
fn open(path: &Path, direction: OFlags) -> io::Result<OwnedFd> {
    // The device at the other end of a terminal cannot end this program.
    let flags = direction | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let device = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&device)?.st_mode);
    if kind != FileType::CharacterDevice {
        return Err(io::Error::other("it is no device"));
    }
    if termios::isatty(&device) {
        let mut line = termios::tcgetattr(&device)?;
        line.make_raw();
        line.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS;
        line.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        line.set_speed(BAUD)?;
        termios::tcsetattr(&device, OptionalActions::Now, &line)?;
    }
    Ok(device)
}

/// Whether a device resembles `/dev/null` or `/dev/zero`: always at its end, or never.
fn is_memory_device(device: &OwnedFd) -> io::Result<bool> {
    const MEMORY: u32 = 1;
    Ok(cfg!(target_os = "linux") && rustix::fs::major(rustix::fs::fstat(device)?.st_rdev) == MEMORY)
}

/// Device nodes of the instruments, with names.
pub fn nodes(direction: Direction) -> Vec<(String, PathBuf)> {
    nodes_in(Path::new("/"), direction)
}

fn nodes_in(root: &Path, direction: Direction) -> Vec<(String, PathBuf)> {
    let cards = fs::read_to_string(root.join("proc/asound/cards")).unwrap_or_default();
    let folder = fs::read_dir(root.join("dev/snd")).into_iter().flatten().flatten();
    let mut nodes: Vec<(u32, u32, PathBuf)> = folder
        .filter_map(|entry| {
            let name = entry.file_name();
            let (card, device) = name.to_str()?.strip_prefix("midiC")?.split_once('D')?;
            Some((card.parse().ok()?, device.parse().ok()?, entry.path()))
        })
        .collect();
    nodes.sort();
    let described = nodes.into_iter().filter_map(|(card, device, path)| {
        let about = root.join(format!("proc/asound/card{card}/midi{device}"));
        let about = fs::read_to_string(about).unwrap_or_default();
        let word = match direction {
            Direction::Output => "Output ",
            Direction::Input => "Input ",
        };
        // Where the system does not say, it may be either.
        let fits = about.is_empty() || about.lines().any(|line| line.starts_with(word));
        fits.then(|| (card_name(&cards, card).unwrap_or(format!("card {card}")), device, path))
    });
    // Devices of one card are distinguished by number.
    let numbered = described.map(|(card, device, path)| match device {
        0 => (card, path),
        _ => (format!("{card} {}", device + 1), path),
    });
    numbered.collect()
}

/// The name of a card, from lines such as ` 1 [Piano          ]: USB-Audio - Digital Piano`.
fn card_name(cards: &str, card: u32) -> Option<String> {
    let is_card = |line: &&str| {
        line.split('[').next().is_some_and(|number| number.trim().parse() == Ok(card))
    };
    let (_, name) = cards.lines().find(is_card)?.split_once(" - ")?;
    Some(name.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn nodes_have_the_names_of_their_cards() -> Result<()> {
        let root = tempfile::tempdir()?;
        let write = |path: &str, text: &str| -> Result<()> {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            Ok(fs::write(path, text)?)
        };
        let cards = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      at irq 31\n \
                     2 [Piano          ]: USB-Audio - Digital Piano\n                      Roland\n";
        write("proc/asound/cards", cards)?;
        write("proc/asound/card2/midi0", "Digital Piano\n\nOutput 0\n  Tx bytes : 0\nInput 0\n")?;
        write("proc/asound/card2/midi1", "Digital Piano\n\nInput 0\n")?;
        for node in ["midiC2D1", "midiC2D0", "midiC10D0", "controlC2", "midiCxD0"] {
            write(&format!("dev/snd/{node}"), "")?;
        }
        let names = |direction| -> Vec<String> {
            nodes_in(root.path(), direction).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(Direction::Output), ["Digital Piano", "card 10"]);
        assert_eq!(names(Direction::Input), ["Digital Piano", "Digital Piano 2", "card 10"]);
        Ok(())
    }

    #[test]
    fn only_devices_are_opened() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        assert!(RawOutput::open(file.path()).is_err());
        assert!(RawOutput::open(Path::new("/dev/null"))?.send(&[0xf8])? == 1);
        for endless in ["/dev/null", "/dev/zero"] {
            assert!(RawInput::open(Path::new(endless)).is_err());
        }
        Ok(())
    }
}
