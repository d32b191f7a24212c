//! State machine of a performance: who plays, what is sent and when. It has no clock, port or thread:
//! its caller passes in the time and the input, and takes the output.

use std::collections::VecDeque;
use std::mem::take;

use pianola_runtime::{
    Channels, Event, Instant, Keys, Message, Micros, Note, Player, Transport, TransportCommand,
    TransportState,
};

use crate::live::controller_map::ControllerMap;
use crate::live::jitter::JitterHistogram;
use crate::live::outgoing::{Outgoing, OutputChannels};
use crate::live::pitches::{bit, pitches};
use crate::live::played::{Performer, Played};

/// Input of a performance.
pub enum Input {
    /// The note that was requested.
    Note(Note),
    /// The piece has no further note.
    End,
    /// A message has come in, at a time.
    Received(Message, Instant),
    /// Someone asks for something by other means.
    Asked(Event),
    /// The input port is lost, or its queue overflowed: note-offs may be missing.
    Deaf,
    /// The output port is lost.
    Lost,
    /// The output port is back.
    Found,
}

/// Messages to the model thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ToModel {
    /// Generate the next note.
    Wanted,
    /// The first of the queued notes started, at a time.
    Started(Instant),
    /// The queued notes will never start.
    Forgotten,
    /// A control or transport event, at a time.
    Event(Event, Instant),
}

/// Messages to the recorder and the view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// A message was sent.
    Sent(Message, Instant),
    /// A message of someone who plays along has come in.
    Received(Message, Instant),
    /// A note is to start.
    Ahead(Played),
    /// The queued notes will not start.
    Forgotten,
    /// Lateness of a note.
    Late(Micros),
    /// The activity from now on.
    Activity(Activity),
    /// The port echoes its input.
    Echoing,
}

/// Activity of a performance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The other player plays, or is expected to.
    Listening,
    /// Pianola answers.
    Answering,
    /// Pianola plays without waiting for anyone.
    Playing,
    Paused,
    /// The port is lost; it may come back, and the performance then continues unless it is `paused`.
    PortLost {
        paused: bool,
    },
}

impl Activity {
    /// Whether it is paused until a command continues it.
    pub fn is_paused(self) -> bool {
        matches!(self, Self::Paused | Self::PortLost { paused: true })
    }
}

/// How Pianola plays with another player.
#[derive(Clone, Copy, Debug)]
pub struct Duet {
    pub mode: Mode,
    /// Silence, with no key held, after which Pianola continues.
    pub gap: Micros,
    /// Whether input is passed on to the output.
    pub echo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    // Pianola goes on when the other pauses, and stops when they play.
    Answer,
    // Pianola goes on under what the other plays.
    Accompany,
}

/// Configuration of a performance.
#[derive(Clone, Debug)]
pub struct Setup {
    pub duet: Option<Duet>,
    pub map: ControllerMap,
    /// Input channels.
    pub listen: Channels,
    pub output: OutputChannels,
}

/// Start of the first note after a break.
#[derive(Clone, Copy)]
enum Cue {
    /// After the player's lead, so that some notes are queued before.
    Lead,
    /// At once.
    Now,
    /// By its step, or at once if that time has passed.
    InTime,
}

/// Keys of the other player.
#[derive(Default)]
struct Partner {
    held: u128,
    /// Time of the last key press.
    pressed: Instant,
    /// Time of the answer, once no key is held.
    answer: Option<Instant>,
}

/// State of the note request to the model.
struct Wanted {
    /// Whether a request is pending.
    asked: bool,
    /// Whether its note is no longer wanted.
    stale: bool,
    /// Whether the piece has no further note.
    ended: bool,
    cue: Option<Cue>,
}

/// Source of the current message: the player, with the due time of its note; or thru.
#[derive(Clone, Copy)]
enum UnderWay {
    Own(Option<Instant>),
    Thru,
}

pub struct Performance {
    player: Player,
    transport: Transport,
    duet: Option<Duet>,
    map: ControllerMap,
    listen: Channels,
    partner: Partner,
    wanted: Wanted,
    connected: bool,
    outgoing: Outgoing,
    under_way: UnderWay,
    /// Actual and intended onset of a note that came too late.
    behind: Option<(Instant, Instant)>,
    activity: Option<Activity>,
    echo_reported: bool,
    to_model: VecDeque<ToModel>,
    updates: VecDeque<Update>,
    pub jitter: JitterHistogram,
}

/// Maximum sleep.
const NAP: Micros = Micros::from_millis(20);

impl Performance {
    /// A performance that first silences all notes that may sound.
    pub fn new(setup: Setup, now: Instant) -> Self {
        // An answer waits for input.
        let answers = setup.duet.is_some_and(|duet| duet.mode == Mode::Answer);
        let rest = if answers { TransportState::Waiting } else { TransportState::Playing };
        Self {
            player: Player::new(now),
            transport: Transport::new(rest),
            duet: setup.duet,
            map: setup.map,
            listen: setup.listen,
            partner: Partner::default(),
            wanted: Wanted { asked: false, stale: false, ended: false, cue: Some(Cue::Lead) },
            connected: true,
            outgoing: Outgoing::new(setup.output),
            under_way: UnderWay::Thru,
            behind: None,
            activity: None,
            echo_reported: false,
            to_model: VecDeque::new(),
            updates: VecDeque::new(),
            jitter: JitterHistogram::default(),
        }
    }

