//! The chunks of a Standard MIDI File: its header and the bodies of its tracks.

use std::collections::BTreeSet;

use midly::{Format, Timing};

use super::{MidiError, Repair};

/// A file taken apart, its tracks not yet read.
pub(super) struct Chunks<'a> {
    pub format: Format,
    pub timing: Timing,
    pub tracks: Vec<&'a [u8]>,
}

impl<'a> Chunks<'a> {
    pub fn read(bytes: &'a [u8], repairs: &mut BTreeSet<Repair>) -> Result<Self, MidiError> {
        if bytes.get(12) == Some(&0x80) {
            return Err(MidiError::ZeroDivision); // 0 frames a second, on which `midly` would overflow
        }
        let (header, rest) =
            midly::parse(bytes).map_err(|error| MidiError::NotMidi(error.to_string()))?;
        let announced = rest.size_hint().0;
        let tracks = track_bodies(rest.unread(), announced)?;
        let found = tracks.len();
        if found < announced {
            return Err(MidiError::MissingTracks { announced, found });
        }
        if found > announced {
            repairs.insert(Repair::MoreTracks { announced, found });
        }
        Ok(Self { format: header.format, timing: header.timing, tracks })
    }
}

/// The track chunks behind the header. A chunk is 4 bytes of type, 4 of big-endian length, and its
/// body.
///
/// Up to the announced number of tracks, a chunk that runs past the end means that the file was cut
/// short. After them, whole tracks are read too, and anything else is ignored.
fn track_bodies(mut bytes: &[u8], announced: usize) -> Result<Vec<&[u8]>, MidiError> {
    let mut tracks = Vec::new();
    while let Some((head, body)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let whole = body.split_at_checked(length as usize);
        let is_track = head.starts_with(b"MTrk");
        let missing = tracks.len() < announced;
        match whole {
            Some((body, rest)) if is_track => {
                tracks.push(body);
                bytes = rest;
            }
            Some((_, rest)) if missing => bytes = rest,
            None if missing => return Err(MidiError::CutShort),
            _ => break,
        }
    }
    Ok(tracks)
}
