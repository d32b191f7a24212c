//! Signals: each that asks a program to end does so within a second; Ctrl-Z silences the port first.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::Duration;

use ratatui::crossterm::terminal::disable_raw_mode;
use signal_hook::consts::SIGTSTP;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::live::queue::Inbox;
use crate::live::recording::Saving;
use crate::options::output::ENDS;

/// Time limit for the threads to end by themselves.
const PATIENCE: Duration = Duration::from_millis(850);

/// Routes signals to the timing thread from now on. A save in progress is always completed.
pub fn handle(inbox: Arc<Inbox>, saving: Saving) -> io::Result<()> {
    let mut signals = Signals::new(ENDS.into_iter().chain([SIGTSTP]))?;
    thread::spawn(move || {
        let mut ending = false;
        for signal in signals.forever() {
            if signal == SIGTSTP {
                suspend(&inbox, signal);
                continue;
            }
            inbox.quit();
            if !ending {
                ending = true;
                let saving = saving.clone();
                thread::spawn(move || end_in_time(&saving, signal));
            }
        }
    });
    Ok(())
}

fn suspend(inbox: &Inbox, signal: i32) {
    let (silenced, silent) = channel();
    let (_goes_on, resumed) = channel();
    inbox.put(|arrived| arrived.suspend = Some((silenced, resumed)));
    // The timing thread answers, or has ended without an answer.
    let _ = silent.recv_timeout(PATIENCE);
    // Returns when the process resumes; until the end of this turn, nothing is played.
    let _ = emulate_default_handler(signal);
}

/// Ends a process whose other threads are blocked, such as on a model file that never arrives.
fn end_in_time(saving: &Saving, signal: i32) {
    sleep(PATIENCE);
    saving.wait();
    let _ = disable_raw_mode();
    process::exit(128 + signal);
}
