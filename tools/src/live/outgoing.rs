//! What goes out: the message under way, and what is passed on of what someone plays.

use std::collections::VecDeque;
use std::mem::take;

use pianola_runtime::{Bytes, Instant, Message, SentMessages, controller};

use crate::live::pitches::{bit, pitches};

/// The channels that Pianola plays on, 0 to 15. They differ where each hand has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputChannels {
    /// Of pitches from middle C up, and of all else.
    pub right: u8,
    /// Of pitches below middle C.
    pub left: u8,
}

/// Messages on their way to a port.
pub struct Outgoing {
    channels: OutputChannels,
    /// The message under way, and how many of its bytes are gone.
    message: Option<Message>,
    bytes: Bytes,
    gone: usize,
    /// What follows it: the same on the other channel.
    twin: Option<Message>,
    /// What is to be passed on.
    thru: VecDeque<Message>,
    /// Pitches that sound by what was passed on.
    sounding: u128,
    /// The value last passed on of each controller, if that is not 0.
    values: [u8; 128],
    /// Own messages sent, by which those that come back are known.
    sent: SentMessages<1024>,
    /// The same of what was passed on.
    passed: SentMessages<256>,
}

/// Note-ons that wait to be passed on; of more, those that come are dropped.
const ROOM: usize = 256;

/// Above so many, the newest value of a controller takes the place of one that waits.
const CONGESTED: usize = 32;

/// Middle C, from which on the right hand plays.
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

    /// The bytes that are to be sent of the message under way.
    pub fn rest(&self) -> &[u8] {
        self.bytes.from(self.gone)
    }

    /// Puts a message under way; the one before must have gone.
    pub fn put(&mut self, message: Message) {
        let OutputChannels { right, left } = self.channels;
        let low = message.started().or(message.ended()).map(|pitch| pitch < MIDDLE_C);
        self.twin = (low.is_none() && left != right).then(|| message.on_channel(left));
        self.begin(message.on_channel(if low == Some(true) { left } else { right }));
    }

    fn begin(&mut self, message: Message) {
        (self.message, self.bytes, self.gone) = (Some(message), message.bytes(), 0);
    }

    /// So many bytes have gone. Returns whether that was the end of the message.
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

    /// The next message that is to be passed on.
    pub fn next_thru(&mut self) -> Option<Message> {
        self.thru.pop_front()
    }

    /// Whether a message that comes in is one that went out; `missed` says whether it would be missed if
    /// it was someone's, and `held` whether it is of a key that they hold. Such a key cannot be pressed:
    /// that is a message passed on that comes back.
    pub fn returns(&mut self, message: Message, missed: bool, held: bool, now: Instant) -> bool {
        let pressed = held && message.started().is_some();
        self.sent.returns(message, missed, now)
            || (self.sent.is_echoing() || pressed) && self.passed.returns(message, missed, now)
    }

    /// Whether the port sends back what it gets.
    pub fn is_echoing(&self) -> bool {
        self.sent.is_echoing()
    }

    /// Passes a message of someone who plays on. What changes nothing is not passed on, so that nothing
    /// goes round and round.
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

    /// Ends what sounds by what was passed on, and lifts the pedals: those at the keys cannot.
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

    /// The port is lost, and with it what was under way.
    pub fn lose(&mut self) {
        (self.message, self.bytes, self.twin) = (None, Bytes::EMPTY, None);
        self.thru.clear();
        (self.sounding, self.values) = (0, [0; 128]);
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.twin.is_none() && self.thru.is_empty()
    }

    /// Messages that wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.thru.len()
    }
}
