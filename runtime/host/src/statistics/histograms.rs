//! The report's measures: histograms of pitch, step and duration, and how far apart two are.

use pianola_runtime::Note;

/// A normalised histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Vec<f64>);

/// Initial mass of a bin, so that no bin is empty.
const BIN_FLOOR: f64 = 0.0001;

impl Histogram {
    /// Counts `values`, given as bin numbers; a number past the last bin counts there.
    pub fn count(bins: usize, values: impl IntoIterator<Item = usize>) -> Self {
        let mut mass = vec![BIN_FLOOR; bins];
        for value in values {
            mass[value.min(bins - 1)] += 1.0;
        }
        let total: f64 = mass.iter().sum();
        mass.iter_mut().for_each(|bin| *bin /= total);
        Self(mass)
    }

    /// Share of each bin; the shares add up to 1.
    pub fn shares(&self) -> &[f64] {
        &self.0
    }

    /// Jensen–Shannon divergence in bits: 0 for equal histograms, 1 for disjoint ones.
    ///
    /// # Panics
    /// If the two do not have the same number of bins.
    pub fn divergence(&self, other: &Self) -> f64 {
        assert_eq!(self.0.len(), other.0.len(), "histograms of different bins");
        let half = |p: f64, q: f64| p * (2.0 * p / (p + q)).log2();
        let sum: f64 = self.0.iter().zip(&other.0).map(|(&p, &q)| half(p, q) + half(q, p)).sum();
        sum / 2.0
    }
}

/// How times are put into bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// The report's code: 30 bins of 0.5 s over 0 to 15 s, with its defect that the duration of a
    /// note whose *step* is 0 or less counts in bin 0.
    Published,
    /// The same bins with every duration in its own bin.
    Corrected,
    /// Bins of 10 ms over 0 to 15 s.
    Fine,
}

impl Binning {
    /// All binnings, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::Published, Self::Corrected, Self::Fine];

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Corrected => "corrected",
            Self::Fine => "fine",
        }
    }

    fn bins(self) -> usize {
        if self == Self::Fine { 1500 } else { 30 }
    }

    fn bin(self, seconds: f32) -> usize {
        // `as` saturates: a negative time counts in bin 0, an infinite one in the last.
        (f64::from(seconds) * self.bins() as f64 / 15.0) as usize
    }
}

/// Histograms of the three parts of a note over a set of notes.
#[derive(Clone, Debug)]
pub struct NoteHistograms {
    /// Pitch, in 128 bins.
    pub pitch: Histogram,
    /// Step, in the bins of the [`Binning`].
    pub step: Histogram,
    /// Duration, in the bins of the [`Binning`].
    pub duration: Histogram,
}

impl NoteHistograms {
    /// Counts notes.
    pub fn count<'a>(binning: Binning, notes: impl IntoIterator<Item = &'a Note> + Clone) -> Self {
        let notes = || notes.clone().into_iter();
        let duration = |note: &Note| match binning {
            Binning::Published if note.step <= 0.0 => 0,
            _ => binning.bin(note.duration),
        };
        Self {
            pitch: Histogram::count(128, notes().map(|note| usize::from(note.pitch))),
            step: Histogram::count(binning.bins(), notes().map(|note| binning.bin(note.step))),
            duration: Histogram::count(binning.bins(), notes().map(duration)),
        }
    }

    /// Jensen–Shannon divergences of pitch, step and duration, in bits.
    pub fn divergence(&self, other: &Self) -> [f64; 3] {
        [
            self.pitch.divergence(&other.pitch),
            self.step.divergence(&other.step),
            self.duration.divergence(&other.duration),
        ]
    }
}
