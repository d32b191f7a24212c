//! Compares sampled pieces with real ones: the report that `pianola compare` prints.
//!
//! As in Yang and Lerch (2020), a measure is compared by distances: between each two real pieces, and
//! between each sampled and each real piece. If the sampled pieces are like the real ones, both sets of
//! distances have the same distribution, and the areas under their densities overlap
//! ([`overlap`](crate::statistics::overlap)). Training songs do not match other real songs perfectly
//! either: their overlap is the *ceiling*, and a model's overlap is reported as a share of it.
//!
//! Measures depend on length, so all pieces are cut into [`excerpts`] of the same length.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::corpus::Song;
use crate::statistics::evaluation::Divergences;
use crate::statistics::music::Measures;
use crate::statistics::overlap::overlapped_area;
use pianola_runtime::Note;

/// Most notes of an excerpt.
pub const EXCERPT: usize = 1000;

/// Batch size for per-batch divergences.
pub const HUNDRED: usize = 100;

/// Fewest excerpts, of the real songs and of the training songs, that make a ceiling.
pub const FEWEST: usize = 4;

/// Lowest ceiling of which a share is reported: a share of a lower one is noise, however large.
pub const LOWEST_CEILING: f64 = 0.1;

/// Cuts a piece into consecutive excerpts of `length` notes. The last may have down to a quarter of
/// that, and is left out if it has less.
pub fn excerpts(piece: &[Note], length: usize) -> impl Iterator<Item = &[Note]> {
    let length = length.max(1);
    piece.chunks(length).filter(move |excerpt| 4 * excerpt.len() >= length)
}

/// A scalar measure: its name, its unit and its function.
type Scalar = (&'static str, &'static str, fn(&Measures) -> f64);

/// A measure that is a histogram.
type Spectrum = (&'static str, fn(&Measures) -> &[f64]);

const PITCH_CLASS_ENTROPY: Scalar =
    ("pitch-class entropy", "bits", |measures| measures.pitch_class_entropy);
const POLYPHONY_RATE: Scalar = ("polyphony rate", "share", |measures| measures.polyphony_rate);
const MEAN_PITCH: Scalar = ("mean pitch", "MIDI", |measures| measures.mean_pitch);

const SCALARS: [Scalar; 9] = [
    PITCH_CLASS_ENTROPY,
    ("scale consistency", "share", |measures| measures.scale_consistency),
    POLYPHONY_RATE,
    ("mean polyphony", "pitches", |measures| measures.mean_polyphony),
    ("notes per second", "1/s", |measures| measures.notes_per_second),
    MEAN_PITCH,
    ("notes above C7", "share", |measures| measures.high_share),
    ("longest run of a pitch", "notes", |measures| measures.longest_run as f64),
    ("densest 10 s", "notes", |measures| measures.densest_window as f64),
];

const SPECTRA: [Spectrum; 3] = [
    ("steps", |measures| &measures.steps),
    ("durations", |measures| &measures.durations),
    ("intervals", |measures| &measures.intervals),
];

/// Measures whose usual range is reported: a piece outside it sounds wrong.
const RANGED: [Scalar; 3] = [POLYPHONY_RATE, PITCH_CLASS_ENTROPY, MEAN_PITCH];

/// One measure over two sets of pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The measure.
    pub name: &'static str,
    /// Its unit; empty for histograms.
    pub unit: &'static str,
    /// Its means over the sampled and the real pieces; none for histograms.
    pub means: Option<[f64; 2]>,
    /// Overlapped area of the distances between real pieces and of those between sampled and real
    /// ones, 0 to 1; none if there is no such distance.
    pub overlap: Option<f64>,
}

/// All measures over two sets of pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// A row for each measure.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Compares sampled pieces with real ones.
    pub fn between(samples: &[Measures], real: &[Measures]) -> Self {
        let scalars = SCALARS.map(|(name, unit, of)| {
            let [samples, real] = [samples, real].map(|set| set.iter().map(of).collect::<Vec<_>>());
            let means = Some([mean(&samples), mean(&real)]);
            let overlap = compare(&samples, &real, |a, b| (a - b).abs());
            Row { name, unit, means, overlap }
        });
        let spectra = SPECTRA.map(|(name, of)| {
            let [samples, real] = [samples, real].map(|set| set.iter().map(of).collect::<Vec<_>>());
            let overlap = compare(&samples, &real, |a, b| {
                a.iter().zip(*b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
            });
            Row { name, unit: "", means: None, overlap }
        });
        Self { rows: scalars.into_iter().chain(spectra).collect() }
    }
}

