//! The timing thread: owns the port and the clock, and drives a [`Performance`]. It never waits for
//! another thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};
use std::thread::{self, sleep};
use std::time::Duration;

use pianola_runtime::{Instant, Micros};

use crate::live::jitter::JitterHistogram;
use crate::live::open_port::Output;
use crate::live::performance::{Input, Performance, Update};
use crate::live::queue::{Inbox, ModelQueue};

/// The clock of a performance.
#[derive(Clone, Copy)]
pub struct Clock(std::time::Instant);

impl Clock {
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub fn now(&self) -> Instant {
        Instant::START + Micros::from(self.0.elapsed())
    }
}

/// The timing thread's ends of the queues.
pub struct Timing {
    pub clock: Clock,
    pub performance: Performance,
    /// `None` while it is lost.
    pub port: Option<Box<dyn Output>>,
    pub inbox: Arc<Inbox>,
    pub model: Arc<ModelQueue>,
    /// Notifies the thread that reopens ports of a lost port.
    pub lost: Sender<()>,
    /// Updates for the recorder and the view. When it is full, updates are dropped.
    pub updates: SyncSender<Update>,
}

/// Maximum time for silencing a port that accepts nothing.
const PATIENCE: Micros = Micros::from_millis(400);

/// Pause after a port accepted nothing.
const RETRY: Micros = Micros::from_millis(1);

impl Timing {
    /// Performs until there are no more notes, or until a request to end; then, and also after a panic,
    /// leaves nothing sounding.
    pub fn perform(mut self) -> thread::Result<JitterHistogram> {
        raise_priority();
        // Silencing everything repairs any state that a panic leaves.
        let performed = catch_unwind(AssertUnwindSafe(|| self.run()));
        let silenced = catch_unwind(AssertUnwindSafe(|| self.silence()));
        self.model.close();
        performed.and(silenced).map(|()| self.performance.jitter)
    }

    fn run(&mut self) {
        loop {
            let stuck = !self.send();
            let now = self.clock.now();
            self.performance.advance(now);
            self.forward();
            if self.performance.is_over() {
                return;
            }
            let wake = if stuck { now + RETRY } else { self.performance.wake(now) };
            let mut arrived = self.inbox.wait((wake - self.clock.now()).into());
            if arrived.quit {
                return;
            }
            if let Some((silenced, resumed)) = arrived.suspend.take() {
                self.silence();
                let _ = silenced.send(());
                let _ = resumed.recv();
            }
            let found = arrived.found.take();
            for input in arrived.inputs() {
                if matches!(input, Input::Lost) {
                    self.port = None;
                }
                self.performance.handle(input, self.clock.now());
            }
            if let Some(port) = found {
                self.port = Some(port);
                self.performance.handle(Input::Found, self.clock.now());
            }
        }
    }

    /// Sends all due bytes; returns whether the port had room for them.
    fn send(&mut self) -> bool {
        loop {
            let Some(port) = &mut self.port else { return true };
            let bytes = self.performance.bytes(self.clock.now());
            if bytes.is_empty() {
                return true;
            }
            match port.send(bytes) {
                Ok(0) => return false,
                Ok(count) => self.performance.sent(count, self.clock.now()),
                Err(_) => {
                    // The thread that reopens ports ends only with the program.
                    let _ = self.lost.send(());
                    self.port = None;
                    self.performance.handle(Input::Lost, self.clock.now());
                }
            }
        }
    }

    /// Forwards all messages to the model, the recorder and the view.
    fn forward(&mut self) {
        while let Some(message) = self.performance.request() {
            self.model.push(message);
        }
        while let Some(update) = self.performance.update() {
            let _ = self.updates.try_send(update);
        }
    }

    /// Ends all sounding notes, then silences all others, as far as the port accepts it in time.
    fn silence(&mut self) {
        let deadline = self.clock.now() + PATIENCE;
        self.performance.fall_silent(self.clock.now());
        self.drain(deadline);
        self.performance.silence_all(self.clock.now());
        self.drain(deadline);
        self.forward();
    }

    fn drain(&mut self, deadline: Instant) {
        while !self.send() && self.clock.now() < deadline {
            sleep(Duration::from(RETRY));
        }
    }
}

/// Requests real-time priority from the system. If that is refused, timing is best effort.
pub fn raise_priority() {
    #[cfg(unix)]
    {
        use thread_priority::{
            RealtimeThreadSchedulePolicy::Fifo, ThreadPriority, ThreadSchedulePolicy::Realtime,
            set_thread_priority_and_policy, thread_native_id,
        };
        if let Ok(middle) = 50.try_into() {
            let priority = ThreadPriority::Crossplatform(middle);
            let _ = set_thread_priority_and_policy(thread_native_id(), priority, Realtime(Fifo));
        }
    }
    #[cfg(windows)]
    let _ = thread_priority::set_current_thread_priority(thread_priority::ThreadPriority::Max);
}
