//! Reopens ports that are lost, because a plug is pulled or a program ends, when they are back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pianola_runtime::{Message, MidiParser};

use crate::live::notices::Notices;
use crate::live::open_port::{Direction, Input};
use crate::live::port::Port;
use crate::live::queue::Inbox;
use crate::live::timing::{Clock, raise_priority};

/// Interval between checks for a port.
const LOOK: Duration = Duration::from_millis(200);

/// Maximum wait before a port that is lost again and again is reopened.
const LONGEST: Duration = Duration::from_secs(5);

/// Monitors the output port until the timing thread ends: reports that the port is gone, unless the
/// timing thread found out first, and hands it the reopened port.
pub fn keep(port: &Port, lost: &Receiver<()>, inbox: &Inbox, notices: &Notices) {
    let mut is_there = Some(port.watch(Direction::Output));
    let mut absence = Absence::default();
    loop {
        let found_out = match lost.recv_timeout(LOOK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match &mut is_there {
            Some(there) => {
                if !found_out && there() {
                    continue;
                }
                if absence.begins() {
                    notices.say(format!("{port} is gone; waiting for it"));
                }
                is_there = None;
                if !found_out {
                    inbox.put(|arrived| (arrived.lost, arrived.found) = (true, None));
                }
            }
            None if absence.is_to_be_tried() => {
                if let Ok(output) = port.open_output() {
                    if absence.ends() {
                        notices.say(format!("{port} is back"));
                    }
                    is_there = Some(port.watch(Direction::Output));
                    inbox.put(|arrived| arrived.found = Some(output));
                }
            }
            None => {}
        }
    }
}

/// Forwards input, for as long as the program runs.
pub fn listen(
    port: &Port,
    mut input: Box<dyn Input>,
    clock: Clock,
    inbox: &Arc<Inbox>,
    notices: &Notices,
) {
    raise_priority();
    let mut parser = MidiParser::default();
    let mut absence = Absence::default();
    loop {
        if let Ok(bytes) = input.receive() {
            let now = clock.now();
            let messages = bytes.into_iter().filter_map(|byte| parser.feed(byte));
            // Clock and active sensing arrive all the time, and carry no information.
            let asking =
                |message: &Message| !matches!(message, Message::Clock | Message::ActiveSensing);
            inbox.put(|arrived| {
                messages.filter(asking).for_each(|message| arrived.incoming.push(message, now));
            });
            continue;
        }
        inbox.put(|arrived| arrived.deaf = true);
        if absence.begins() {
            notices.say(format!("{port} is gone; waiting for it"));
        }
        input = loop {
            sleep(LOOK);
            if absence.is_to_be_tried()
                && let Ok(input) = port.open_input()
            {
                break input;
            }
        };
        parser = MidiParser::default();
        if absence.ends() {
            notices.say(format!("{port} is back"));
        }
    }
}

/// Backoff for a port: one that is lost as soon as it is open is retried less and less often,
/// and without a notice.
struct Absence {
    since: Instant,
    opened: Instant,
    wait: Duration,
    reported: bool,
}

impl Default for Absence {
    fn default() -> Self {
        let now = Instant::now();
        Self { since: now, opened: now, wait: Duration::ZERO, reported: false }
    }
}

impl Absence {
    /// Minimum time that a port must stay open to count as present.
    const THERE: Duration = Duration::from_secs(2);

    /// The port is lost; returns whether to report that.
    fn begins(&mut self) -> bool {
        let short = self.reported && self.opened.elapsed() < Self::THERE;
        self.since = Instant::now();
        self.wait = if short { (2 * self.wait.max(LOOK)).min(LONGEST) } else { Duration::ZERO };
        self.reported = true;
        !short
    }

    fn is_to_be_tried(&self) -> bool {
        self.since.elapsed() >= self.wait
    }

    /// The port is back; returns whether to report that.
    fn ends(&mut self) -> bool {
        self.opened = Instant::now();
        self.wait.is_zero()
    }
}
