//! The timing thread: sends each message at its time, and never waits for the model.
//!
//! It owns the player and the port. Notes, what is played to it and requests come through a channel;
//! it sleeps until the next of them, or until the next message is due. Who plays, Pianola or whoever
//! plays along, is decided here, for here it takes effect at once.

use std::collections::VecDeque;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use pianola_runtime::{Keys, Micros, Note, Player};

use crate::live::jitter::JitterHistogram;
use crate::live::mapping::{Mapping, Request};
use crate::live::port::Output;
use crate::live::recording::{Performer, Played};
use crate::live::view::Doing;

/// What the timing thread is told.
pub enum Command {
    /// The note that was wanted.
    Note(Note),
    /// There is no further note.
    End,
    /// A message has come in.
    Heard([u8; 3], Micros),
    /// Someone asks for something by other means.
    Asked(Request),
    /// The listening port is gone, and with it the keys held there.
    Deaf,
    /// The port is gone.
    Lost,
    /// The port is back.
    Found(Box<dyn Output>),
    /// Fall silent, say so, and begin anew once the other is dropped: the process is about to be stopped for a
    /// while.
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing else stops a process"))]
    Suspend(Sender<()>, Receiver<()>),
    /// Fall silent, and end.
    Quit,
}

/// What the timing thread tells the model's.
pub enum Report {
    /// It is time to make up a note.
    Wanted,
    /// The first of the notes that wait has started, at a time.
    Started(Micros),
    /// The notes that waited will never start.
    Forgotten,
    /// Someone has asked for something, by a message or by other means.
    Asked(Request, Micros),
}

/// What whoever watches is told.
pub enum News {
    /// A message has been sent.
    Sent([u8; 3], Micros),
    /// A message of whoever plays along has come in.
    Heard([u8; 3], Micros),
    /// A note is to start then.
    Ahead(Played),
    /// The notes that were to start will not.
    Forgotten,
    /// A note was so late.
    Late(Micros),
    /// What Pianola is doing from now on.
    Doing(Doing),
}

/// How the music of Pianola and of another follow one another.
#[derive(Clone, Copy, Debug)]
pub struct Duet {
    pub mode: Mode,
    /// How long no key must have been held before Pianola goes on.
    pub gap: Micros,
    /// Whether what is played is passed on to the output.
    pub echo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Pianola goes on when the other pauses, and stops when they play.
    Answer,
    /// Pianola goes on under what the other plays.
    Accompany,
}

/// The clock of a performance.
#[derive(Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(&self) -> Micros {
        self.0.elapsed().as_micros() as Micros
    }
}

/// Where the timing thread reports to.
pub struct Reports {
    pub model: Sender<Report>,
    /// Whoever opens ports is told that this one is lost.
    pub lost: Sender<()>,
    /// Whoever watches, if anybody does.
    pub news: Option<Sender<News>>,
}

/// When the first note after a break is to start.
enum Cue {
    /// After the player's lead, so that some notes are made up before.
    Lead,
    /// At once.
    Now,
    /// By its step, or at once if it should have started already.
    InTime,
}

pub struct Timing {
    clock: Clock,
    player: Player,
    /// `None` while it is lost.
    port: Option<Box<dyn Output>>,
    /// What of a message is yet to be sent.
    outgoing: VecDeque<u8>,
    /// When that was due, if it is a note-on.
    due: Option<Micros>,
    /// Where the player has put a note that came too late, and where it should have been.
    behind: Option<(Micros, Micros)>,
    /// Messages to be passed on.
    echo: VecDeque<[u8; 3]>,
    /// Pitches that sound by what was passed on.
    echoed: u128,
    /// Whether a pedal that was passed on is down.
    pedal: bool,
    reports: Reports,
    duet: Option<Duet>,
    mapping: Mapping,
    /// Keys held by whoever plays along.
    held: u128,
    /// When the last of them was pressed.
    pressed: Micros,
    /// When the other is to be answered, once no key is held.
    answer: Option<Micros>,
    /// Whether it is Pianola's turn.
    playing: bool,
    /// Whether it has been told to play no more.
    stopped: bool,
    /// What whoever watches knows it is doing.
    doing: Option<Doing>,
    /// Whether a note is being made up.
    asked: bool,
    /// Whether that note is no longer wanted.
    stale: bool,
    /// Whether there is no further note.
    ended: bool,
    cue: Option<Cue>,
    jitter: JitterHistogram,
}

