//! What is seen of a performance and kept of it.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use anyhow::Context;
use pianola_runtime::{Micros, Sampling};

use crate::live::composer::current;
use crate::live::knobs::Knob;
use crate::live::mapping::Request;
use crate::live::recording::{Performer, Played, Recording};
use crate::live::timing::{Clock, Command, News};
use crate::live::view::{Action, Doing, MEMORY, Scene, View};

/// What has been played so far, and what is about to be.
pub struct Session<'a> {
    clock: Clock,
    port: &'a str,
    sampling: &'a Mutex<Sampling>,
    /// The controls as they were at the start.
    initial: Sampling,
    recording: Recording,
    ahead: Vec<Played>,
    doing: Doing,
    count: usize,
    late: Micros,
    chosen: Knob,
}

/// From one picture to the next.
const FRAME: Duration = Duration::from_millis(33);

impl<'a> Session<'a> {
    pub fn new(clock: Clock, port: &'a str, sampling: &'a Mutex<Sampling>) -> Self {
        Self {
            clock,
            port,
            sampling,
            initial: *current(sampling),
            recording: Recording::default(),
            ahead: Vec::new(),
            doing: Doing::Stopped,
            count: 0,
            late: 0,
            chosen: Knob::Temperature,
        }
    }

    /// Follows a performance to its end.
    pub fn follow(&mut self, news: &Receiver<News>) {
        news.iter().for_each(|one| self.take(one));
    }

    /// Shows a performance until it ends, and does what keys ask for.
    pub fn show(
        &mut self,
        news: &Receiver<News>,
        commands: &Sender<Command>,
    ) -> anyhow::Result<()> {
        let view = &mut View::open().context("cannot show anything here: use --no-view")?;
        loop {
            loop {
                match news.try_recv() {
                    Ok(one) => self.take(one),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.draw(view)?;
            if let Some(command) =
                view.wait(FRAME, self.chosen)?.and_then(|action| self.act(action))
            {
                // It may have ended meanwhile.
                let _ = commands.send(command);
            }
        }
    }

    /// Writes what both have played; returns whether there was anything.
    pub fn write(&self, path: &Path) -> anyhow::Result<bool> {
        self.recording.write(path, self.clock.now())
    }

    fn take(&mut self, news: News) {
        match news {
            News::Sent(message, at) => {
                self.count += usize::from(message[0] == 0x90);
                self.recording.take(Performer::Pianola, message, at);
            }
            News::Heard(message, at) => self.recording.take(Performer::Person, message, at),
            News::Ahead(note) => {
                let now = self.clock.now();
                self.ahead.retain(|note| note.start > now);
                self.ahead.push(note);
            }
            News::Forgotten => self.ahead.clear(),
            News::Late(late) => self.late = self.late.max(late),
            News::Doing(doing) => self.doing = doing,
        }
    }

    fn draw(&mut self, view: &mut View) -> anyhow::Result<()> {
        let now = self.clock.now();
        let past = self.recording.since(now.saturating_sub(MEMORY));
        let ahead = self.ahead.iter().filter(|note| note.start > now);
        let notes: Vec<Played> = past.chain(ahead).copied().collect();
        let sampling = *current(self.sampling);
        let &mut Self { port, doing, count, late, chosen, .. } = self;
        let scene =
            Scene { port, doing, now, notes: &notes, count, late, sampling: &sampling, chosen };
        Ok(view.show(&scene)?)
    }

    /// Turns knobs; returns what else is asked for.
    fn act(&mut self, action: Action) -> Option<Command> {
        match action {
            Action::Choose(knob) => self.chosen = knob,
            Action::Step(knob, steps) => knob.step(&mut current(self.sampling), steps),
            Action::Reset(knob) => knob.copy(&mut current(self.sampling), &self.initial),
            Action::Start => return Some(Command::Asked(Request::Start)),
            Action::Pause if self.doing == Doing::Stopped => {
                return Some(Command::Asked(Request::Continue));
            }
            Action::Pause => return Some(Command::Asked(Request::Stop)),
            Action::Panic => return Some(Command::Asked(Request::Panic)),
            Action::Quit => return Some(Command::Quit),
        }
        None
    }
}
