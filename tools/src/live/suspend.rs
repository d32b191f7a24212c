//! Ctrl-Z: a performance that is put aside leaves nothing sounding, and goes on when it is called back.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use signal_hook::consts::SIGTSTP;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::live::timing::Command;

/// Silences the port before the terminal stops this process, from now on.
pub fn silence_first(commands: Sender<Command>) -> io::Result<()> {
    let mut stops = Signals::new([SIGTSTP])?;
    thread::spawn(move || {
        for stop in stops.forever() {
            let (silenced, silent) = channel();
            let (_goes_on, resumed) = channel();
            if commands.send(Command::Suspend(silenced, resumed)).is_ok() {
                // It answers, or ends and drops its side.
                let _ = silent.recv();
            }
            // Returns when the process goes on; until the end of this turn, nothing is played.
            let _ = emulate_default_handler(stop);
        }
    });
    Ok(())
}
