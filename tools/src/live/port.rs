//! MIDI ports, by the names that users give them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::live::open_port::{Direction, Input, Output};
#[cfg(unix)]
use crate::live::raw_port::{self, RawInput, RawOutput};
use crate::live::system_port;
use crate::program;

/// A port that can be opened, and reopened when it was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial line or another device that carries raw bytes.
    Device(PathBuf),
    /// An instrument's device node. Its path may change each time that it is plugged in.
    Node { name: String, path: PathBuf },
    /// A port of the system's MIDI service.
    System(String),
    /// A virtual port, to which other programs connect.
    Virtual,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Device(path) => path.display().fmt(f),
            Self::Node { name, path } => write!(f, "{name} ({})", path.display()),
            Self::System(name) => name.fmt(f),
            Self::Virtual => "the virtual port Pianola".fmt(f),
        }
    }
}

/// Error where no MIDI service is built in.
#[cfg(all(target_os = "linux", not(feature = "alsa")))]
const MORE: &str = "These are device nodes of ALSA. Built with `--features alsa` (which needs libasound2-dev), \
     Pianola has ports of ALSA's sequencer, also virtual ones; with `--features jack` \
     (libjack-jackd2-dev, too), JACK's.\n";
#[cfg(not(all(target_os = "linux", not(feature = "alsa"))))]
const MORE: &str = "";

/// Prints all ports with the names that select them.
pub fn list() -> String {
    let print = |direction, option: &str| {
        let ports = all(direction);
        let lines: String = ports
            .iter()
            .enumerate()
            .map(|(number, port)| format!("{number:3}  {port}\n"))
            .collect();
        let lines = if ports.is_empty() { "  none\n" } else { &lines };
        format!("{direction:?} ports, for {option}:\n{lines}")
    };
    print(Direction::Output, "--port") + &print(Direction::Input, "--listen") + MORE
}

/// All ports: the system's, or where no MIDI service is built in, the device nodes.
fn all(direction: Direction) -> Vec<Port> {
    let mut ports: Vec<Port> =
        system_port::names(direction).into_iter().map(Port::System).collect();
    if ports.is_empty() {
        ports = nodes(direction);
    }
    ports
}

#[cfg(unix)]
fn nodes(direction: Direction) -> Vec<Port> {
    let nodes = raw_port::nodes(direction).into_iter();
    nodes.map(|(name, path)| Port::Node { name, path }).collect()
}

#[cfg(not(unix))]
fn nodes(_: Direction) -> Vec<Port> {
    Vec::new()
}

impl Port {
    /// Finds a port by its number in the list, the path of a device, or a part of its
    /// name.
    pub fn named(wanted: &str, direction: Direction) -> anyhow::Result<Self> {
        if wanted.contains('/') {
            return Ok(Self::Device(wanted.into()));
        }
        let mut ports = all(direction);
        if let Ok(number) = wanted.parse::<usize>()
            && number < ports.len()
        {
            return Ok(ports.swap_remove(number));
        }
        let contains =
            |port: &Port| port.to_string().to_lowercase().contains(&wanted.to_lowercase());
        ports.retain(contains);
        match &ports[..] {
            [port] => Ok(port.clone()),
            [] => bail!(
                "there is no port {wanted} here: `{} play --list` lists them",
                program::command()
            ),
            _ => bail!("there are {} ports {wanted}: {}", ports.len(), listed(&ports)),
        }
    }

    /// The default output port.
    pub fn default_output() -> anyhow::Result<Self> {
        let mut ports = all(Direction::Output);
        // ALSA's own port, which leads nowhere.
        ports.retain(|port| !port.to_string().starts_with("Midi Through"));
        match &ports[..] {
            [port] => Ok(port.clone()),
            _ if system_port::has_virtual() => Ok(Self::Virtual),
            [] => bail!(
                "there is no MIDI port here: plug an instrument in, or name a serial line with \
                 --serial /dev/...{}",
                if MORE.is_empty() {
                    String::new()
                } else {
                    format!("; `{} play --list` says what else there is", program::command())
                }
            ),
            _ => bail!("choose a port with --port: {}", listed(&ports)),
        }
    }

    pub fn open_output(&self) -> anyhow::Result<Box<dyn Output>> {
        self.try_output().with_context(|| format!("cannot play on {self}"))
    }

    pub fn open_input(&self) -> anyhow::Result<Box<dyn Input>> {
        self.try_input().with_context(|| format!("cannot listen to {self}"))
    }

    fn try_output(&self) -> io::Result<Box<dyn Output>> {
        match self {
            Self::System(name) => system_port::open_output(name),
            Self::Virtual => system_port::open_virtual(),
            #[cfg(unix)]
            _ => Ok(Box::new(RawOutput::open(&self.path(Direction::Output)?)?)),
            #[cfg(not(unix))]
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn try_input(&self) -> io::Result<Box<dyn Input>> {
        match self {
            Self::System(name) => system_port::open_input(name),
            Self::Virtual => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(unix)]
            _ => Ok(Box::new(RawInput::open(&self.path(Direction::Input)?)?)),
            #[cfg(not(unix))]
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Current path of a device: of instruments with one name, the previous path, or else the first.
    fn path(&self, direction: Direction) -> io::Result<PathBuf> {
        let (wanted, was) = match self {
            Self::Device(path) => return Ok(path.clone()),
            Self::Node { name, path } => (name, path),
            Self::System(_) | Self::Virtual => return Err(io::ErrorKind::Unsupported.into()),
        };
        let mut paths: Vec<PathBuf> = nodes(direction)
            .into_iter()
            .filter_map(|port| match port {
                Self::Node { name, path } if name == *wanted => Some(path),
                _ => None,
            })
            .collect();
        let place = paths.iter().position(|path| path == was).unwrap_or(0);
        if paths.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(paths.remove(place)) }
    }

    /// Returns a function that checks whether the port is present.
    pub fn watch(&self, direction: Direction) -> Box<dyn FnMut() -> bool + Send> {
        match self.clone() {
            Self::System(name) => system_port::watch(direction, &name),
            Self::Virtual => Box::new(|| true),
            Self::Device(_) | Self::Node { .. } => {
                let path = self.path(direction);
                Box::new(move || path.as_ref().is_ok_and(|path| path.exists()))
            }
        }
    }

    /// Whether both ports belong to one instrument.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Device(one) | Self::Node { path: one, .. },
                Self::Device(other) | Self::Node { path: other, .. },
            ) => same_file(one, other),
            _ => self == other,
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn listed(ports: &[Port]) -> String {
    ports.iter().map(|port| port.to_string()).collect::<Vec<_>>().join(", ")
}
