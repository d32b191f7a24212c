//! Seconds and ticks of a file.

use midly::Timing;

use super::{MidiError, TimeFault};

/// Seconds at each tick, from the division and the tempo events.
#[derive(Clone, Debug)]
pub(crate) struct TempoMap {
    /// (first tick, seconds at that tick, seconds per tick from there on), by tick.
    spans: Vec<(u64, f64, f64)>,
}

impl TempoMap {
    pub fn new(timing: Timing, mut tempi: Vec<(u64, u32)>) -> Result<Self, MidiError> {
        let ticks_per_quarter = match timing {
            Timing::Metrical(ticks) if ticks.as_int() > 0 => f64::from(ticks.as_int()),
            Timing::Timecode(fps, ticks) if ticks > 0 => {
                // SMPTE time: a tick has one length, regardless of the tempo.
                let seconds = 1.0 / (f64::from(fps.as_f32()) * f64::from(ticks));
                return Ok(Self { spans: vec![(0, 0.0, seconds)] });
            }
            _ => return Err(MidiError::ZeroDivision),
        };
        if tempi.iter().any(|&(_, microseconds)| microseconds == 0) {
            return Err(MidiError::ImpossibleTime(TimeFault::ZeroTempo));
        }
        tempi.sort_by_key(|&(tick, _)| tick);
        // 120 quarter notes per minute until the first tempo event.
        let mut spans = vec![(0, 0.0, 0.5 / ticks_per_quarter)];
        for (tick, microseconds_per_quarter) in tempi {
            let seconds_per_tick = f64::from(microseconds_per_quarter) / 1e6 / ticks_per_quarter;
            let (last_tick, last_seconds, last_rate) = spans[spans.len() - 1];
            let seconds = last_seconds + (tick - last_tick) as f64 * last_rate;
            if tick == last_tick {
                spans.pop();
            }
            spans.push((tick, seconds, seconds_per_tick));
        }
        Ok(Self { spans })
    }

    /// Seconds from the start of the file at a tick.
    pub fn seconds(&self, tick: u64) -> f64 {
        let after = self.spans.partition_point(|&(first, ..)| first <= tick);
        let (first, seconds, rate) = self.spans[after - 1];
        seconds + (tick - first) as f64 * rate
    }

    /// The tick nearest to a time.
    pub fn tick(&self, seconds: f64) -> u64 {
        let after = self.spans.partition_point(|&(_, start, _)| start <= seconds);
        let (first, start, rate) = self.spans[after.saturating_sub(1)];
        first.saturating_add(((seconds - start) / rate).round() as u64)
    }
}