/// Overlap of the distances among the real ones and of those from samples to real ones.
fn compare<T>(samples: &[T], real: &[T], distance: impl Fn(&T, &T) -> f64) -> Option<f64> {
    let pairs = real.iter().enumerate().flat_map(|(at, a)| real[..at].iter().map(move |b| (a, b)));
    let within: Vec<f64> = pairs.map(|(a, b)| distance(a, b)).collect();
    let pairs = samples.iter().flat_map(|a| real.iter().map(move |b| (a, b)));
    let across: Vec<f64> = pairs.map(|(a, b)| distance(a, b)).collect();
    overlapped_area(&within, &across)
}

/// Usual range of a measure: from its 1st to its 99th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// 1st percentile.
    pub low: f64,
    /// 99th percentile.
    pub high: f64,
}

impl Range {
    /// The range of some values, interpolated between the nearest two; `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let percentile = |percent: f64| {
            let place = percent / 100.0 * last as f64;
            let (below, part) = (place as usize, place.fract());
            values[below] + part * (values[(below + 1).min(last)] - values[below])
        };
        Some(Self { low: percentile(1.0), high: percentile(99.0) })
    }

    /// Whether a value lies in it.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A measure's usual range, and the share of sampled pieces inside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeKept {
    /// The measure.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its range over the real pieces.
    pub range: Range,
    /// Share of sampled pieces inside it.
    pub inside: f64,
}

/// Usual ranges and extremes of real pieces, and the sampled pieces' values.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Usual ranges.
    pub ranges: Vec<RangeKept>,
    /// Longest run of one pitch, in notes: in any sampled piece, in any song of the corpus.
    pub longest_run: [usize; 2],
    /// Most onsets within ten seconds: in any sampled piece, in any song of the corpus.
    pub densest_window: [usize; 2],
}

impl Limits {
    /// Ranges over real pieces, of the same length as the sampled ones, and extremes over the whole
    /// songs of the corpus.
    pub fn between(samples: &[Measures], real: &[Measures], corpus: &[Measures]) -> Self {
        let kept = |(name, unit, of): Scalar| {
            let range = Range::of(real.iter().map(of))?;
            let inside = samples.iter().filter(|piece| range.holds(of(piece))).count();
            let inside = inside as f64 / samples.len().max(1) as f64;
            Some(RangeKept { name, unit, range, inside })
        };
        let most = |of: fn(&Measures) -> usize| {
            [samples, corpus].map(|set| set.iter().map(of).max().unwrap_or(0))
        };
        Self {
            ranges: RANGED.into_iter().filter_map(kept).collect(),
            longest_run: most(|measures| measures.longest_run),
            densest_window: most(|measures| measures.densest_window),
        }
    }
}

/// Comparison of sampled pieces with real ones.
#[derive(Clone, Debug)]
pub struct Report {
    /// Most notes of an excerpt: those of the longest sampled piece, and at most [`EXCERPT`].
    pub length: usize,
    /// Number of excerpts of the sampled pieces, of the real songs and of the training songs.
    pub excerpts: [usize; 3],
    /// Divergences between all notes of the sampled pieces and all of the real songs.
    pub divergences: Divergences,
    /// Divergences of each batch of [`HUNDRED`] sampled pieces in the order given, if there are at least two; an
    /// incomplete last batch has none. They show how much the divergences vary between samples.
    pub hundreds: Vec<Divergences>,
    /// Sampled pieces against real songs.
    pub comparison: Comparison,
    /// Training songs against real songs.
    pub ceiling: Comparison,
    /// Usual ranges of real songs.
    pub limits: Limits,
}

