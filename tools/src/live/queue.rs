//! Queues between the threads of a performance. They are bounded: when one is full, the newest value of
//! each control is kept, and requests to end have priority.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use pianola_runtime::{Event, Instant, Message};

use crate::live::lock::lock;
use crate::live::open_port::Output;
use crate::live::performance::{Input, ToModel};

/// Received messages in a queue.
#[derive(Default)]
pub struct Incoming {
    messages: VecDeque<(Message, Instant)>,
    /// Whether keys, and possibly their releases, had to be dropped.
    dropped: bool,
}

/// Maximum number of queued messages, and the number of controllers.
const MOST: usize = 1024;

impl Incoming {
    /// Queues a message.
    pub fn push(&mut self, message: Message, at: Instant) {
        let again = self.messages.back().is_some_and(|(last, _)| *last == message);
        if again && message.channel().is_none() {
            return;
        }
        if self.messages.len() >= MOST {
            self.thin_out();
        }
        self.messages.push_back((message, at));
    }

    /// Keeps the last value of each controller and the last system message.
    fn thin_out(&mut self) {
        let mut kept: VecDeque<(Message, Instant)> = VecDeque::new();
        let mut seen = [false; 129];
        for &(message, at) in self.messages.iter().rev() {
            let place = match message {
                Message::Control { number, .. } => usize::from(number),
                _ if message.channel().is_none() => 128,
                _ => continue,
            };
            if let Some(seen) = seen.get_mut(place).filter(|seen| !**seen) {
                *seen = true;
                kept.push_front((message, at));
            }
        }
        (self.messages, self.dropped) = (kept, true);
    }
}

/// Everything received for the timing thread since its last turn.
#[derive(Default)]
pub struct Arrived {
    pub quit: bool,
    pub suspend: Option<(Sender<()>, Receiver<()>)>,
    /// Whether the port is lost; or the port that is back.
    pub lost: bool,
    pub found: Option<Box<dyn Output>>,
    /// The model's answer.
    pub answer: Option<Input>,
    /// Events from computer keys.
    pub asked: VecDeque<Event>,
    pub incoming: Incoming,
    /// Whether the input port is lost.
    pub deaf: bool,
}

impl Arrived {
    fn is_empty(&self) -> bool {
        let Self { quit, suspend, lost, found, answer, asked, incoming, deaf } = self;
        !quit
            && suspend.is_none()
            && !lost
            && found.is_none()
            && answer.is_none()
            && asked.is_empty()
            && incoming.messages.is_empty()
            && !deaf
    }

    /// All inputs, in order, except requests to end or to suspend and the port itself.
    pub fn inputs(mut self) -> impl Iterator<Item = Input> {
        let lost = self.lost.then_some(Input::Lost);
        let asked = self.asked.into_iter().map(Input::Asked);
        let received = take_messages(&mut self.incoming);
        let deaf = (self.deaf || self.incoming.dropped).then_some(Input::Deaf);
        lost.into_iter().chain(received).chain(deaf).chain(asked).chain(self.answer)
    }
}

fn take_messages(incoming: &mut Incoming) -> impl Iterator<Item = Input> + use<> {
    let messages = std::mem::take(&mut incoming.messages);
    messages.into_iter().map(|(message, at)| Input::Received(message, at))
}

/// Inbox of the timing thread.
#[derive(Default)]
pub struct Inbox {
    arrived: Mutex<Arrived>,
    some: Condvar,
}

impl Inbox {
    /// Puts an input in.
    pub fn put(&self, put: impl FnOnce(&mut Arrived)) {
        put(&mut lock(&self.arrived));
        self.some.notify_one();
    }

    /// Requests the end.
    pub fn quit(&self) {
        self.put(|arrived| arrived.quit = true);
    }

    /// Queues an event from a computer key.
    pub fn ask(&self, event: Event) {
        self.put(|arrived| {
            if arrived.asked.len() < MOST {
                arrived.asked.push_back(event);
            }
        });
    }

    /// Waits for input, up to a timeout; takes all that there is.
    pub fn wait(&self, longest: Duration) -> Arrived {
        let waiting = self
            .some
            .wait_timeout_while(lock(&self.arrived), longest, |arrived| arrived.is_empty());
        let (mut arrived, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        let quit = arrived.quit;
        // The request to end stays.
        std::mem::replace(&mut *arrived, Arrived { quit, ..Arrived::default() })
    }
}

/// Queue of messages to the model.
#[derive(Default)]
pub struct ModelQueue {
    waiting: Mutex<(VecDeque<ToModel>, bool)>,
    some: Condvar,
}

/// Maximum number of keys queued for the model; further ones are dropped.
const KEYS: usize = 512;

impl ModelQueue {
    /// Queues a message, unless it is redundant or there are too many keys.
    pub fn push(&self, new: ToModel) {
        let (waiting, _) = &mut *lock(&self.waiting);
        add(waiting, new);
        self.some.notify_one();
    }

