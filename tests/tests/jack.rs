//! `pianola play` on the ports of a JACK server, with its `jack` feature: `cargo xtask live`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use pianola_runtime::{Message, MidiParser};
use pianola_tests::instrument::{DENSE, Playing, Signal, scheduled, until};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// A JACK server without a sound card.
struct Server(Child);

impl Server {
    /// Starts the server that `JACK_DEFAULT_SERVER` names: separate from the user's own.
    fn start() -> Self {
        let name = std::env::var("JACK_DEFAULT_SERVER").expect("cargo xtask live");
        let mut jackd = Command::new("jackd");
        // Real-time where permitted; it waits for slow programs, whose messages it would
        // lose otherwise.
        jackd.args(["-n", &name, "--realtime", "--sync", "-d", "dummy", "-r", "48000", "-p", "64"]);
        let server = Self(jackd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("JACK runs", || ports().contains("system:playback_1"));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The names of all ports.
fn ports() -> String {
    let output = Command::new("jack_lsp").stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A program that prints the messages that it receives.
struct Monitor {
    program: Child,
    received: Arc<Mutex<Vec<Message>>>,
}

impl Monitor {
    fn start() -> Self {
        let mut dump = Command::new("stdbuf");
        dump.args(["-oL", "jack_midi_dump", "monitor"]).stderr(Stdio::null());
        let mut program = dump.stdout(Stdio::piped()).spawn().unwrap();
        let printed = BufReader::new(program.stdout.take().unwrap());
        let received: Arc<Mutex<Vec<Message>>> = Arc::default();
        thread::spawn({
            let received = Arc::clone(&received);
            move || {
                for line in printed.lines().map_while(Result::ok) {
                    // Such as `  12: 90 3c 50 note on (channel 0): pitch 60, velocity 80`.
                    let (_, after) = line.split_once(": ").unwrap();
                    let bytes = after.split(' ').take(3);
                    let bytes: Vec<u8> =
                        bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
                    let mut parser = MidiParser::default();
                    let messages = bytes.into_iter().filter_map(|byte| parser.feed(byte));
                    received.lock().unwrap().extend(messages);
                }
            }
        });
        until("the monitor is there", || ports().contains("monitor:input"));
        Self { program, received }
    }

    fn messages(&self) -> Vec<Message> {
        self.received.lock().unwrap().clone()
    }

    fn starts(&self) -> usize {
        self.messages().iter().filter(|message| message.started().is_some()).count()
    }

    /// Asserts that nothing sounds once everything has been received.
    fn must_be_silent(&self) {
        sleep(Duration::from_millis(200));
        let mut sounding: Vec<u8> = Vec::new();
        for message in self.messages() {
            sounding.retain(|&pitch| Some(pitch) != message.ended());
            sounding.extend(message.started());
        }
        assert!(sounding.is_empty(), "{sounding:?} sound");
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        until("the monitor is gone", || !ports().contains("monitor:input"));
    }
}

#[test]
#[ignore = "needs JACK: cargo xtask live"]
fn what_is_scheduled_arrives_byte_for_byte() {
    let _server = Server::start();
    let expected = scheduled(5, 2000);
    for _ in 0..5 {
        let monitor = Monitor::start();
        let options = [&DENSE[..], &["--notes", "2000"]].concat();
        let (printed, _) = Playing::on("monitor", 5, &options).end();
        eprint!("JACK: {printed}");
        monitor.must_be_silent();
        // A machine that stalled has delayed the music, as intended.
        let (before, _) = printed.rsplit_once(" ms at most").unwrap();
        if before.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() < 5.0 {
            let received = monitor.messages();
            let alike = received.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            let differ = |messages: &[Message]| {
                format!("{:?}", &messages[alike..(alike + 4).min(messages.len())])
            };
            assert!(
                received == expected,
                "from message {alike} of {} on: {}, not {}",
                expected.len(),
                differ(&received),
                differ(&expected)
            );
            return;
        }
    }
    panic!("this machine stalls too often");
}

#[test]
#[ignore = "needs JACK: cargo xtask live"]
fn interrupted_at_any_moment_it_leaves_nothing_sounding() {
    let _server = Server::start();
    let monitor = Monitor::start();
    let mut rng = Pcg32::new(2, 2);
    for seed in 0..15 {
        let (before, mut playing) = (monitor.starts(), Playing::on("monitor", seed, &DENSE));
        until("it plays", || monitor.starts() > before);
        sleep(Duration::from_millis(u64::from(rng.next_u32() % 1500)));
        playing.signal([Signal::INT, Signal::TERM, Signal::HUP][seed as usize % 3]);
        playing.end();
        monitor.must_be_silent();
    }
}

#[test]
#[ignore = "needs JACK: cargo xtask live"]
fn a_receiver_that_is_killed_is_played_to_again_when_it_is_back() {
    let _server = Server::start();
    let first = Monitor::start();
    let mut playing = Playing::on("monitor", 3, &[&DENSE[..], &["--notes", "600"]].concat());
    until("it plays", || first.starts() > 50);
    drop(first);
    sleep(Duration::from_secs(1));
    let second = Monitor::start();
    let (_, said) = playing.end();
    assert!(said.contains("is gone") && said.contains("is back"), "{said}");
    second.must_be_silent();
    assert!(second.starts() > 0);
}

/// Without an output port, there is a virtual one; here, another Pianola listens to it,
/// and answers.
#[test]
#[ignore = "needs JACK: cargo xtask live"]
fn one_pianola_answers_another() {
    let _server = Server::start();
    let mut first = pianola_tests::pianola();
    first.args(["play", "--seed", "1", "--seconds", "8"]).stderr(Stdio::null());
    let mut first = first.stdout(Stdio::null()).spawn().unwrap();
    until("the virtual port is there", || ports().contains("Pianola:Pianola"));
    let monitor = Monitor::start();
    let options = ["--listen", "Pianola:Pianola", "--gap", "0.3", "--echo", "off", "--notes", "20"];
    let mut second = Playing::on("monitor", 2, &options);
    second.end();
    assert!(first.wait().unwrap().success());
    assert!(monitor.starts() >= 20);
    monitor.must_be_silent();
}