impl Report {
    /// Compares sampled pieces with real songs. The training songs give the ceiling, the whole corpus
    /// gives the extremes.
    pub fn of(samples: &[&[Note]], real: &[&Song], training: &[&Song], corpus: &[&Song]) -> Self {
        let length = samples.iter().map(|piece| piece.len()).max().unwrap_or(0).min(EXCERPT);
        let measure = |songs: &[&Song]| -> Vec<Measures> {
            let excerpts = songs.iter().flat_map(|song| excerpts(&song.notes, length));
            excerpts.map(Measures::of).collect()
        };
        let sampled: Vec<Measures> =
            samples.iter().flat_map(|piece| excerpts(piece, length)).map(Measures::of).collect();
        let whole: Vec<Measures> = corpus.iter().map(|song| Measures::of(&song.notes)).collect();
        let (learned, heard) = (measure(training), measure(real));
        let divergences = |samples: &[&[Note]]| {
            Divergences::between(
                samples.iter().copied().flatten(),
                real.iter().flat_map(|song| &song.notes),
            )
        };
        let several = samples.len() >= 2 * HUNDRED;
        let hundreds = samples.chunks_exact(HUNDRED).filter(|_| several);
        Self {
            length,
            excerpts: [sampled.len(), heard.len(), learned.len()],
            divergences: divergences(samples),
            hundreds: hundreds.map(divergences).collect(),
            comparison: Comparison::between(&sampled, &heard),
            ceiling: Comparison::between(&learned, &heard),
            limits: Limits::between(&sampled, &heard, &whole),
        }
    }

    /// Each measure with its ceiling and the overlap's share of it. There is no share if the ceiling
    /// is measured on fewer than [`FEWEST`] excerpts or is below [`LOWEST_CEILING`].
    pub fn rows(&self) -> impl Iterator<Item = (&Row, Option<f64>, Option<f64>)> {
        let enough = self.has_ceiling();
        self.comparison.rows.iter().zip(&self.ceiling.rows).map(move |(row, ceiling)| {
            let most = ceiling.overlap.filter(|&most| enough && most >= LOWEST_CEILING);
            let ratio = row.overlap.zip(most).map(|(overlap, most)| overlap / most);
            (row, ceiling.overlap, ratio)
        })
    }

    /// Whether there are enough songs for a meaningful ceiling.
    fn has_ceiling(&self) -> bool {
        let [_, real, training] = self.excerpts;
        real.min(training) >= FEWEST
    }

    /// Mean share of the ceiling, over the measures that have one.
    pub fn mean_ratio(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.rows().filter_map(|(.., ratio)| ratio).collect();
        (!ratios.is_empty()).then(|| mean(&ratios))
    }
}

/// [`Report`] as it is serialized.
#[derive(Serialize)]
struct ReportJson<'r> {
    excerpt_notes: usize,
    excerpts: Excerpts,
    jsd: &'r Divergences,
    jsd_of_hundreds: &'r [Divergences],
    measures: Vec<MeasureJson>,
    mean_ratio: Option<f64>,
    ranges: Vec<RangeJson>,
    longest_run: Extremes,
    densest_window: Extremes,
}

#[derive(Serialize)]
struct Excerpts {
    samples: usize,
    real: usize,
    training: usize,
}

#[derive(Serialize)]
struct MeasureJson {
    name: String,
    unit: &'static str,
    samples: Option<f64>,
    real: Option<f64>,
    overlap: Option<f64>,
    ceiling: Option<f64>,
    ratio: Option<f64>,
}

#[derive(Serialize)]
struct RangeJson {
    name: String,
    unit: &'static str,
    p1: f64,
    p99: f64,
    inside: f64,
}

#[derive(Serialize)]
struct Extremes {
    samples: usize,
    corpus: usize,
}

impl From<[usize; 2]> for Extremes {
    fn from([samples, corpus]: [usize; 2]) -> Self {
        Self { samples, corpus }
    }
}

