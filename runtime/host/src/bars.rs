//! The bar numbers of a MIDI file.

use crate::midi_file::TempoMap;

/// The bars of a file by its time signatures: counted from 1, with a new bar at every signature, and
/// 4/4 until the first. [`MidiFile::bars`](crate::midi_file::MidiFile::bars) returns them.
#[derive(Clone, Debug)]
pub struct Bars {
    tempo: TempoMap,
    /// (first tick, number of the bar that begins there, ticks of a bar), by tick.
    spans: Vec<(u64, u64, u64)>,
}

impl Bars {
    /// From the ticks per quarter note and the time signatures of all tracks: (tick, beats per bar,
    /// log2 of the beat's denominator).
    pub(crate) fn new(tempo: TempoMap, quarter: u16, mut signatures: Vec<(u64, u8, u8)>) -> Self {
        signatures.sort_by_key(|&(tick, ..)| tick);
        let whole = 4 * u64::from(quarter);
        let mut spans = vec![(0, 1, whole)];
        for (tick, beats, part) in signatures {
            let length = (u64::from(beats) * whole).checked_shr(part.into()).unwrap_or(0);
            if length == 0 {
                continue; // no beats, or none that lasts a tick
            }
            let (first, bar, ticks): (u64, u64, u64) = spans[spans.len() - 1];
            if tick == first {
                spans.pop();
            }
            let passed = tick.saturating_sub(first).div_ceil(ticks);
            spans.push((tick, bar.saturating_add(passed), length));
        }
        Self { tempo, spans }
    }

    /// The number of the bar at a time in seconds from the start of the file. A time before the start is
    /// in the first bar; the number saturates.
    pub fn at(&self, seconds: f64) -> u64 {
        let tick = self.tempo.tick(seconds);
        let after = self.spans.partition_point(|&(first, ..)| first <= tick);
        let (first, bar, ticks) = self.spans[after.saturating_sub(1)];
        bar.saturating_add(tick.saturating_sub(first) / ticks)
    }
}
