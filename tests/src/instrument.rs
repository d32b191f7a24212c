//! A simulated instrument, and `pianola play` connected to it.
//!
//! Errors panic, so that they fail the test.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use pianola_runtime::{
    Generator, MAX_HIDDEN, MAX_LAYERS, Message, MidiParser, Model, Player, Sampling,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{pianola, root};

/// The model for `pianola play`.
pub const MODEL: &str = "models/expressive-int4.safetensors";

/// An instrument at the end of a serial line, a pseudo-terminal.
pub struct Instrument {
    line: Arc<OwnedFd>,
    /// The end that the program opens.
    pub path: PathBuf,
    /// Kept open, so that the line stays when the program is gone.
    own_end: OwnedFd,
    received: Arc<Mutex<Vec<(Instant, u8)>>>,
    over: Arc<AtomicBool>,
    /// Whether it echoes its input.
    thru: Arc<AtomicBool>,
    receiver: Option<JoinHandle<()>>,
}

/// A line: the test's end, the path of the program's end, and that end, kept open.
fn new_line() -> (OwnedFd, PathBuf, OwnedFd) {
    // Child processes must not hold the line open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let line = openpt(flags).unwrap();
    grantpt(&line).unwrap();
    unlockpt(&line).unwrap();
    let path = PathBuf::from(ptsname(&line, Vec::new()).unwrap().into_string().unwrap());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let own_end = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
    (line, path, own_end)
}

impl Instrument {
    /// An instrument on a new line.
    pub fn plug_in() -> Self {
        let mut instrument = Self::unread();
        let (line, received, over, thru) = (
            Arc::clone(&instrument.line),
            Arc::clone(&instrument.received),
            Arc::clone(&instrument.over),
            Arc::clone(&instrument.thru),
        );
        instrument.receiver = Some(thread::spawn(move || receive(&line, &received, &over, &thru)));
        instrument
    }

    /// A line whose other end nobody reads.
    pub fn unread() -> Self {
        let (line, path, own_end) = new_line();
        let (received, over, thru) = (Arc::default(), Arc::default(), Arc::default());
        Self { line: Arc::new(line), path, own_end, received, over, thru, receiver: None }
    }

    /// Terminal settings of the program's end, as text.
    pub fn modes(&self) -> String {
        let modes = rustix::termios::tcgetattr(&self.own_end).unwrap();
        format!("{:?} {:?}", modes.local_modes, modes.input_modes)
    }

    /// Sends as many bytes to the program as fit.
    pub fn press_some(&self, bytes: &[u8]) {
        let now = Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 });
        let room = poll(&mut [PollFd::new(&self.line, PollFlags::OUT)], now).unwrap() > 0;
        if room {
            let _ = rustix::io::write(&self.line, &bytes[..bytes.len().min(1000)]);
        }
    }

    /// Echoes its input from now on.
    pub fn send_back(&self) {
        self.thru.store(true, Ordering::Relaxed);
    }

    /// Bytes received so far.
    pub fn bytes(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// The last value of a controller.
    pub fn control(&self, wanted: u8) -> Option<u8> {
        self.messages().into_iter().rev().find_map(|(_, message)| match message {
            Message::Control { number, value, .. } if number == wanted => Some(value),
            _ => None,
        })
    }

    /// Sends bytes to the program.
    pub fn press(&self, message: &[u8]) {
        assert_eq!(rustix::io::write(&self.line, message).unwrap(), message.len());
    }

    /// All messages received so far, each with the time of its last byte.
    pub fn messages(&self) -> Vec<(Instant, Message)> {
        let mut parser = MidiParser::default();
        let received = self.received.lock().unwrap();
        received.iter().filter_map(|&(time, byte)| Some((time, parser.feed(byte)?))).collect()
    }

    /// The received bytes as text.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.received.lock().unwrap().iter().map(|&(_, byte)| byte).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Pitches that started, with their times.
    pub fn starts(&self) -> Vec<(Instant, u8)> {
        let messages = self.messages().into_iter();
        messages.filter_map(|(time, message)| Some((time, message.started()?))).collect()
    }

    /// Waits until this many notes have started.
    pub fn wait_for(&self, notes: usize) -> Vec<(Instant, u8)> {
        until(&format!("{notes} notes"), || self.starts().len() >= notes);
        self.starts()
    }

    /// Waits until the program has opened the line, and with it any input line.
    pub fn wait_until_open(&self) {
        until("something came", || !self.messages().is_empty());
    }

    /// Waits until nothing has arrived for a while.
    fn drain(&self) {
        let mut count = usize::MAX;
        loop {
            sleep(Duration::from_millis(50));
            let received = self.received.lock().unwrap().len();
            let now = Some(&Timespec { tv_sec: 0, tv_nsec: 0 });
            let waiting = poll(&mut [PollFd::new(&self.line, PollFlags::IN)], now).unwrap() > 0;
            if received == count && !waiting {
                return;
            }
            count = received;
        }
    }

    /// Asserts that nothing sounds once everything on the line has been received.
    pub fn must_be_silent(&self) {
        self.drain();
        let mut sounding: Vec<u8> = Vec::new();
        for (_, message) in self.messages() {
            sounding.retain(|&pitch| Some(pitch) != message.ended());
            sounding.extend(message.started());
        }
        assert!(sounding.is_empty(), "{sounding:?} sound");
    }
}

