//! Ports that are lost, by a plug pulled or a program that ends, and opened again when they are back.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::sleep;
use std::time::Duration;

use pianola_runtime::MidiParser;

use crate::live::port::{Direction, Input, Port};
use crate::live::timing::{Clock, Command, hurry};

/// How often it is looked whether a port is there.
const LOOK: Duration = Duration::from_millis(200);

/// Looks after the port that is played on until the timing thread ends: tells it when the port is
/// gone, unless it has found out, and hands it the port that is back.
pub fn keep(port: &Port, lost: &Receiver<()>, commands: &Sender<Command>, say: fn(&str)) {
    let mut is_there = Some(port.watch(Direction::Output));
    loop {
        let found_out = match lost.recv_timeout(LOOK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match &mut is_there {
            Some(there) => {
                if found_out || !there() {
                    say(&format!("{port} is gone; waiting for it"));
                    is_there = None;
                    if !found_out {
                        let _ = commands.send(Command::Lost);
                    }
                }
            }
            None => {
                if let Ok(output) = port.open_output() {
                    say(&format!("{port} is back"));
                    is_there = Some(port.watch(Direction::Output));
                    let _ = commands.send(Command::Found(output));
                }
            }
        }
    }
}

/// Passes on what comes in, until nobody takes it.
pub fn listen(
    port: &Port,
    mut input: Box<dyn Input>,
    clock: Clock,
    commands: &Sender<Command>,
    say: fn(&str),
) {
    hurry();
    let mut parser = MidiParser::default();
    loop {
        match input.receive() {
            Ok(bytes) => {
                let now = clock.now();
                for message in bytes.into_iter().filter_map(|byte| parser.feed(byte)) {
                    // The clock and active sensing come all the time, and say nothing.
                    if !matches!(message[0], 0xf8 | 0xfe)
                        && commands.send(Command::Heard(message, now)).is_err()
                    {
                        return;
                    }
                }
            }
            Err(_) => {
                if commands.send(Command::Deaf).is_err() {
                    return;
                }
                say(&format!("{port} is gone; waiting for it"));
                input = loop {
                    sleep(LOOK);
                    if let Ok(input) = port.open_input() {
                        break input;
                    }
                };
                parser = MidiParser::default();
                say(&format!("{port} is back"));
            }
        }
    }
}

/// Says something on standard error, if anybody reads that.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
