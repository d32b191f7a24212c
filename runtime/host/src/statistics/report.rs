//! The report that `pianola compare` prints.

use std::fmt;

use pianola_runtime::Note;
use serde::{Serialize, Serializer};

use crate::corpus::Song;
use crate::statistics::comparison::{Comparison, EXCERPT, Row, excerpts, mean};
use crate::statistics::evaluation::Divergences;
use crate::statistics::music::Measures;
use crate::statistics::pairs::MOST_PAIRS;
use crate::statistics::ranges::{Limits, RangeKept};

/// Batch size for per-batch divergences.
pub const HUNDRED: usize = 100;

/// Fewest excerpts, of the real songs and of the training songs, that make a ceiling.
pub const FEWEST: usize = 4;

/// Lowest ceiling of which a share is reported: a share of a lower one is noise, however large.
pub const LOWEST_CEILING: f64 = 0.1;

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
    /// Compares sampled pieces with real songs, given as those of the set, the training songs and the whole corpus.
    /// The training songs give the ceiling, the whole corpus gives the extremes. Calls `step` as often as
    /// [`Self::steps`] says.
    pub fn of(samples: &[&[Note]], songs: [&[&Song]; 3], step: &mut dyn FnMut()) -> Self {
        Self::with_pairs(samples, songs, MOST_PAIRS, step)
    }

    /// As [`Self::of`]; of more than `most_pairs` pairs of excerpts, as many random ones are compared.
    fn with_pairs(
        samples: &[&[Note]],
        songs: [&[&Song]; 3],
        most_pairs: usize,
        step: &mut dyn FnMut(),
    ) -> Self {
        let [real, training, corpus] = songs;
        let length = samples.iter().map(|piece| piece.len()).max().unwrap_or(0).min(EXCERPT);
        let mut sampled = Vec::new();
        for piece in samples {
            sampled.extend(excerpts(piece, length).map(Measures::of));
            step();
        }
        let mut measured = |songs: &[&Song]| {
            let mut measures = Vec::new();
            for song in songs {
                measures.extend(excerpts(&song.notes, length).map(Measures::of));
                step();
            }
            measures
        };
        let (training, reference) = (measured(training), measured(real));
        let mut whole = Vec::with_capacity(corpus.len());
        for song in corpus {
            whole.push(Measures::of(&song.notes));
            step();
        }
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
            excerpts: [sampled.len(), reference.len(), training.len()],
            divergences: divergences(samples),
            hundreds: hundreds.map(divergences).collect(),
            comparison: Comparison::between(&sampled, &reference, most_pairs, step),
            ceiling: Comparison::between(&training, &reference, most_pairs, step),
            limits: Limits::between(&sampled, &reference, &whole),
        }
    }

    /// Number of steps of [`Self::of`]: one for each piece and for each row of its two comparisons.
    pub fn steps(samples: &[&[Note]], songs: [&[&Song]; 3]) -> usize {
        samples.len() + songs.iter().map(|set| set.len()).sum::<usize>() + 2 * Comparison::ROWS
    }

    /// Upper bound of the standard error that the sampling of pairs adds to the overlaps and ceilings; 0 if all pairs
    /// of excerpts were compared. How much they vary with the songs is not part of it.
    pub fn pair_sampling_error(&self) -> f64 {
        self.comparison.pair_sampling_error.max(self.ceiling.pair_sampling_error)
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
    pair_sampling_error: f64,
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
            pair_sampling_error: self.pair_sampling_error(),
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
            let mut print = |name: &str, number: fn(&[f64]) -> f64| {
                let count = self.hundreds.len();
                writeln!(f, "\n{name} of {count} sets of {HUNDRED} sampled pieces")?;
                write!(f, "{}", Divergences::summary(&self.hundreds, number))
            };
            print("mean", mean)?;
            print("least", |each| each.iter().copied().fold(f64::INFINITY, f64::min))?;
            print("most", |each| each.iter().copied().fold(0.0, f64::max))?;
        }

        write!(f, "\n{:34}{:>10}{:>10}", "", "sampled", "real")?;
        writeln!(f, "{:>10}{:>10}{:>10}", "overlap", "ceiling", "ratio")?;
        for (row, ceiling, ratio) in self.rows() {
            let [samples, real] = row.means.map_or([None; 2], |means| means.map(Some));
            write!(f, "{:34}{}{}", name(row.name, row.unit), Cell(samples), Cell(real))?;
            writeln!(f, "{}{}{}", Cell(row.overlap), Cell(ceiling), Cell(ratio))?;
        }
        writeln!(f, "{:74}{}", "mean ratio", Cell(self.mean_ratio()))?;
        let error = self.pair_sampling_error();
        if error > 0.0 {
            writeln!(
                f,
                "random pairs of excerpts are compared, not all: the sampling of pairs adds a standard error of at \
                 most {error:.4} to overlaps and ceilings"
            )?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(pitches: impl IntoIterator<Item = u8>, step: f32) -> Vec<Note> {
        let note = |pitch| Note { pitch, velocity: 80, step, duration: 1.5 * step };
        pitches.into_iter().map(note).collect()
    }

    #[test]
    fn of_several_hundred_pieces_each_hundred_has_its_divergences() {
        let song = |notes| Song { name: "song.mid".into(), notes };
        let real = song(piece([60, 62, 64, 65], 0.2));
        let report =
            |samples: &[&[Note]]| Report::of(samples, [&[&real], &[&real], &[&real]], &mut || {});
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
        let printed = |name: &str| {
            let (_, rows) =
                text.split_once(&format!("\n{name} of 2 sets of 100 sampled pieces"))?;
            rows.lines().find(|row| row.contains("fine"))?.split_whitespace().nth(3)
        };
        for (name, number) in
            [("mean", f64::midpoint(least, most)), ("least", least), ("most", most)]
        {
            assert_eq!(printed(name), Some(format!("{number:.4}").as_str()));
        }
    }

    #[test]
    fn a_sample_of_pairs_is_reported_with_its_error() {
        let songs: Vec<Song> = (60..66)
            .map(|low| Song { name: "song.mid".into(), notes: piece(low..low + 9, 0.2) })
            .collect();
        let songs: Vec<&Song> = songs.iter().collect();
        let samples: Vec<&[Note]> = songs.iter().map(|song| song.notes.as_slice()).collect();
        let report =
            |most| Report::with_pairs(&samples, [&songs, &songs, &songs], most, &mut || {});
        // 36 pairs across two sets, 15 within one.
        for (most, error) in [(36, None), (25, Some("0.1000")), (12, Some("0.2041"))] {
            let report = report(most);
            let text = report.to_string();
            let line = text.lines().find(|line| line.starts_with("random pairs of excerpts"));
            let printed = line.and_then(|line| line.split_once("at most ")?.1.split(' ').next());
            assert_eq!(printed, error, "{text}");
            let json = serde_json::to_value(&report).ok();
            let number = json.and_then(|json| json["pair_sampling_error"].as_f64());
            assert_eq!(number, Some(report.pair_sampling_error()));
        }
    }
}