/// A measure's name as an identifier: `pitch_class_entropy`.
fn identifier(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [samples, real, training] = self.excerpts;
        let measures = self.rows().map(|(row, ceiling, ratio)| {
            let [samples, real] = row.means.map_or([None; 2], |means| means.map(Some));
            let (name, unit, overlap) = (identifier(row.name), row.unit, row.overlap);
            MeasureJson { name, unit, samples, real, overlap, ceiling, ratio }
        });
        let ranges = self.limits.ranges.iter().map(|kept| RangeJson {
            name: identifier(kept.name),
            unit: kept.unit,
            p1: kept.range.low,
            p99: kept.range.high,
            inside: kept.inside,
        });
        ReportJson {
            excerpt_notes: self.length,
            excerpts: Excerpts { samples, real, training },
            jsd: &self.divergences,
            jsd_of_hundreds: &self.hundreds,
            measures: measures.collect(),
            mean_ratio: self.mean_ratio(),
            ranges: ranges.collect(),
            longest_run: self.limits.longest_run.into(),
            densest_window: self.limits.densest_window.into(),
        }
        .serialize(serializer)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [samples, real, training] = self.excerpts;
        let length = self.length;
        writeln!(f, "excerpts of up to {length} notes: {samples} sampled, {real} real;")?;
        writeln!(f, "ceiling: {training} of training songs against the real ones")?;

        write!(f, "\n{}", self.divergences)?;
        if !self.hundreds.is_empty() {
            let mut tell = |name: &str, number: fn(&[f64]) -> f64| {
                let count = self.hundreds.len();
                writeln!(f, "\n{name} of {count} sets of {HUNDRED} sampled pieces")?;
                write!(f, "{}", Divergences::summary(&self.hundreds, number))
            };
            tell("mean", mean)?;
            tell("least", |each| each.iter().copied().fold(f64::INFINITY, f64::min))?;
            tell("most", |each| each.iter().copied().fold(0.0, f64::max))?;
        }

        write!(f, "\n{:34}{:>10}{:>10}", "", "sampled", "real")?;
        writeln!(f, "{:>10}{:>10}{:>10}", "overlap", "ceiling", "ratio")?;
        for (row, ceiling, ratio) in self.rows() {
            let [samples, real] = row.means.map_or([None; 2], |means| means.map(Some));
            write!(f, "{:34}{}{}", name(row.name, row.unit), Cell(samples), Cell(real))?;
            writeln!(f, "{}{}{}", Cell(row.overlap), Cell(ceiling), Cell(ratio))?;
        }
        writeln!(f, "{:74}{}", "mean ratio", Cell(self.mean_ratio()))?;
        if !self.has_ceiling() {
            writeln!(
                f,
                "ratios cannot be measured: they take {FEWEST} excerpts of real and {FEWEST} of \
                 training songs"
            )?;
        }

        writeln!(f, "\n{:34}{:>10}{:>10}{:>10}", "", "1 %", "99 %", "inside")?;
        for RangeKept { name: measure, unit, range, inside } in &self.limits.ranges {
            let [low, high, inside] = [range.low, range.high, *inside].map(|n| Cell(Some(n)));
            writeln!(f, "{:34}{low}{high}{inside}", name(measure, unit))?;
        }
        writeln!(f, "\n{:34}{:>10}{:>10}", "", "sampled", "corpus")?;
        let [run, window] = [self.limits.longest_run, self.limits.densest_window];
        for (what, [samples, corpus]) in [("longest run of a pitch", run), ("densest 10 s", window)]
        {
            writeln!(f, "{:34}{samples:>10}{corpus:>10}", name(what, "notes"))?;
        }
        Ok(())
    }
}

/// A number in a column, or a dash.
struct Cell(Option<f64>);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number:>10.4}"),
            None => write!(f, "{:>10}", "-"),
        }
    }
}

