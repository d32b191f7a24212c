//! Ports of the system's MIDI service: ALSA's sequencer, JACK, CoreMIDI or Windows.

use std::fmt::Display;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use midir::{MidiIO, MidiInput, MidiInputConnection, MidiOutput, MidiOutputConnection};

use crate::live::open_port::{Direction, Input, Output};

/// Client name that other programs see.
const NAME: &str = "Pianola";

/// Interval between checks whether a port is still present.
const LOOK: Duration = Duration::from_millis(250);

struct SystemOutput {
    connection: MidiOutputConnection,
    /// When a MIDI line would have finished sending.
    drained: Instant,
}

/// Time of a message on a MIDI line, approximately.
const MESSAGE: Duration = Duration::from_millis(1);

/// Maximum messages ahead of such a line. The services accept any number at once, but programs behind
/// them drop messages when their buffers are full.
const AHEAD: u32 = 64;

impl SystemOutput {
    fn open(connection: MidiOutputConnection) -> Box<dyn Output> {
        Box::new(Self { connection, drained: Instant::now() })
    }
}

impl Output for SystemOutput {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = Instant::now();
        let drained = self.drained.max(now);
        if drained > now + AHEAD * MESSAGE {
            return Ok(0);
        }
        self.connection.send(bytes).map_err(other)?;
        self.drained = drained + MESSAGE;
        Ok(bytes.len())
    }
}

/// JACK sends messages at its own pace, and discards them with the port.
#[cfg(feature = "jack")]
impl Drop for SystemOutput {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(200));
    }
}

struct SystemInput {
    messages: Receiver<Vec<u8>>,
    is_there: Box<dyn FnMut() -> bool + Send>,
    _connection: MidiInputConnection<()>,
}

impl Input for SystemInput {
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.messages.recv_timeout(LOOK) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) if (self.is_there)() => {}
                Err(_) => return Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }
}

/// The names of all ports; none without a service.
pub fn names(direction: Direction) -> Vec<String> {
    let names = match direction {
        Direction::Output => MidiOutput::new(NAME).map(|client| names_of(&client)),
        Direction::Input => MidiInput::new(NAME).map(|client| names_of(&client)),
    };
    names.unwrap_or_default()
}

/// Returns a function that checks whether a port is present.
pub fn watch(direction: Direction, name: &str) -> Box<dyn FnMut() -> bool + Send> {
    let name = name.to_string();
    let is_among = move |names: &[String]| names.iter().any(|other| is_same(other, &name));
    match direction {
        Direction::Output => {
            let client = MidiOutput::new(NAME).ok();
            Box::new(move || client.as_ref().is_some_and(|client| is_among(&names_of(client))))
        }
        Direction::Input => {
            let client = MidiInput::new(NAME).ok();
            Box::new(move || client.as_ref().is_some_and(|client| is_among(&names_of(client))))
        }
    }
}

pub fn open_output(name: &str) -> io::Result<Box<dyn Output>> {
    let client = MidiOutput::new(NAME).map_err(other)?;
    let port = find(&client, name)?;
    let connection = client.connect(&port, "out").map_err(other)?;
    Ok(SystemOutput::open(connection))
}

pub fn open_input(name: &str) -> io::Result<Box<dyn Input>> {
    let client = MidiInput::new(NAME).map_err(other)?;
    let port = find(&client, name)?;
    let (sender, messages) = mpsc::channel();
    let forward = move |_, bytes: &[u8], _: &mut ()| {
        // The other end is closed before the connection.
        let _ = sender.send(bytes.to_vec());
    };
    let connection = client.connect(&port, "in", forward, ()).map_err(other)?;
    let is_there = watch(Direction::Input, name);
    Ok(Box::new(SystemInput { messages, is_there, _connection: connection }))
}

/// Whether virtual ports are supported.
pub fn has_virtual() -> bool {
    cfg!(unix) && MidiOutput::new(NAME).is_ok()
}

/// A virtual port, to which other programs connect.
#[cfg(unix)]
pub fn open_virtual() -> io::Result<Box<dyn Output>> {
    use midir::os::unix::VirtualOutput;
    let client = MidiOutput::new(NAME).map_err(other)?;
    let connection = client.create_virtual(NAME).map_err(other)?;
    Ok(SystemOutput::open(connection))
}

#[cfg(not(unix))]
pub fn open_virtual() -> io::Result<Box<dyn Output>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn names_of<P: MidiIO>(client: &P) -> Vec<String> {
    client.ports().iter().filter_map(|port| client.port_name(port).ok()).collect()
}

fn find<P: MidiIO>(client: &P, name: &str) -> io::Result<P::Port> {
    let ports = client.ports();
    let by = |is_it: &dyn Fn(&str) -> bool| {
        ports.iter().find(|port| client.port_name(port).is_ok_and(|name| is_it(&name))).cloned()
    };
    let found = by(&|other| other == name).or_else(|| by(&|other| is_same(other, name)));
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether two names belong to one port: ALSA appends numbers, which change each time that an
/// instrument is plugged in.
fn is_same(one: &str, other: &str) -> bool {
    fn plain(name: &str) -> &str {
        name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':').trim_end()
    }
    if cfg!(target_os = "linux") && !cfg!(feature = "jack") {
        plain(one) == plain(other)
    } else {
        one == other
    }
}

fn other(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}
