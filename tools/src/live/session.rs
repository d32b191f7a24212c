//! The view and the recording of a performance.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use pianola_host::text::{causes, plural};
use pianola_runtime::{Control, Controls, Event, Instant, Message, Micros, TransportCommand};

use crate::live::keys::{Action, action, watch_keys};
use crate::live::lock::lock;
use crate::live::notices::Notices;
use crate::live::performance::{Activity, Update};
use crate::live::played::{Performer, Played};
use crate::live::queue::Inbox;
use crate::live::recording::Recording;
use crate::live::timing::Clock;
use crate::live::view::{MEMORY, Scene, View};

/// The notes played so far, and the queued ones.
pub struct Session {
    /// `None` if no recording is wanted.
    recording: Option<Recording>,
    ahead: Vec<Played>,
    activity: Activity,
    count: usize,
    late: Micros,
    /// Seeds of the pieces so far, and the start of the last one.
    seeds: Vec<u64>,
    began: Instant,
}

impl Session {
    /// A session, with or without a recording.
    pub fn new(keeps: bool) -> Self {
        Self {
            recording: keeps.then(Recording::default),
            ahead: Vec::new(),
            activity: Activity::Paused,
            count: 0,
            late: Micros::ZERO,
            seeds: Vec::new(),
            began: Instant::START,
        }
    }

    /// Starts a piece.
    pub fn begin(&mut self, seed: u64, now: Instant) {
        self.seeds.push(seed);
        self.began = now;
    }

    /// The seeds of all pieces, for printing.
    pub fn seeds(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        format!("{} {}", plural(seeds.len(), "seed"), seeds.join(", "))
    }

    /// The recording of both performers.
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// Handles an update.
    pub fn take(&mut self, update: Update, notices: &Notices) {
        match update {
            Update::Sent(message, at) => {
                self.count += usize::from(message.started().is_some());
                self.record(Performer::Pianola, message, at);
            }
            Update::Received(message, at) => self.record(Performer::Person, message, at),
            Update::Ahead(note) => {
                self.ahead.retain(|other| other.end.is_some_and(|end| end > note.start));
                self.ahead.push(note);
            }
            Update::Forgotten => self.ahead.clear(),
            Update::Late(late) => self.late = self.late.max(late),
            Update::Activity(activity) => self.activity = activity,
            Update::Echoing => notices
                .say("the port sends back what it gets: Pianola ignores its own messages".into()),
        }
    }

    fn record(&mut self, performer: Performer, message: Message, at: Instant) {
        if let Some(recording) = &mut self.recording {
            recording.take(performer, message, at);
        }
    }

    /// Saves the last piece in the working folder; returns its path.
    fn save(&self, now: Instant) -> anyhow::Result<PathBuf> {
        let Some(seed) = self.seeds.last() else { bail!("there is nothing to save yet") };
        let names = (1..1000).map(|number| match number {
            1 => format!("pianola-{seed}.mid"),
            _ => format!("pianola-{seed}-{number}.mid"),
        });
        let path = names.map(PathBuf::from).find(|path| !path.exists());
        let path = path.context("there are too many files of this seed")?;
        let piece = self.recording.as_ref().map(|recording| recording.since_start(self.began));
        if !piece.unwrap_or_default().write(&path, now)? {
            bail!("there is nothing to save yet");
        }
        Ok(path)
    }
}

/// Handles all updates until the performance ends.
pub fn follow(session: &Mutex<Session>, updates: &Receiver<Update>, notices: &Notices) {
    for update in updates {
        lock(session).take(update, notices);
    }
}

/// A session, and everything needed to show it in a terminal.
#[derive(Clone)]
pub struct Stage {
    pub clock: Clock,
    pub port: String,
    pub session: Arc<Mutex<Session>>,
    pub controls: Arc<Mutex<Controls>>,
    pub inbox: Arc<Inbox>,
    pub notices: Notices,
    /// Whether the recording is saved without a request.
    pub records: bool,
}

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(33);

/// How long a notice is shown.
const NOTICE: Micros = Micros::from_millis(6_000);

impl Stage {
    /// Shows the session on a separate thread until the sender is dropped; the receiver reports when the
    /// terminal is restored, which a terminal that nobody reads may prevent.
    pub fn start(self) -> (Sender<()>, Receiver<anyhow::Result<()>>) {
        let (over, is_over) = channel();
        let (result, shown) = channel();
        thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.show(&is_over)));
            self.inbox.quit();
            let _ = result.send(outcome.unwrap_or_else(|_| bail!("the view has panicked")));
        });
        (over, shown)
    }

    /// Shows a performance until `over` has a message or is closed, and executes keys' commands.
    fn show(&self, over: &Receiver<()>) -> anyhow::Result<()> {
        let mut view = View::open().context("cannot show anything here: use --no-view")?;
        let keys = watch_keys();
        let initial = *lock(&self.controls);
        let mut chosen = Control::Temperature;
        let mut notice: Option<(String, Instant)> = None;
        loop {
            if over.try_recv() != Err(TryRecvError::Empty) {
                return Ok(());
            }
            let now = self.clock.now();
            if let Some(line) = self.notices.take() {
                notice = Some((line, now + NOTICE));
            }
            notice = notice.filter(|(_, until)| *until > now);
            let line = notice.as_ref().map(|(line, _)| line.as_str());
            self.draw(&mut view, chosen, line)?;
            view.check()?;
            match keys.recv_timeout(FRAME) {
                Ok(key) => {
                    if let Some(action) = action(key, chosen) {
                        self.act(action, &mut chosen, &initial);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // There will be no keys; the view continues.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(FRAME),
            }
        }
    }

    fn draw(&self, view: &mut View, chosen: Control, notice: Option<&str>) -> std::io::Result<()> {
        let now = self.clock.now();
        let controls = *lock(&self.controls);
        // Draws from a copy: the terminal may be slow, and no other thread may wait for it.
        let (notes, activity, count, late, seed, began) = {
            let session = lock(&self.session);
            let past = session.recording.iter().flat_map(|all| all.since(now - MEMORY));
            let ahead = session.ahead.iter().filter(|note| note.start > now);
            let notes: Vec<Played> = past.chain(ahead).copied().collect();
            let Session { activity, count, late, began, .. } = *session;
            (notes, activity, count, late, session.seeds.last().copied(), began)
        };
        let Self { port, records, .. } = self;
        let elapsed = now - began;
        view.show(&Scene {
            port,
            activity,
            now,
            notes: &notes,
            count,
            late,
            seed,
            elapsed,
            records: *records,
            controls: &controls,
            chosen,
            notice,
        })
    }

    /// Executes a key's command.
    fn act(&self, action: Action, chosen: &mut Control, initial: &Controls) {
        let ask = |command| self.inbox.ask(Event::Transport(command));
        match action {
            Action::Choose(control) => *chosen = control,
            Action::Step(control, steps) => control.step(&mut lock(&self.controls), steps),
            Action::Reset(control) => control.copy(&mut lock(&self.controls), initial),
            Action::Start => ask(TransportCommand::Start),
            Action::Pause if lock(&self.session).activity.is_paused() => {
                ask(TransportCommand::Continue);
            }
            Action::Pause => ask(TransportCommand::Stop),
            Action::Panic => ask(TransportCommand::Panic),
            Action::Save => {
                let saved = lock(&self.session).save(self.clock.now());
                self.notices.say(match saved {
                    Ok(path) => format!("saved {}", path.display()),
                    Err(error) => format!("cannot save: {}", causes(error.as_ref())),
                });
            }
            Action::Quit => self.inbox.quit(),
        }
    }
}