/// How long it tries to silence a port that takes nothing.
const PATIENCE: Micros = 500_000;

/// Controller of the sustain pedal.
const PEDAL: u8 = 64;

/// How long a port that takes nothing is left alone.
const RETRY: Micros = 1_000;

/// How long it sleeps at most.
const NAP: Micros = 20_000;

impl Timing {
    /// A timing thread that first silences whatever may sound.
    pub fn new(
        clock: Clock,
        port: Box<dyn Output>,
        reports: Reports,
        duet: Option<Duet>,
        mapping: Mapping,
    ) -> Self {
        Self {
            clock,
            player: Player::new(clock.now()),
            port: Some(port),
            outgoing: VecDeque::new(),
            due: None,
            behind: None,
            echo: VecDeque::new(),
            echoed: 0,
            pedal: false,
            reports,
            duet,
            mapping,
            held: 0,
            pressed: 0,
            answer: None,
            // Who is to answer waits for something to answer to.
            playing: duet.is_none_or(|duet| duet.mode == Mode::Accompany),
            stopped: false,
            doing: None,
            asked: false,
            stale: false,
            ended: false,
            cue: Some(Cue::Lead),
            jitter: JitterHistogram::default(),
        }
    }

    /// Performs until there are no more notes, or until it is told to quit; then, and if it panics,
    /// leaves nothing sounding.
    pub fn perform(mut self, commands: &Receiver<Command>) -> thread::Result<JitterHistogram> {
        hurry();
        // What a panic leaves half done is set right by silencing everything.
        let performed = catch_unwind(AssertUnwindSafe(|| self.run(commands)));
        let silenced = catch_unwind(AssertUnwindSafe(|| self.silence()));
        performed.and(silenced).map(|()| self.jitter)
    }

