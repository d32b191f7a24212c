//! Outgoing messages: the one being sent, and input passed on from another player (MIDI thru).

use std::collections::VecDeque;
use std::mem::take;

use pianola_runtime::{Bytes, Instant, Message, SentMessages, controller};

use crate::live::pitches::{bit, pitches};

/// Output channels, 0 to 15. They differ where each hand has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputChannels {
    /// Channel for pitches from middle C up, and for all other messages.
    pub right: u8,
    /// Channel for pitches below middle C.
    pub left: u8,
}

/// Messages on their way to a port.
pub struct Outgoing {
    channels: OutputChannels,
    /// The message being sent, and the number of its bytes sent so far.
    message: Option<Message>,
    bytes: Bytes,
    gone: usize,
    /// The message that follows it: the same on the other channel.
    twin: Option<Message>,
    /// Messages to pass on.
    thru: VecDeque<Message>,
    /// Pitches that sound because of messages passed on.
    sounding: u128,
    /// Last value passed on of each controller; 0 if none.
    values: [u8; 128],
    /// Own messages sent, to recognize them when they come back.
    sent: SentMessages<1024>,
    /// The same for messages passed on.
    passed: SentMessages<256>,
}

/// Maximum number of queued note-ons to pass on; further ones are dropped.
const ROOM: usize = 256;

/// Queue length above which the newest value of a controller replaces one that waits.
const CONGESTED: usize = 32;

/// Middle C, the lowest pitch of the right hand.
const MIDDLE_C: u8 = 60;

impl Outgoing {
    pub fn new(channels: OutputChannels) -> Self {
        Self {
            channels,
            message: None,
            bytes: Bytes::EMPTY,
            gone: 0,
            twin: None,
            thru: VecDeque::new(),
            sounding: 0,
            values: [0; 128],
            sent: SentMessages::default(),
            passed: SentMessages::default(),
        }
    }

    /// The unsent bytes of the current message.
    pub fn rest(&self) -> &[u8] {
        self.bytes.from(self.gone)
    }

    /// Starts to send a message; the previous one must be complete.
    pub fn put(&mut self, message: Message) {
        let OutputChannels { right, left } = self.channels;
        let low = message.started().or(message.ended()).map(|pitch| pitch < MIDDLE_C);
        self.twin = (low.is_none() && left != right).then(|| message.on_channel(left));
        self.begin(message.on_channel(if low == Some(true) { left } else { right }));
    }

    fn begin(&mut self, message: Message) {
        (self.message, self.bytes, self.gone) = (Some(message), message.bytes(), 0);
    }

    /// Records that `count` bytes were sent. Returns whether the message is complete.
    pub fn took(&mut self, count: usize, own: bool, now: Instant) -> bool {
        self.gone += count;
        if !self.rest().is_empty() {
            return false;
        }
        if let Some(message) = self.message.take() {
            if own {
                self.sent.record(message, now);
            } else {
                self.passed.record(message, now);
            }
        }
        match self.twin.take() {
            Some(twin) => {
                self.begin(twin);
                false
            }
            None => true,
        }
    }

    /// The next message to pass on.
    pub fn next_thru(&mut self) -> Option<Message> {
        self.thru.pop_front()
    }

    /// Whether an incoming message is one that was sent; `missed` says whether it would be missed if
    /// it was another player's, and `held` whether its key is held by them. A key that is held cannot be
    /// pressed: such a message is one passed on that comes back.
    pub fn returns(&mut self, message: Message, missed: bool, held: bool, now: Instant) -> bool {
        let pressed = held && message.started().is_some();
        self.sent.returns(message, missed, now)
            || (self.sent.is_echoing() || pressed) && self.passed.returns(message, missed, now)
    }

    /// Whether the port echoes its input.
    pub fn is_echoing(&self) -> bool {
        self.sent.is_echoing()
    }

    /// Passes on a message of another player. Messages that change nothing are dropped, so that none
    /// loops forever.
    pub fn pass_on(&mut self, message: Message) {
        match message {
            Message::NoteOn { pitch, .. } if self.thru.len() < ROOM => self.sounding |= bit(pitch),
            Message::NoteOff { pitch, .. } if self.sounding & bit(pitch) != 0 => {
                self.sounding &= !bit(pitch);
            }
            Message::NoteOn { .. } | Message::NoteOff { .. } => return,
            Message::Control { number, value, .. } => {
                let Some(last) = self.values.get_mut(usize::from(number)) else { return };
                if *last == value {
                    return;
                }
                *last = value;
            }
            _ if message.channel().is_none() => return,
            _ => {}
        }
        self.queue(message);
    }

    fn queue(&mut self, message: Message) {
        let replaces = |other: &&mut Message| match (&message, &**other) {
            (Message::Control { number, .. }, Message::Control { number: other, .. }) => {
                number == other
            }
            (Message::Bend { .. }, Message::Bend { .. })
            | (Message::Program { .. }, Message::Program { .. })
            | (Message::Pressure { .. }, Message::Pressure { .. }) => true,
            (Message::KeyPressure { pitch, .. }, Message::KeyPressure { pitch: other, .. }) => {
                pitch == other
            }
            _ => false,
        };
        let congested = self.thru.len() > CONGESTED;
        match self.thru.iter_mut().find(replaces).filter(|_| congested) {
            Some(waiting) => *waiting = message,
            None => self.thru.push_back(message),
        }
    }

    /// Ends the notes that were passed on, and lifts the pedals: the player cannot.
    pub fn release(&mut self) {
        self.thru.clear();
        self.thru.extend(pitches(take(&mut self.sounding)).map(Message::note_off));
        self.lift_pedals();
    }

    /// Lifts the pedals that were passed on.
    pub fn lift_pedals(&mut self) {
        for pedal in controller::PEDALS {
            self.pass_on(Message::control(pedal, 0));
        }
    }

    /// Discards the current message when the port is lost.
    pub fn lose(&mut self) {
        (self.message, self.bytes, self.twin) = (None, Bytes::EMPTY, None);
        self.thru.clear();
        (self.sounding, self.values) = (0, [0; 128]);
    }

    /// Whether no message is being sent.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.twin.is_none() && self.thru.is_empty()
    }

    /// Number of queued messages.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.thru.len()
    }
}