    /// Closes the queue.
    pub fn close(&self) {
        let (waiting, closed) = &mut *lock(&self.waiting);
        waiting.clear();
        *closed = true;
        self.some.notify_one();
    }

    /// Waits for the next message; `None` once the queue is closed.
    pub fn next(&self) -> Option<ToModel> {
        let mut waiting = lock(&self.waiting);
        loop {
            let (queue, closed) = &mut *waiting;
            if *closed {
                return None;
            }
            if let Some(first) = queue.pop_front() {
                return Some(first);
            }
            waiting = self.some.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn add(waiting: &mut VecDeque<ToModel>, new: ToModel) {
    // Since the last of these, a second `Forgotten` is redundant.
    let bounds = |old: &ToModel| matches!(old, ToModel::Wanted | ToModel::Started(_));
    match new {
        ToModel::Forgotten => {
            let since = waiting.iter().rev().take_while(|old| !bounds(old));
            if since.into_iter().any(|old| *old == ToModel::Forgotten) {
                return;
            }
        }
        ToModel::Event(Event::Set(control, _), _) => {
            let same = |old: &&mut ToModel| matches!(old, ToModel::Event(Event::Set(other, _), _) if *other == control);
            if let Some(old) = waiting.iter_mut().find(same) {
                *old = new;
                return;
            }
        }
        ToModel::Event(event @ Event::Transport(_), _) => {
            let same = |old: &ToModel| matches!(old, ToModel::Event(other, _) if *other == event);
            if waiting.iter().any(same) {
                waiting.retain(|old| !same(old));
            }
        }
        ToModel::Event(Event::Press(..), _) if waiting.len() >= KEYS => return,
        ToModel::Event(Event::Release(_), _) if waiting.len() >= 2 * KEYS => return,
        _ => {}
    }
    waiting.push_back(new);
}

#[cfg(test)]
mod tests {
    use pianola_runtime::{Control, TransportCommand};

    use super::*;

    #[test]
    fn a_flood_is_thinned_out_and_the_newest_control_wins() {
        let mut incoming = Incoming::default();
        for number in 0..100_000u32 {
            let value = (number % 128) as u8;
            incoming.push(Message::Start, Instant::START);
            incoming.push(Message::note_on(60, value.max(1)), Instant::START);
            incoming.push(Message::control(20, value), Instant::START);
            assert!(incoming.messages.len() <= MOST);
        }
        incoming.push(Message::Stop, Instant::START);
        assert!(incoming.dropped);
        let last = |wanted: fn(&Message) -> bool| {
            incoming.messages.iter().rev().map(|(message, _)| *message).find(wanted)
        };
        let control = last(|message| matches!(message, Message::Control { .. }));
        assert_eq!(control, Some(Message::control(20, (99_999 % 128) as u8)));
        assert_eq!(last(|message| message.channel().is_none()), Some(Message::Stop));
    }

    #[test]
    fn a_request_to_end_is_seen_at_once_and_stays() {
        let inbox = Inbox::default();
        for _ in 0..5_000 {
            inbox.put(|arrived| arrived.incoming.push(Message::note_on(60, 1), Instant::START));
        }
        inbox.quit();
        let arrived = inbox.wait(Duration::from_secs(9));
        assert!(arrived.quit && arrived.inputs().count() <= MOST + 1);
        assert!(inbox.wait(Duration::from_secs(9)).quit);
    }

    #[test]
    fn the_queue_to_the_model_is_bounded() {
        let mut waiting = VecDeque::new();
        let at = Instant::START;
        for number in 0..50_000u32 {
            let value = (number % 128) as u8;
            add(&mut waiting, ToModel::Event(Event::Press(value, 9), at));
            add(&mut waiting, ToModel::Forgotten);
            add(&mut waiting, ToModel::Event(Event::Release(value), at));
            add(&mut waiting, ToModel::Event(Event::Set(Control::Density, value), at));
            add(&mut waiting, ToModel::Event(Event::Transport(TransportCommand::Start), at));
        }
        assert!(waiting.len() <= 2 * KEYS + 8, "{}", waiting.len());
        let set = waiting.iter().find(|one| matches!(one, ToModel::Event(Event::Set(..), _)));
        let newest = (49_999 % 128) as u8;
        assert_eq!(set, Some(&ToModel::Event(Event::Set(Control::Density, newest), at)));
    }
}
