//! Messages that come back: a soft thru, a local echo or a cable from OUT to IN returns what was sent.

use heapless::Deque;

use crate::midi::message::Message;
use crate::midi::time::{Instant, Micros};

/// The last messages sent, up to `N` of them, to recognize those that come back.
///
/// Each message sent accounts for one that comes back within [`WINDOW`](Self::WINDOW), on any channel and, for
/// a release, at any velocity. A message that would be missed if a player sent it, such as the release of a key
/// that is held, counts as the player's until messages of its kind are known to come back, and again once they
/// no longer do.
///
/// ```
/// use pianola_runtime::{Instant, Message, SentMessages};
/// let now = Instant::START;
/// let mut sent = SentMessages::<16>::default();
/// sent.record(Message::note_on(60, 80), now);
/// assert!(!sent.returns(Message::note_on(60, 81), false, now));
/// assert!(sent.returns(Message::note_on(60, 80), false, now));
/// assert!(!sent.returns(Message::note_on(60, 80), false, now)); // it was sent once
/// ```
#[derive(Clone, Debug, Default)]
pub struct SentMessages<const N: usize> {
    /// In the order in which they were sent.
    sent: Deque<Sent, N>,
    /// How many more releases, and how many more other messages, have come back than have not; 0 to
    /// [`MOST`](Self::MOST).
    returned: [u8; 2],
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Key of the message; [`RETURNED`] once it has come back.
    key: [u8; 3],
    /// The low bits of the time, in microseconds: they wrap after an hour, far longer than the window.
    at: u32,
}

/// No message has this key.
const RETURNED: [u8; 3] = [0; 3];

impl<const N: usize> SentMessages<N> {
    /// How long after it was sent a message may come back: a serial line's buffer of 4 KB takes 1.3 s.
    pub const WINDOW: Micros = Micros::from_millis(1_500);

    /// Number of returned messages after which an echo is certain.
    const CERTAIN: u8 = 3;

    /// The most that count, so that a port which stops echoing is believed soon.
    const MOST: u8 = 16;

    /// Records a message that has been sent; if full, the oldest is dropped.
    #[inline(never)] // boards have no flash for a copy at every call
    pub fn record(&mut self, message: Message, now: Instant) {
        self.forget_old(now);
        if self.sent.is_full() {
            self.drop_oldest();
        }
        let _ = self.sent.push_back(Sent { key: key(message), at: low(now) });
    }

    /// Whether an incoming message is one that was sent. `missed` is true if it would be missed if a player sent
    /// it: it releases a key that is held, or silences all notes.
    #[inline(never)]
    pub fn returns(&mut self, message: Message, missed: bool, now: Instant) -> bool {
        self.forget_old(now);
        let key = key(message);
        if missed && !self.is_certain(key) {
            return false;
        }
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.key == key) else { return false };
        sent.key = RETURNED;
        let count = self.returned_like(key);
        *count = Self::MOST.min(*count + 1);
        true
    }

    /// Whether messages come back, judged by those that have.
    pub fn is_echoing(&self) -> bool {
        self.returned.iter().any(|&count| count >= Self::CERTAIN)
    }

    /// Whether messages of a kind come back.
    fn is_certain(&self, key: [u8; 3]) -> bool {
        let [releases, others] = self.returned;
        (if is_release(key) { releases } else { others }) >= Self::CERTAIN
    }

    /// The count of messages of a kind.
    fn returned_like(&mut self, key: [u8; 3]) -> &mut u8 {
        let [releases, others] = &mut self.returned;
        if is_release(key) { releases } else { others }
    }

    #[inline(never)]
    fn forget_old(&mut self, now: Instant) {
        let now = low(now);
        while let Some(&Sent { key, at }) = self.sent.front() {
            if key != RETURNED && now.wrapping_sub(at) <= Self::WINDOW.as_micros() as u32 {
                return;
            }
            self.drop_oldest();
        }
    }

    /// Drops the oldest message, and counts it if it has not come back.
    fn drop_oldest(&mut self) {
        if let Some(Sent { key, .. }) = self.sent.pop_front()
            && key != RETURNED
        {
            let count = self.returned_like(key);
            *count = count.saturating_sub(1);
        }
    }
}

