//! Histogram of how late notes were sent.

use std::fmt;

use pianola_host::text::count;
use pianola_runtime::{Instant, Micros};

/// Histogram of the lateness of note-ons.
pub struct JitterHistogram {
    /// Counts by multiples of [`WIDTH`]; the last bin also holds everything later.
    bins: Vec<u64>,
    most: Micros,
}

/// Width of a bin in microseconds.
const WIDTH: u64 = 10;

/// Number of bins: up to a tenth of a second.
const BINS: usize = 10_000;

impl Default for JitterHistogram {
    fn default() -> Self {
        Self { bins: vec![0; BINS], most: Micros::ZERO }
    }
}

impl JitterHistogram {
    /// Counts a note that was due at one time and sent at another.
    pub fn record(&mut self, due: Instant, sent: Instant) {
        let late = sent - due;
        let bin = BINS.min((late.as_micros() / WIDTH) as usize + 1) - 1;
        self.bins[bin] += 1;
        self.most = self.most.max(late);
    }

    /// Notes counted.
    pub fn notes(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// Quantile of the lateness: the upper end of its bin.
    pub fn quantile(&self, share: f64) -> Micros {
        let wanted = (share * self.notes() as f64).ceil() as u64;
        let mut seen = 0;
        let bin = self.bins.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        bin.filter(|bin| bin + 1 < BINS)
            .map_or(self.most, |bin| self.most.min(Micros::from_micros((bin as u64 + 1) * WIDTH)))
    }
}

impl fmt::Display for JitterHistogram {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ms = |late: Micros| late.as_micros() as f64 / 1e3;
        if self.notes() == 0 {
            return f.write_str("no notes");
        }
        let notes = count(self.notes() as usize, "note");
        write!(
            f,
            "{notes}, late by {:.2} ms at the median, {:.2} ms at p99, {:.2} ms at most",
            ms(self.quantile(0.5)),
            ms(self.quantile(0.99)),
            ms(self.most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut jitter = JitterHistogram::default();
        assert_eq!(jitter.to_string(), "no notes");
        let at = Instant::from_micros;
        (0..99).for_each(|late| jitter.record(at(1000), at(1000 + 10 * late)));
        jitter.record(at(0), at(5_000_000));
        let quantiles = [0.5, 0.99, 1.0].map(|share| jitter.quantile(share).as_micros());
        assert_eq!((quantiles, jitter.notes()), ([500, 990, 5_000_000], 100));
    }
}