fn name(measure: &str, unit: &str) -> String {
    if unit.is_empty() { measure.into() } else { format!("{measure} ({unit})") }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

// Float arithmetic without unsafe code, which takes Miri minutes.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(pitches: impl IntoIterator<Item = u8>, step: f32) -> Vec<Note> {
        let note = |pitch| Note { pitch, velocity: 80, step, duration: 1.5 * step };
        pitches.into_iter().map(note).collect()
    }

    #[test]
    fn excerpts_leave_out_short_tails() {
        let notes = piece([60; 100], 1.0);
        let lengths =
            |length| -> Vec<usize> { excerpts(&notes, length).map(<[Note]>::len).collect() };
        assert_eq!(lengths(40), [40, 40, 20]);
        assert_eq!(lengths(80), [80, 20]);
        assert_eq!(lengths(81), [81]);
        assert_eq!(lengths(400), [100]);
        assert_eq!(lengths(401), [0; 0]);
        assert_eq!(lengths(0).len(), 100);
    }

    #[test]
    fn percentiles_are_interpolated() {
        let range = Range::of((0..=200).rev().map(f64::from));
        assert_eq!(range, Some(Range { low: 2.0, high: 198.0 }));
        let range = Range::of([3.0, 1.0]);
        assert!(range.is_some_and(|r| (r.low - 1.02).abs() < 1e-9 && (r.high - 2.98).abs() < 1e-9));
        assert!(range.is_some_and(|r| r.holds(2.0) && !r.holds(1.0) && !r.holds(3.0)));
        assert_eq!(Range::of([]), None);
        assert_eq!(Range::of([5.0]), Some(Range { low: 5.0, high: 5.0 }));
    }

    #[test]
    fn distances_within_and_across_are_those_made_by_hand() {
        // Mean pitches of 60, 61, 63 are 1, 2, 3 apart; from 66 they are 6, 5, 3 away.
        let measures = |pitch| Measures::of(&piece([pitch; 4], 0.5));
        let (real, sample) = ([60, 61, 63].map(measures), [measures(66)]);
        let comparison = Comparison::between(&sample, &real);
        let row = comparison.rows.iter().find(|row| row.name == "mean pitch");
        let overlap = overlapped_area(&[1.0, 2.0, 3.0], &[6.0, 5.0, 3.0]);
        assert_eq!(row.and_then(|row| row.overlap), overlap);
        assert_eq!(row.and_then(|row| row.means), Some([66.0, 184.0 / 3.0]));
        // One real piece has no other to differ from.
        let alone = Comparison::between(&sample, &real[..1]);
        assert!(alone.rows.iter().all(|row| row.overlap.is_none()));

        let limits = Limits::between(&sample, &real, &[Measures::of(&piece([60; 9], 1.5))]);
        assert_eq!((limits.longest_run, limits.densest_window), ([4, 9], [4, 7]));
        let inside = limits.ranges.iter().map(|kept| (kept.name, kept.inside));
        let expected = [("polyphony rate", 1.0), ("pitch-class entropy", 1.0), ("mean pitch", 0.0)];
        assert_eq!(inside.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn of_several_hundred_pieces_each_hundred_is_told_alone() {
        let song = |notes| Song { name: "song.mid".into(), notes };
        let real = song(piece([60, 62, 64, 65], 0.2));
        let report = |samples: &[&[Note]]| Report::of(samples, &[&real], &[&real], &[&real]);
        let [like, unlike] = [piece([60, 62, 64, 65], 0.2), piece([60, 62, 64, 65], 0.7)];
        let mut samples = vec![like.as_slice(); HUNDRED];
        samples.extend([unlike.as_slice(); HUNDRED + 1]);
        // Fewer than two hundred give no batches.
        assert!(report(&samples[..2 * HUNDRED - 1]).hundreds.is_empty());

        let report = report(&samples);
        let steps = |each: &Divergences| each.by_binning()["fine"].step;
        let hundreds: Vec<f64> = report.hundreds.iter().map(steps).collect();
        let [least, most] = hundreds[..] else { panic!("{hundreds:?}") };
        assert!(least < 0.05 && most > 0.95, "{hundreds:?}");
        let text = report.to_string();
        let told = |name: &str| {
            let (_, rows) =
                text.split_once(&format!("\n{name} of 2 sets of 100 sampled pieces"))?;
            rows.lines().find(|row| row.contains("fine"))?.split_whitespace().nth(3)
        };
        for (name, number) in
            [("mean", f64::midpoint(least, most)), ("least", least), ("most", most)]
        {
            assert_eq!(told(name), Some(format!("{number:.4}").as_str()));
        }
    }

    fn pieces(count: usize) -> impl Strategy<Value = Vec<Measures>> {
        let piece = (proptest::collection::vec(40u8..100, 8..30), 0.02f32..0.5)
            .prop_map(|(pitches, step)| Measures::of(&piece(pitches, step)));
        proptest::collection::vec(piece, count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn overlaps_are_shares(samples in pieces(5), real in pieces(7)) {
            for row in Comparison::between(&samples, &real).rows {
                let overlap = row.overlap.unwrap_or(f64::NAN);
                prop_assert!((0.0..=1.0 + 1e-9).contains(&overlap), "{}: {overlap}", row.name);
            }
        }

        #[test]
        fn a_set_overlaps_with_itself(set in pieces(80)) {
            // Not 1: each piece has distance 0 from itself.
            for row in Comparison::between(&set, &set).rows {
                prop_assert!(row.overlap.is_some_and(|overlap| overlap > 0.9), "{row:?}");
            }
        }
    }
}