fn low(moment: Instant) -> u32 {
    moment.as_micros() as u32
}

/// The bytes of a message without its channel and, for a release, without its velocity.
fn key(message: Message) -> [u8; 3] {
    let [status, first, second] = message.bytes().padded();
    match status {
        0x80..=0x8f => [0x80, first, 0],
        ..0xf0 => [status & 0xf0, first, second],
        _ => [status, first, second],
    }
}

fn is_release([status, ..]: [u8; 3]) -> bool {
    status == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn at(millis: u64) -> Instant {
        Instant::START + Micros::from_millis(millis)
    }

    #[test]
    fn what_is_late_does_not_come_back() {
        let mut sent = SentMessages::<4>::default();
        sent.record(Message::control(123, 0), at(0));
        assert!(!sent.returns(Message::control(123, 0), false, at(1_501)));
        sent.record(Message::control(123, 0), at(2_000));
        assert!(sent.returns(Message::control(123, 0).on_channel(5), false, at(3_500)));
    }

    #[test]
    fn a_release_of_a_held_key_is_the_players_until_releases_come_back() {
        let mut sent = SentMessages::<16>::default();
        let release = Message::NoteOff { channel: 2, pitch: 60, velocity: 0 };
        sent.record(Message::note_off(60), at(0));
        assert!(!sent.returns(release, true, at(1)));
        assert!(sent.returns(release, false, at(1)));
        for pitch in [61, 62, 60] {
            sent.record(Message::note_off(pitch), at(2));
        }
        assert!(sent.returns(Message::note_off(61), false, at(3)));
        assert!(sent.returns(Message::note_off(62), false, at(3)));
        assert!(sent.is_echoing() && sent.returns(release, true, at(3)));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut sent = SentMessages::<2>::default();
        (60..63).for_each(|pitch| sent.record(Message::note_on(pitch, 80), at(0)));
        let back =
            [60, 61, 62].map(|pitch| sent.returns(Message::note_on(pitch, 80), false, at(1)));
        assert_eq!(back, [false, true, true]);
    }

    /// Sends a note-on or a note-off of pitch 60 after each gap in milliseconds; each comes back after `latency`
    /// if the port echoes. Returns whether all that came back were recognized.
    fn pass(
        sent: &mut SentMessages<16>,
        now: &mut u64,
        messages: &[(bool, u64)],
        latency: Option<u64>,
    ) -> bool {
        messages.iter().all(|&(release, gap)| {
            let message = if release { Message::note_off(60) } else { Message::note_on(60, 80) };
            *now += gap;
            sent.record(message, at(*now));
            let Some(latency) = latency else { return true };
            *now += latency;
            sent.returns(message, true, at(*now))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

        #[test]
        fn a_port_that_stops_echoing_is_believed_again(
            messages in proptest::collection::vec((any::<bool>(), 0..500u64), 0..200),
            latency in 0..=1_500u64,
            // Milliseconds between messages after the port stops: below 94, more than 16 of them are in a window.
            gap in prop_oneof![0..94u64, Just(1_501)],
        ) {
            let (mut sent, mut now) = (SentMessages::<16>::default(), 0);
            for release in [true, false] {
                for _ in 0..SentMessages::<16>::CERTAIN {
                    let message =
                        if release { Message::note_off(60) } else { Message::note_on(60, 80) };
                    sent.record(message, at(now));
                    prop_assert!(!sent.returns(message, true, at(now)), "it may be the player's");
                    prop_assert!(sent.returns(message, false, at(now)));
                }
            }
            // As long as the port echoes, all messages are recognized.
            prop_assert!(pass(&mut sent, &mut now, &messages, Some(latency)));
            // It stops: what is sent then never comes back.
            let silent: Vec<_> = (0..32).map(|index| (index % 2 == 0, gap)).collect();
            pass(&mut sent, &mut now, &silent, None);
            now += 1_501;
            let believed = [Message::note_off(60), Message::note_on(60, 80)].map(|message| {
                sent.record(message, at(now));
                !sent.returns(message, true, at(now))
            });
            prop_assert_eq!(believed, [true; 2]);
            prop_assert!(!sent.is_echoing());
        }
    }
}