impl Drop for Instrument {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(receiver) = self.receiver.take() {
            let _ = receiver.join();
        }
    }
}

fn receive(
    line: &OwnedFd,
    received: &Mutex<Vec<(Instant, u8)>>,
    over: &AtomicBool,
    thru: &AtomicBool,
) {
    let mut buffer = [0; 4096];
    let patience = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    while !over.load(Ordering::Relaxed) {
        let ready = poll(&mut [PollFd::new(line, PollFlags::IN)], Some(&patience)).unwrap();
        if ready > 0 {
            let count = rustix::io::read(line, &mut buffer).unwrap();
            let now = Instant::now();
            received.lock().unwrap().extend(buffer[..count].iter().map(|&byte| (now, byte)));
            if thru.load(Ordering::Relaxed) {
                let _ = rustix::io::write(line, &buffer[..count]);
            }
        }
    }
}

/// Waits for a condition; up to half a minute, since the machine may be shared.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not in 30 s");
        sleep(Duration::from_millis(5));
    }
}

/// The program, playing.
pub struct Playing(Child);

impl Playing {
    /// Starts it on a port, with the int4 model.
    pub fn on(port: impl AsRef<OsStr>, seed: u64, options: &[&str]) -> Self {
        let mut command = Self::command(port, seed);
        command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Starts it with a terminal, which is another pseudo-terminal.
    pub fn in_terminal(terminal: &Instrument, mut command: Command) -> Self {
        let end = || fs::OpenOptions::new().read(true).write(true).open(&terminal.path).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(end(), size).unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        Self(command.spawn().unwrap())
    }

    /// The command for a port, with the int4 model.
    pub fn command(port: impl AsRef<OsStr>, seed: u64) -> Command {
        let mut command = pianola();
        command.arg("play").arg("--port").arg(port).args(["--seed", &seed.to_string()]);
        command.arg("--model").arg(root().join(MODEL));
        command
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }

    /// Whether it ends within a time limit.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience {
            if self.0.try_wait().unwrap().is_some() {
                return true;
            }
            sleep(Duration::from_millis(5));
        }
        false
    }

    /// Resident memory, in kB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Whether it is stopped (job control).
    pub fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // Such as `123 (pianola) T 1 ...`.
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
    }

    /// Its output up to the end, which must not be a kill.
    pub fn end(&mut self) -> (String, String) {
        let (mut printed, mut said) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
        (printed, said)
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Dense music, so that many notes sound; but no chord of more notes than the player holds: its last notes would
/// be generated too late.
pub const DENSE: [&str; 4] = ["--density", "100", "--polyphony", "10"];

fn dense() -> Sampling {
    let guarded = Sampling::default().with_guards();
    guarded.with_density(100.0).with_polyphony(10)
}

/// The player's messages for a piece, from the silencing at its start to that at its end.
pub fn scheduled(seed: u64, notes: usize) -> Vec<Message> {
    let file = fs::read(root().join(MODEL)).unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let mut generator = Generator::<MAX_LAYERS, MAX_HIDDEN>::from_model(&model, seed).unwrap();
    let start = pianola_runtime::Instant::START;
    let mut player: Player = Player::new(start);
    let (mut messages, mut now, mut made) = (Vec::new(), start, 0);
    loop {
        while made < notes && player.wants_note(now) {
            player.push(&generator.next_note(&dense()), now);
            made += 1;
        }
        let Some(due) = player.due() else { break };
        now = due.max(now);
        messages.extend(std::iter::from_fn(|| player.next(now)));
    }
    player.panic(now);
    messages.extend(std::iter::from_fn(|| player.next(now)));
    messages
}
