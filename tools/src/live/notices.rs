//! Notices during a performance: in the view, or on standard error. The sender of a notice never
//! waits for its reader.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pianola_host::text::escape;

use crate::live::lock::lock;

/// Destination of notices.
#[derive(Clone)]
pub enum Notices {
    /// The view, which shows the last one.
    View(Arc<Mutex<Option<String>>>),
    /// Standard error.
    Stderr(SyncSender<String>, Arc<Mutex<Receiver<()>>>),
}

/// Maximum number of queued notices.
const MOST: usize = 64;

/// How long the end waits for queued notices.
const PATIENCE: Duration = Duration::from_millis(100);

impl Notices {
    /// Notices for a view.
    pub fn in_view() -> Self {
        Self::View(Arc::default())
    }

    /// Notices on standard error, written by a thread that may wait for the reader.
    pub fn on_stderr() -> Self {
        let (notices, said) = sync_channel::<String>(MOST);
        let (end, ended) = sync_channel(1);
        thread::spawn(move || {
            for line in said {
                if line.is_empty() {
                    let _ = end.send(());
                } else {
                    let _ = writeln!(io::stderr(), "{line}");
                }
            }
        });
        Self::Stderr(notices, Arc::new(Mutex::new(ended)))
    }

    /// Sends a notice; names in it cannot control the terminal.
    pub fn say(&self, line: String) {
        let line = escape(&line);
        match self {
            Self::View(last) => *lock(last) = Some(line),
            Self::Stderr(notices, _) => drop(notices.try_send(line)),
        }
    }

    /// Takes the last notice for a view.
    pub fn take(&self) -> Option<String> {
        if let Self::View(last) = self { lock(last).take() } else { None }
    }

    /// Waits a moment until all notices are written.
    pub fn flush(&self) {
        if let Self::Stderr(notices, ended) = self
            && notices.try_send(String::new()).is_ok()
        {
            let _ = lock(ended).recv_timeout(PATIENCE);
        }
    }
}
