//! Wrappers of MIDI files: gzip, and the RIFF container of `.rmi` files.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use flate2::bufread::GzDecoder;

use super::{MAX_BYTES, MidiError, Repair};

/// The two bytes that every gzip file starts with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Most members of a gzip file: `bgzip` writes one for each 64 KiB. A damaged file may hold millions of empty ones.
pub(super) const MOST_MEMBERS: usize = 1024;

/// The Standard MIDI File in some bytes: the bytes themselves, or the contents of a wrapper.
pub(super) fn unwrap<'a>(
    bytes: &'a [u8],
    repairs: &mut BTreeSet<Repair>,
) -> Result<Cow<'a, [u8]>, MidiError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(MidiError::TooLarge);
    }
    if !bytes.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(unwrap_riff(bytes, repairs)));
    }
    Ok(Cow::Owned(unwrap_riff(&unpack(bytes)?, repairs).to_vec()))
}

/// The contents of all members of a gzip file; what follows the last is ignored, as `gzip` does.
fn unpack(mut packed: &[u8]) -> Result<Vec<u8>, MidiError> {
    let mut plain = Vec::new();
    for _ in 0..MOST_MEMBERS {
        let mut member = GzDecoder::new(packed);
        // A small file may unpack to any size: reading one byte past the limit detects that it is exceeded.
        let left = MAX_BYTES + 1 - plain.len() as u64;
        let read = member.by_ref().take(left).read_to_end(&mut plain);
        read.map_err(|_| MidiError::BrokenGzip)?;
        if plain.len() as u64 > MAX_BYTES {
            return Err(MidiError::TooLarge);
        }
        packed = member.into_inner();
        if !packed.starts_with(&GZIP) {
            return Ok(plain);
        }
    }
    Err(MidiError::TooManyMembers)
}

/// The contents of the `data` chunk of a RIFF file, at any position among the chunks; all bytes if
/// there is none. A chunk is 4 bytes of type, 4 of little-endian length, its body, and a byte of
/// padding after an odd length, which some writers leave out.
fn unwrap_riff<'a>(bytes: &'a [u8], repairs: &mut BTreeSet<Repair>) -> &'a [u8] {
    if !(bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"RMID")) {
        return bytes;
    }
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head.starts_with(b"data") {
            return body.get(..length).unwrap_or_else(|| {
                repairs.insert(Repair::ShortRiff);
                body
            });
        }
        let padded = length.saturating_add(length & 1);
        let at_data = |at: usize| body.get(at..).is_some_and(|next| next.starts_with(b"data"));
        let next = if length < padded && at_data(length) { length } else { padded };
        rest = body.get(next..).unwrap_or_default();
    }
    bytes
}
