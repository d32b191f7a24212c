//! Which bar of its score a moment of a MIDI file is in.

use midly::{Format, Timing};

use crate::midi_file::{self, MidiError, TempoMap};

/// The bars of a file, as its time signatures count them: from 1, a new one with every signature,
/// and 4/4 until the first.
pub struct Bars {
    tempo: TempoMap,
    /// (first tick, number of the bar that begins there, ticks of a bar), by tick.
    spans: Vec<(u64, u64, u64)>,
}

impl Bars {
    /// Reads the time signatures of a file. It has no bars if its time is not counted in quarter
    /// notes, or if it is a string of patterns.
    ///
    /// # Errors
    /// [`MidiError`] if the bytes are not a whole MIDI file.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, MidiError> {
        let (header, tracks) = midi_file::parse(bytes)?;
        let tempi = tracks.iter().flat_map(|track| track.tempi.iter().copied()).collect();
        let tempo = TempoMap::new(header.timing, tempi)?;
        let Timing::Metrical(quarter) = header.timing else { return Ok(None) };
        if header.format == Format::Sequential {
            return Ok(None);
        }
        let mut signatures: Vec<_> =
            tracks.iter().flat_map(|track| track.signatures.iter().copied()).collect();
        signatures.sort_by_key(|&(tick, ..)| tick);
        let whole = 4 * u64::from(quarter.as_int());
        let mut spans = vec![(0, 1, whole)];
        for (tick, beats, part) in signatures {
            let length = (u64::from(beats) * whole).checked_shr(part.into()).unwrap_or(0);
            if length == 0 {
                continue; // no beats, or none that lasts a tick
            }
            let (first, bar, ticks) = spans[spans.len() - 1];
            if tick == first {
                spans.pop();
            }
            spans.push((tick, bar + (tick - first).div_ceil(ticks), length));
        }
        Ok(Some(Self { tempo, spans }))
    }

    /// The number of the bar at so many seconds from the start of the file.
    pub fn at(&self, seconds: f64) -> u64 {
        let tick = self.tempo.tick(seconds);
        let after = self.spans.partition_point(|&(first, ..)| first <= tick);
        let (first, bar, ticks) = self.spans[after - 1];
        bar + (tick - first) / ticks
    }
}
