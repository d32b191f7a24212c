//! The events of one track, including some that violate the standard.
//!
//! `midly` reads them. It stops at some bytes that other programs skip; such an event is parsed here,
//! and `midly` continues after it.

use std::collections::BTreeSet;

use midly::live::LiveEvent;
use midly::{EventIter, TrackEvent, TrackEventKind};

use super::{MidiError, Repair};

/// The events of a track, each with its distance in ticks from the one before.
pub(super) struct Events<'a> {
    events: EventIter<'a>,
    /// Index of the track in the file.
    track: usize,
    /// Whether the running status was kept over a system exclusive event, against the standard.
    kept_over_sysex: bool,
}

impl<'a> Events<'a> {
    pub fn new(bytes: &'a [u8], track: usize) -> Self {
        Self { events: EventIter::new(bytes), track, kept_over_sysex: false }
    }

    /// The next event; none at the end of the track.
    pub fn next(
        &mut self,
        repairs: &mut BTreeSet<Repair>,
    ) -> Result<Option<(u32, Option<TrackEventKind<'a>>)>, MidiError> {
        let (unread, status) = (self.events.unread(), self.events.running_status());
        if unread.is_empty() {
            return Ok(None);
        }
        let uses_status = after_delta(unread).1.first().is_some_and(|byte| byte & 0x80 == 0);
        if std::mem::take(&mut self.kept_over_sysex) && uses_status {
            repairs.insert(Repair::StatusAfterSysEx);
        }
        let Some(Ok(TrackEvent { delta, kind })) = self.events.next() else {
            let (delta, kind, rest, status) =
                misplaced(unread, status).ok_or(MidiError::BrokenTrack(self.track))?;
            repairs.insert(Repair::SystemBytes);
            self.events = EventIter::new(rest);
            *self.events.running_status_mut() = status;
            return Ok(Some((delta, kind)));
        };
        if !matches!(kind, TrackEventKind::Midi { .. }) {
            // Many files keep the running status after a meta event, some after other events.
            *self.events.running_status_mut() = status;
            self.kept_over_sysex = !matches!(kind, TrackEventKind::Meta(_));
        }
        Ok(Some((delta.as_int(), Some(kind))))
    }
}

/// Ticks to the next event, as `midly` reads them, and the bytes after that number.
fn after_delta(bytes: &[u8]) -> (u32, &[u8]) {
    let length = bytes.iter().take(4).position(|byte| byte & 0x80 == 0).map_or(4, |at| at + 1);
    let (delta, rest) = bytes.split_at(length.min(bytes.len()));
    (delta.iter().fold(0, |ticks, byte| ticks << 7 | u32::from(byte & 0x7f)), rest)
}

/// Whether a byte is a real-time message, which may occur anywhere in a stream: clock, start, stop,
/// active sensing and the like. In files, 255 is a meta event instead.
fn is_realtime(byte: u8) -> bool {
    (0xf8..=0xfe).contains(&byte)
}

/// An event parsed here: ticks, the event if it is used, the bytes after it, and the running status
/// there.
type ByHand<'a> = (u32, Option<TrackEventKind<'a>>, &'a [u8], Option<u8>);

/// Reads an event at which `midly` stops: a system message, which is invalid in a file, or a channel
/// message with real-time bytes between its own. `None` if it is neither.
fn misplaced(bytes: &[u8], running: Option<u8>) -> Option<ByHand<'_>> {
    let (delta, rest) = after_delta(bytes);
    let (&first, behind) = rest.split_first()?;
    let system_data = match first {
        0xf1 | 0xf3 => Some(1),
        0xf2 => Some(2),
        0xf6 | 0xf8..=0xfe => Some(0),
        _ => None,
    };
    if let Some(data) = system_data {
        let (data, rest) = behind.split_at_checked(data)?;
        let clean = data.iter().all(|byte| byte & 0x80 == 0);
        return clean.then_some((delta, None, rest, running));
    }
    let (status, mut rest) = if first & 0x80 == 0 { (running?, rest) } else { (first, behind) };
    let length = match status {
        0xc0..=0xdf => 1,
        0x80..=0xef => 2,
        _ => return None,
    };
    let mut message = vec![status];
    while message.len() <= length {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            0..=0x7f => message.push(byte),
            _ if is_realtime(byte) => {}
            _ => return None,
        }
    }
    match LiveEvent::parse(&message).ok()? {
        LiveEvent::Midi { channel, message } => {
            Some((delta, Some(TrackEventKind::Midi { channel, message }), rest, Some(status)))
        }
        _ => None,
    }
}