    fn run(&mut self, commands: &Receiver<Command>) {
        loop {
            let wake = self.serve();
            if self.ended && self.is_quiet() {
                return;
            }
            let pause = Duration::from_micros(wake.saturating_sub(self.clock.now()));
            match commands.recv_timeout(pause) {
                Ok(Command::Quit) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Sends what is due and asks for what is wanted; returns when to do so again.
    fn serve(&mut self) -> Micros {
        let stuck = !self.send();
        let now = self.clock.now();
        if self.held != 0 && now > self.pressed + Keys::LONGEST {
            // As the model takes it, too: the release may never come.
            self.release_all(now);
        }
        if self.held == 0 && self.answer.is_some_and(|answer| answer <= now) {
            (self.answer, self.playing, self.cue) = (None, true, Some(Cue::Now));
        }
        let open = self.port.is_some() && self.playing && !self.ended;
        if open && !self.asked && self.player.wants_note(now) {
            self.asked = true;
            self.report(Report::Wanted);
        }
        let doing = self.doing();
        if self.doing != Some(doing) {
            self.doing = Some(doing);
            self.tell(News::Doing(doing));
        }
        let due = match (stuck, &self.port) {
            (true, _) => now + RETRY,
            (false, Some(_)) => self.player.due().unwrap_or(Micros::MAX),
            (false, None) => Micros::MAX,
        };
        let answer = self.answer.filter(|_| self.held == 0).unwrap_or(Micros::MAX);
        due.min(answer).min(now + NAP)
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Note(note) => {
                self.asked = false;
                if !take(&mut self.stale) {
                    self.accept(note, now);
                }
            }
            Command::End => {
                self.asked = false;
                self.ended = !take(&mut self.stale);
            }
            Command::Heard(message, at) => self.observe(message, at),
            Command::Asked(request) => self.grant(request, now),
            Command::Deaf => {
                self.release_all(now);
                self.lift_pedal();
            }
            Command::Lost => self.lose(),
            Command::Found(port) => {
                self.port = Some(port);
                self.echo.clear();
                (self.echoed, self.pedal) = (0, false);
                self.player.panic(now);
                self.forget(Cue::Lead);
            }
            Command::Suspend(silenced, resumed) => {
                self.release_all(now);
                self.silence();
                self.forget(Cue::Lead);
                let _ = silenced.send(());
                let _ = resumed.recv();
            }
            Command::Quit => {}
        }
    }

    /// Takes the note that was asked for.
    fn accept(&mut self, mut note: Note, now: Micros) {
        match self.cue.take() {
            Some(Cue::Lead) => self.player.forget(now + Player::<32, 32>::LEAD),
            Some(Cue::InTime) if self.player.onset() + seconds(note.step) > now => {}
            Some(Cue::Now | Cue::InTime) => {
                note.step = 0.0;
                self.player.forget(now);
            }
            None => {}
        }
        let due = self.player.onset() + seconds(note.step);
        self.player.push(&note, now);
        let start = self.player.onset();
        if due < now && start == now {
            self.behind = Some((start, due));
        }
        self.tell(News::Ahead(Played {
            performer: Performer::Pianola,
            pitch: note.pitch,
            velocity: note.velocity,
            start,
            end: Some(start + seconds(note.duration)),
        }));
    }

    /// Takes a message of whoever plays along.
    fn observe(&mut self, message: [u8; 3], at: Micros) {
        self.tell(News::Heard(message, at));
        if let Some(request) = self.mapping.request(message) {
            // Some instruments send "all notes off" with the last release: it is answered all the same.
            let answer = self.answer.filter(|_| request == Request::Panic && !self.playing);
            self.grant(request, at);
            self.answer = self.answer.or(answer);
        }
        if self.duet.is_some_and(|duet| duet.echo) && message[0] < 0xf0 {
            self.pass_on(message);
        }
    }

    /// Takes the keys that are held as released: their releases will not come.
    fn release_all(&mut self, now: Micros) {
        for pitch in pitches(self.held) {
            self.observe([0x80, pitch, 64], now);
        }
    }

    /// Does what someone asks for, then tells the model.
    fn grant(&mut self, request: Request, at: Micros) {
        let now = self.clock.now();
        match (request, self.duet) {
            (Request::Press(pitch, _), Some(duet)) => {
                self.held |= bit(pitch);
                self.pressed = at;
                match duet.mode {
                    Mode::Answer if self.playing => {
                        self.player.stop(now);
                        self.playing = false;
                        self.forget(Cue::Now);
                    }
                    Mode::Accompany if !self.stopped => {
                        self.playing = true;
                        self.player.forget(at);
                        self.forget(Cue::InTime);
                    }
                    _ => {}
                }
                self.await_pause(at + duet.gap);
            }
            (Request::Release(pitch), Some(duet)) => {
                self.held &= !bit(pitch);
                if self.answer.is_some() {
                    self.await_pause(at + duet.gap);
                }
            }
            // Not again while the last one is under way: an instrument may send all back to us.
            (Request::Panic, _) if !self.player.is_silencing() => {
                self.stop(now);
                self.held = 0;
                self.player.panic(now);
            }
            (Request::Stop, _) => {
                self.stop(now);
                self.stopped = true;
            }
            (Request::Start, _) => {
                self.stop(now);
                (self.playing, self.stopped, self.held) = (true, false, 0);
            }
            (Request::Continue, duet) if !self.playing => {
                self.stopped = false;
                self.playing = duet.is_none_or(|duet| duet.mode == Mode::Accompany);
            }
            _ => {}
        }
        self.report(Report::Asked(request, at));
    }

    /// Plays no more until something else happens.
    fn stop(&mut self, now: Micros) {
        self.player.stop(now);
        (self.playing, self.answer) = (false, None);
        self.forget(Cue::Lead);
    }

    /// Answers when no key has been held until then, if answering is asked for.
    fn await_pause(&mut self, until: Micros) {
        if !self.stopped && self.duet.is_some_and(|duet| duet.mode == Mode::Answer) {
            self.answer = Some(until);
        }
    }

    /// Passes a message on, on the channel of all else.
    fn pass_on(&mut self, [status, first, second]: [u8; 3]) {
        match status & 0xf0 {
            0x90 if second > 0 => self.echoed |= bit(first),
            0x80 | 0x90 => self.echoed &= !bit(first),
            0xb0 if first == PEDAL => self.pedal = second >= 64,
            _ => {}
        }
        if self.port.is_some() {
            self.echo.push_back([status & 0xf0, first, second]);
        }
    }

    /// Lifts a pedal that was passed on: whoever holds it cannot.
    fn lift_pedal(&mut self) {
        if self.pedal {
            self.pass_on([0xb0, PEDAL, 0]);
        }
    }

    /// The notes that wait are no longer wanted, nor is the one that is being made up.
    fn forget(&mut self, cue: Cue) {
        (self.stale, self.ended, self.cue) = (self.asked, false, Some(cue));
        self.report(Report::Forgotten);
        self.tell(News::Forgotten);
    }

    fn doing(&self) -> Doing {
        match self.duet {
            _ if self.port.is_none() => Doing::PortLost,
            Some(Duet { mode: Mode::Answer, .. }) if self.playing => Doing::Answering,
            _ if self.playing => Doing::Playing,
            Some(_) if !self.stopped => Doing::Listening,
            _ => Doing::Stopped,
        }
    }

    fn report(&self, report: Report) {
        // The model's thread may have ended; it has then said so, or will.
        let _ = self.reports.model.send(report);
    }

    fn tell(&self, news: News) {
        if let Some(watching) = &self.reports.news {
            let _ = watching.send(news);
        }
    }

    /// Sends what is due; returns whether the port had room for it.
    fn send(&mut self) -> bool {
        loop {
            let Some(port) = &mut self.port else { return true };
            while !self.outgoing.is_empty() {
                match port.send(self.outgoing.make_contiguous()) {
                    Ok(0) => return false,
                    Ok(sent) => drop(self.outgoing.drain(..sent.min(self.outgoing.len()))),
                    Err(_) => {
                        // Whoever opens it again has gone only if all ends.
                        let _ = self.reports.lost.send(());
                        self.lose();
                        return true;
                    }
                }
            }
            if let Some(due) = self.due.take() {
                let now = self.clock.now();
                self.jitter.record(due, now);
                self.tell(News::Late(now.saturating_sub(due)));
            }
            let due = self.player.due();
            // First the player's: what it ends may be a key that was pressed just now.
            if let Some(message) = self.player.next(self.clock.now()) {
                self.outgoing.extend(message.0);
                self.tell(News::Sent(message.0, self.clock.now()));
                self.due = due.filter(|_| message.started().is_some());
                if let Some(due) = self.due {
                    // A port that stalled delays what follows, too.
                    let now = self.clock.now();
                    let late = now > due + Player::<32, 32>::LATE;
                    self.report(Report::Started(if late { now } else { due }));
                    // It is the model that was late.
                    let behind = self.behind.take_if(|(start, _)| *start == due);
                    self.due = Some(behind.map_or(due, |(_, due)| due));
                }
            } else if let Some(message) = self.echo.pop_front() {
                // Program changes and channel pressure have one byte of data.
                let length = if matches!(message[0], 0xc0 | 0xd0) { 2 } else { 3 };
                self.outgoing.extend(message.iter().take(length));
            } else {
                return true;
            }
        }
    }

    /// The port takes nothing any more.
    fn lose(&mut self) {
        self.port = None;
        self.outgoing.clear();
        self.due = None;
    }

    /// Whether all has been sent.
    fn is_quiet(&self) -> bool {
        self.outgoing.is_empty() && self.echo.is_empty() && self.player.due().is_none()
    }

    /// Ends all that sounds, then silences whatever else may, as far as the port takes it in time.
    fn silence(&mut self) {
        let deadline = self.clock.now() + PATIENCE;
        let ends = pitches(take(&mut self.echoed)).map(|pitch| [0x80, pitch, 64]);
        self.echo = ends.collect();
        self.lift_pedal();
        self.player.stop(self.clock.now());
        self.drain(deadline);
        self.player.panic(self.clock.now());
        self.drain(deadline);
    }

    fn drain(&mut self, deadline: Micros) {
        while !self.send() && self.clock.now() < deadline {
            sleep(Duration::from_micros(RETRY));
        }
    }
}

/// Asks the system for real-time priority. Where it does not permit that, timing is what it is.
pub fn hurry() {
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

fn seconds(seconds: f32) -> Micros {
    (seconds * 1e6) as Micros
}

fn bit(pitch: u8) -> u128 {
    1 << (pitch & 127)
}

/// The pitches of a set.
fn pitches(set: u128) -> impl Iterator<Item = u8> {
    (0..128).filter(move |&pitch| set & bit(pitch) != 0)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{self, channel};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What an instrument has received.
    type Received = Arc<Mutex<Vec<u8>>>;

    /// A port that takes a byte at a time, if any, and goes wrong at some byte.
    struct Troubled {
        received: Received,
        at: usize,
        trouble: Trouble,
    }

    enum Trouble {
        None,
        Lost,
        Panic,
        /// Takes nothing so many times.
        Stall(usize),
    }

    impl Output for Troubled {
        fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.received.lock().map_or(0, |received| received.len());
            if count >= self.at {
                match &mut self.trouble {
                    Trouble::Lost => return Err(io::ErrorKind::NotConnected.into()),
                    Trouble::Panic => {
                        self.at = usize::MAX;
                        panic!("as the test wants it");
                    }
                    Trouble::Stall(0) | Trouble::None => {}
                    Trouble::Stall(times) => {
                        *times -= 1;
                        return Ok(0);
                    }
                }
            }
            if let (Some(byte), Ok(mut received)) = (bytes.first(), self.received.lock()) {
                received.push(*byte);
            }
            Ok(1)
        }
    }

    /// The pitches left sounding, and how many have started.
    fn heard(received: &Received) -> (Vec<u8>, usize) {
        let bytes = received.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        let (mut sounding, mut starts) = (Vec::new(), 0);
        for &[status, pitch, velocity] in bytes.as_chunks().0 {
            assert!(status & 0x80 != 0 && pitch < 128 && velocity < 128);
            match status {
                0x90 => {
                    assert!(!sounding.contains(&pitch), "{pitch} starts twice");
                    sounding.push(pitch);
                    starts += 1;
                }
                0x80 => sounding.retain(|&other| other != pitch),
                _ => {}
            }
        }
        (sounding, starts)
    }

    fn port(received: &Received, at: usize, trouble: Trouble) -> Box<dyn Output> {
        Box::new(Troubled { received: Arc::clone(received), at, trouble })
    }

    fn to(model: Sender<Report>, lost: Sender<()>) -> Reports {
        Reports { model, lost, news: None }
    }

    /// Bytes of the silence at the start, and of what follows.
    const SILENCE: usize = 390;

    /// Long notes in quick succession: much sounds at once.
    fn note(count: u8) -> Note {
        Note { pitch: 30 + count % 60, velocity: 80, step: 0.002, duration: 0.1 }
    }

    /// Performs so many notes on a port; one that is lost is followed by another. Returns what both have
    /// received and how it ended.
    fn perform(
        at: usize,
        trouble: Trouble,
        notes: u8,
    ) -> ([Received; 2], thread::Result<JitterHistogram>) {
        let received: [Received; 2] = Default::default();
        let (reports, wanted) = channel();
        let (lost, losses) = channel();
        let (commands, inbox) = channel();
        let first = port(&received[0], at, trouble);
        let timing =
            Timing::new(Clock::start(), first, to(reports, lost), None, Mapping::default());
        let ended = thread::scope(|scope| {
            let performing = scope.spawn(move || timing.perform(&inbox));
            let second = port(&received[1], 0, Trouble::None);
            let found = commands.clone();
            scope.spawn(move || {
                if losses.recv().is_ok() {
                    let _ = found.send(Command::Found(second));
                }
            });
            let (mut made, mut started) = (0, 0);
            for report in wanted {
                let command = match report {
                    Report::Wanted if made < notes => {
                        made += 1;
                        Command::Note(note(made))
                    }
                    Report::Wanted => Command::End,
                    Report::Started(_) => {
                        started += 1;
                        continue;
                    }
                    Report::Forgotten => {
                        made = started;
                        continue;
                    }
                    Report::Asked(..) => continue,
                };
                if commands.send(command).is_err() {
                    break;
                }
            }
            performing.join()
        });
        (received, ended.and_then(|ended| ended))
    }

    #[test]
    fn every_note_is_played_and_ended() {
        let (received, ended) = perform(0, Trouble::None, 100);
        assert_eq!(heard(&received[0]), (vec![], 100));
        assert!(ended.is_ok_and(|jitter| jitter.notes() == 100));
    }

    #[test]
    fn a_port_that_stalls_anywhere_delays_the_music() {
        for at in [0, 100, SILENCE, SILENCE + 100, SILENCE + 101, SILENCE + 102] {
            let (received, ended) = perform(at, Trouble::Stall(50), 60);
            assert_eq!(heard(&received[0]), (vec![], 60), "at {at}");
            assert!(ended.is_ok());
        }
    }

    #[test]
    fn a_port_that_takes_nothing_any_more_does_not_hold_the_program_up() {
        let received = Received::default();
        let (reports, _wanted) = channel();
        let (lost, _losses) = channel();
        let (commands, inbox) = channel();
        let stuck = port(&received, 0, Trouble::Stall(usize::MAX));
        let timing =
            Timing::new(Clock::start(), stuck, to(reports, lost), None, Mapping::default());
        assert!(commands.send(Command::Quit).is_ok());
        let start = Instant::now();
        assert!(timing.perform(&inbox).is_ok());
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_panic_leaves_nothing_sounding() {
        for at in [0, SILENCE + 60, SILENCE + 61, SILENCE + 62] {
            let (received, ended) = perform(at, Trouble::Panic, 100);
            assert!(ended.is_err());
            let (sounding, starts) = heard(&received[0]);
            assert!(sounding.is_empty(), "{sounding:?} sound");
            assert_eq!(starts > 0, at > SILENCE);
        }
    }

    #[test]
    fn a_lost_port_is_silenced_when_it_is_back_and_the_music_goes_on() {
        for at in [0, SILENCE, SILENCE + 61, SILENCE + 120] {
            let (received, ended) = perform(at, Trouble::Lost, 100);
            assert!(ended.is_ok());
            let ((_, before), (sounding, after)) = (heard(&received[0]), heard(&received[1]));
            assert!(sounding.is_empty(), "{sounding:?} sound");
            // The note that was on its way is lost.
            assert!((99..=100).contains(&(before + after)), "{before} and {after} notes");
        }
    }

    /// A timing thread that hears a partner, driven by hand.
    struct Stage {
        timing: Timing,
        received: Received,
        reports: mpsc::Receiver<Report>,
        _losses: mpsc::Receiver<()>,
    }

    impl Stage {
        fn new(mode: Mode, echo: bool) -> Self {
            let received = Received::default();
            let (reports, wanted) = channel();
            let (lost, losses) = channel();
            let duet = Some(Duet { mode, gap: 50_000, echo });
            let port = port(&received, 0, Trouble::None);
            let timing =
                Timing::new(Clock::start(), port, to(reports, lost), duet, Mapping::default());
            Self { timing, received, reports: wanted, _losses: losses }
        }

        fn observe(&mut self, message: [u8; 3]) {
            let now = self.timing.clock.now();
            self.timing.obey(Command::Heard(message, now));
        }

        /// Serves for a while; every note that is wanted comes at once. Returns how many came.
        fn serve(&mut self, millis: u64) -> usize {
            let mut notes = 0;
            let end = Instant::now() + Duration::from_millis(millis);
            while Instant::now() < end {
                self.timing.serve();
                for report in self.reports.try_iter() {
                    if let Report::Wanted = report {
                        notes += 1;
                        self.timing.obey(Command::Note(note(notes as u8)));
                    }
                }
            }
            notes
        }
    }

    #[test]
    fn it_answers_after_a_pause_and_hands_over_when_a_key_is_pressed() {
        let mut stage = Stage::new(Mode::Answer, false);
        assert_eq!(stage.serve(100), 0, "plays with nothing to answer to");
        stage.observe([0x90, 60, 80]);
        assert_eq!(stage.serve(100), 0, "answers while a key is held");
        stage.observe([0x90, 60, 0]);
        assert_eq!(stage.serve(30), 0, "answers too soon");
        assert!(stage.serve(100) > 0);
        let (sounding, starts) = heard(&stage.received);
        assert!(!sounding.is_empty() && starts > 10);

        stage.observe([0x95, 60, 80]);
        stage.timing.serve();
        let (sounding, before) = heard(&stage.received);
        assert!(sounding.is_empty(), "{sounding:?} sound");
        assert_eq!(stage.serve(100), 0);
        assert_eq!(heard(&stage.received).1, before);
    }

    #[test]
    fn all_notes_off_after_the_last_release_is_a_release() {
        let mut stage = Stage::new(Mode::Answer, false);
        assert_eq!(stage.serve(10), 0);
        stage.observe([0x90, 60, 80]);
        stage.observe([0xb0, 123, 0]);
        assert!(stage.serve(150) > 0);
        // In the middle of the answer, it silences that.
        stage.observe([0xb0, 123, 0]);
        assert_eq!(stage.serve(150), 0);
    }

    #[test]
    fn a_note_that_comes_too_late_is_late() {
        let mut stage = Stage::new(Mode::Accompany, false);
        assert!(stage.serve(400) > 0);
        assert!(stage.timing.jitter.quantile(1.0) < 200_000);
        // All that waits is played, then nothing comes for a while.
        let end = Instant::now() + Duration::from_millis(600);
        while Instant::now() < end {
            stage.timing.serve();
        }
        stage.timing.obey(Command::Note(note(1)));
        stage.timing.serve();
        assert!(stage.timing.jitter.quantile(1.0) > 250_000);
    }

    #[test]
    fn a_note_that_is_made_up_while_it_hands_over_is_never_heard() {
        let mut stage = Stage::new(Mode::Answer, false);
        stage.observe([0x90, 60, 80]);
        stage.observe([0x80, 60, 80]);
        sleep(Duration::from_millis(60));
        stage.timing.serve();
        assert!(stage.timing.asked);
        stage.observe([0x90, 62, 80]);
        stage.timing.obey(Command::Note(note(1)));
        stage.timing.serve();
        assert_eq!(heard(&stage.received).1, 0);
        assert!(!stage.timing.asked && stage.timing.player.due().is_none());
    }

    #[test]
    fn it_plays_on_under_a_partner_and_makes_up_anew_what_has_not_started() {
        let mut stage = Stage::new(Mode::Accompany, true);
        assert!(stage.serve(400) > 0);
        let mut forgotten = 0;
        for pitch in [20, 21] {
            stage.observe([0x90, pitch, 80]);
            forgotten +=
                stage.reports.try_iter().filter(|one| matches!(one, Report::Forgotten)).count();
            assert!(stage.serve(20) > 0);
        }
        assert_eq!(forgotten, 2);
        let (sounding, _) = heard(&stage.received);
        assert!(sounding.contains(&20) && sounding.contains(&21) && sounding.len() > 2);
        // What was passed on is silenced too.
        stage.timing.silence();
        assert!(heard(&stage.received).0.is_empty());
    }

    #[test]
    fn a_panic_button_silences_both_until_a_key_is_pressed() {
        let mut stage = Stage::new(Mode::Accompany, false);
        assert!(stage.serve(400) > 0);
        stage.observe([0xb3, 123, 0]);
        assert_eq!(stage.serve(50), 0);
        assert!(heard(&stage.received).0.is_empty());
        stage.observe([0x90, 60, 80]);
        assert!(stage.serve(50) > 0);
    }
}