    /// Handles an input.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Note(note) => {
                self.wanted.asked = false;
                if !take(&mut self.wanted.stale) {
                    self.accept(note, now);
                }
            }
            Input::End => {
                self.wanted.asked = false;
                self.wanted.ended = !take(&mut self.wanted.stale);
            }
            Input::Received(message, at) => self.receive(message, at, now),
            Input::Asked(event) => self.apply(event, now, now),
            Input::Deaf => {
                self.release_keys(now);
                self.outgoing.lift_pedals();
            }
            Input::Lost => {
                self.connected = false;
                self.outgoing.lose();
            }
            Input::Found => {
                self.connected = true;
                self.player.panic(now);
                self.forget(Cue::Lead);
            }
        }
    }

    /// Does all due work besides sending: requests notes, starts an answer.
    pub fn advance(&mut self, now: Instant) {
        if self.partner.held != 0 && now > self.partner.pressed + Keys::LONGEST {
            // The model does the same: the release may never come.
            self.release_keys(now);
        }
        if self.partner.held == 0 && self.partner.answer.is_some_and(|answer| answer <= now) {
            self.partner.answer = None;
            self.transport.set(TransportState::Playing);
            self.wanted.cue = Some(Cue::Now);
        }
        let open = self.connected && self.transport.is_playing() && !self.wanted.ended;
        if open && !self.wanted.asked && self.player.wants_note(now) {
            self.wanted.asked = true;
            self.to_model.push_back(ToModel::Wanted);
        }
        let activity = self.activity();
        if self.activity != Some(activity) {
            self.activity = Some(activity);
            self.updates.push_back(Update::Activity(activity));
        }
    }

    /// When to poll next, if there is no input before.
    pub fn wake(&self, now: Instant) -> Instant {
        let due = self.player.due().filter(|_| self.connected).unwrap_or(Instant::MAX);
        let answer = self.partner.answer.filter(|_| self.partner.held == 0);
        due.min(answer.unwrap_or(Instant::MAX)).min(now + NAP)
    }

    /// Whether there are no more notes, and everything has been sent.
    pub fn is_over(&self) -> bool {
        self.wanted.ended && self.is_quiet()
    }

    /// Whether everything has been sent.
    pub fn is_quiet(&self) -> bool {
        self.outgoing.is_empty() && self.player.due().is_none()
    }

    /// The bytes to send now; empty if there are none.
    pub fn bytes(&mut self, now: Instant) -> &[u8] {
        if self.connected && self.outgoing.rest().is_empty() {
            self.next_message(now);
        }
        self.outgoing.rest()
    }

    /// Records that `count` of these bytes were sent.
    pub fn sent(&mut self, count: usize, now: Instant) {
        let own = matches!(self.under_way, UnderWay::Own(_));
        if self.outgoing.took(count, own, now)
            && let UnderWay::Own(Some(due)) = self.under_way
        {
            self.jitter.record(due, now);
            self.updates.push_back(Update::Late(now - due));
        }
    }

    /// The next message to the model.
    pub fn request(&mut self) -> Option<ToModel> {
        self.to_model.pop_front()
    }

    /// The next message to the recorder and the view.
    pub fn update(&mut self) -> Option<Update> {
        self.updates.pop_front()
    }

    /// Ends all notes known to sound, and clears the queue: before the process is suspended or ends.
    pub fn fall_silent(&mut self, now: Instant) {
        self.release_keys(now);
        self.outgoing.release();
        self.player.stop(now);
        self.forget(Cue::Lead);
    }

    /// Silences all notes that may sound, known or not.
    pub fn silence_all(&mut self, now: Instant) {
        self.player.panic(now);
    }

    fn next_message(&mut self, now: Instant) {
        let due = self.player.due();
        // The player's messages first: a note-off may be of a key that was pressed just now.
        let Some(message) = self.player.next(now) else {
            if let Some(message) = self.outgoing.next_thru() {
                self.under_way = UnderWay::Thru;
                self.outgoing.put(message);
            }
            return;
        };
        self.outgoing.put(message);
        self.updates.push_back(Update::Sent(message, now));
        let due = due.filter(|_| message.started().is_some());
        self.under_way = UnderWay::Own(due.map(|due| {
            self.to_model.push_back(ToModel::Started(self.player.last_start().unwrap_or(due)));
            // The model was late.
            let behind = self.behind.take_if(|(start, _)| *start == due);
            behind.map_or(due, |(_, due)| due)
        }));
    }

    /// Queues the requested note.
    fn accept(&mut self, mut note: Note, now: Instant) {
        let step = Micros::from_seconds(note.step);
        match self.wanted.cue.take() {
            Some(Cue::Lead) => self.player.forget(now + Player::<32, 32>::LEAD),
            Some(Cue::InTime) if self.player.onset() + step > now => {}
            Some(Cue::Now | Cue::InTime) => {
                note.step = 0.0;
                self.player.forget(now);
            }
            None => {}
        }
        let due = self.player.onset() + Micros::from_seconds(note.step);
        self.player.push(&note, now);
        let start = self.player.onset();
        if due < now && start == now {
            self.behind = Some((start, due));
        }
        self.updates.push_back(Update::Ahead(Played {
            performer: Performer::Pianola,
            pitch: note.pitch,
            velocity: note.velocity,
            start,
            end: Some(start + Micros::from_seconds(note.duration)),
        }));
    }

    /// Handles a received message, unless it is an echo of our own.
    fn receive(&mut self, message: Message, at: Instant, now: Instant) {
        if !self.listen.contain(message) {
            return;
        }
        let pitch = message.started().or(message.ended());
        let held = pitch.is_some_and(|pitch| self.partner.held & bit(pitch) != 0);
        let missed =
            message.ended().is_some() && held || message.silences() && self.player.has_started();
        let returns = self.outgoing.returns(message, missed, held, now);
        if self.outgoing.is_echoing() && !self.echo_reported {
            self.echo_reported = true;
            self.updates.push_back(Update::Echoing);
        }
        if !returns {
            self.take_message(message, at, now);
        }
    }

    /// Handles a message of the other player.
    fn take_message(&mut self, message: Message, at: Instant, now: Instant) {
        self.updates.push_back(Update::Received(message, at));
        if let Some(event) = self.map.event(message) {
            // Some instruments send "all notes off" with the last release: the answer still starts.
            let panic = event == Event::Transport(TransportCommand::Panic);
            let answer = self.partner.answer.filter(|_| panic && !self.transport.is_playing());
            self.apply(event, at, now);
            self.partner.answer = self.partner.answer.or(answer);
        }
        if self.duet.is_some_and(|duet| duet.echo) && self.connected {
            self.outgoing.pass_on(message);
        }
    }

    /// Treats all held keys as released: their note-offs will not come.
    fn release_keys(&mut self, now: Instant) {
        for pitch in pitches(self.partner.held) {
            self.take_message(Message::note_off(pitch), now, now);
        }
    }

    /// Applies an event, then forwards it to the model.
    fn apply(&mut self, event: Event, at: Instant, now: Instant) {
        match (event, self.duet) {
            (Event::Press(pitch, _), Some(duet)) => self.press(pitch, duet, at, now),
            (Event::Release(pitch), Some(duet)) => {
                self.partner.held &= !bit(pitch);
                if self.partner.answer.is_some() {
                    self.await_pause(at + duet.gap);
                }
            }
            (Event::Transport(command), _) => self.command(command, now),
            _ => {}
        }
        self.to_model.push_back(ToModel::Event(event, at));
    }

    fn press(&mut self, pitch: u8, duet: Duet, at: Instant, now: Instant) {
        self.partner.held |= bit(pitch);
        self.partner.pressed = at;
        match duet.mode {
            Mode::Answer if self.transport.is_playing() => {
                self.player.stop(now);
                self.transport.set(TransportState::Waiting);
                self.forget(Cue::Now);
            }
            Mode::Accompany if self.transport.state() != TransportState::Stopped => {
                self.transport.set(TransportState::Playing);
                self.player.forget(at);
                self.forget(Cue::InTime);
            }
            _ => {}
        }
        self.await_pause(at + duet.gap);
    }

    fn command(&mut self, command: TransportCommand, now: Instant) {
        if self.transport.command(command, &mut self.player, now) {
            self.partner.answer = None;
            self.forget(Cue::Lead);
        }
        if matches!(command, TransportCommand::Start | TransportCommand::Panic) {
            self.partner.held = 0;
        }
        if command == TransportCommand::Panic {
            self.outgoing.release();
        }
    }

    /// Schedules the answer for when no key has been held until then, in answer mode.
    fn await_pause(&mut self, until: Instant) {
        let answers = self.duet.is_some_and(|duet| duet.mode == Mode::Answer);
        if answers && self.transport.state() != TransportState::Stopped {
            self.partner.answer = Some(until);
        }
    }

    /// Discards the queued notes and the pending request.
    fn forget(&mut self, cue: Cue) {
        let asked = self.wanted.asked;
        self.wanted = Wanted { asked, stale: asked, ended: false, cue: Some(cue) };
        self.to_model.push_back(ToModel::Forgotten);
        self.updates.push_back(Update::Forgotten);
    }

    fn activity(&self) -> Activity {
        let answers = self.duet.is_some_and(|duet| duet.mode == Mode::Answer);
        let activity = match self.transport.state() {
            TransportState::Playing if answers => Activity::Answering,
            TransportState::Playing => Activity::Playing,
            TransportState::Waiting if self.duet.is_some() => Activity::Listening,
            _ => Activity::Paused,
        };
        if self.connected { activity } else { Activity::PortLost { paused: activity.is_paused() } }
    }
}

#[cfg(test)]
#[path = "performance_tests/mod.rs"]
mod tests;
