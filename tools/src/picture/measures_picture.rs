//! Histograms of notes: sampled pieces beside real ones.

use pianola_picture::axis::{Axis, Scale, Tick};
use pianola_picture::canvas::{Area, Picture};
use pianola_picture::chart::{Chart, Marks, Series};
use pianola_picture::palette;
use pianola_runtime::Note;
use pianola_runtime::vocabulary::{TIME_BINS, VELOCITY_BINS, seconds, time_bin, velocity_bin};

/// Size of the picture, with one row for each panel.
const WIDTH: u32 = 900;
const ROW: u32 = 250;
const MARGIN: f32 = 20.0;

/// Widest interval with a bin of its own, in semitones: two octaves.
const WIDEST: i32 = 24;

/// A histogram of both sets.
struct Panel {
    title: &'static str,
    unit: &'static str,
    bins: usize,
    /// Ticks at round values, and their labels.
    ticks: fn() -> Vec<Tick>,
    /// The bins of a piece's notes.
    of: fn(&[Note]) -> Vec<usize>,
}

const PANELS: [Panel; 5] = [
    Panel {
        title: "Pitch",
        unit: "MIDI note number",
        bins: 128,
        ticks: || (0..=10).map(|octave| tick(12.0 * f64::from(octave), 12 * octave)).collect(),
        of: |piece| piece.iter().map(|note| usize::from(note.pitch)).collect(),
    },
    Panel {
        title: "Inter-onset interval",
        unit: "seconds, eight bins an octave; notes struck together are left out",
        bins: TIME_BINS - 1,
        ticks: time_ticks,
        of: |piece| piece.iter().skip(1).filter_map(|note| positive_bin(note.step)).collect(),
    },
    Panel {
        title: "Duration",
        unit: "seconds, eight bins an octave",
        bins: TIME_BINS - 1,
        ticks: time_ticks,
        of: |piece| piece.iter().filter_map(|note| positive_bin(note.duration)).collect(),
    },
    Panel {
        title: "Velocity",
        unit: "MIDI velocity, four in a bin",
        bins: VELOCITY_BINS,
        ticks: || (0..8).map(|at| tick(4.0 * f64::from(at), 16 * at)).collect(),
        of: |piece| piece.iter().map(|note| usize::from(velocity_bin(note.velocity))).collect(),
    },
    Panel {
        title: "Interval from note to note",
        unit: "semitones; two octaves and wider at the ends",
        bins: 2 * WIDEST as usize + 1,
        ticks: || (-4..=4).map(|at| tick(f64::from(6 * at + WIDEST), 6 * at)).collect(),
        of: |piece| {
            let interval = |pair: &[Note]| i32::from(pair[1].pitch) - i32::from(pair[0].pitch);
            let bin = |pair| (interval(pair).clamp(-WIDEST, WIDEST) + WIDEST) as usize;
            piece.windows(2).map(bin).collect()
        },
    },
];

/// The middle of a bin, by the label of its value.
fn tick(bin: f64, value: i32) -> Tick {
    Tick { at: bin + 0.5, name: value.to_string() }
}

/// The bin of a time, counted from the first bin above zero.
fn positive_bin(time: f32) -> Option<usize> {
    usize::from(time_bin(time)).checked_sub(1)
}

/// Round times as ticks among the bins.
fn time_ticks() -> Vec<Tick> {
    let place = |time: f32| {
        let bin = time_bin(time);
        let (from, to) = (seconds(bin, 0), seconds(bin + 1, 0));
        f64::from(bin) - 1.0 + f64::from((time - from) / (to - from))
    };
    let named = [
        ("0.01", 0.01),
        ("0.02", 0.02),
        ("0.05", 0.05),
        ("0.1", 0.1),
        ("0.2", 0.2),
        ("0.5", 0.5),
        ("1", 1.0),
        ("2", 2.0),
        ("5", 5.0),
        ("10", 10.0),
    ];
    named.map(|(name, time)| Tick { at: place(time), name: name.into() }).into()
}

/// Draws histograms of pitch, inter-onset interval, duration, velocity and interval, the sampled
/// pieces' beside the real ones'.
pub fn draw(samples: &[&[Note]], real: &[&[Note]]) -> anyhow::Result<Picture> {
    let mut picture = Picture::new(WIDTH, ROW * PANELS.len() as u32, palette::PAPER)?;
    for (row, panel) in PANELS.iter().enumerate() {
        let area = Area {
            left: MARGIN,
            top: MARGIN + row as f32 * ROW as f32,
            width: WIDTH as f32 - 2.0 * MARGIN,
            height: ROW as f32 - 1.5 * MARGIN,
        };
        chart(panel, samples, real).draw(&mut picture, area);
    }
    Ok(picture)
}

/// A bar of each set per bin, side by side.
fn chart(panel: &Panel, samples: &[&[Note]], real: &[&[Note]]) -> Chart {
    let sets = [("real", 0, real), ("sampled", 1, samples)];
    let sets = sets.map(|(name, index, pieces)| (name, index, percents(panel, pieces)));
    let high = sets.iter().flat_map(|(.., percents)| percents).copied().fold(1e-3, f64::max);
    let series = sets.map(|(name, index, percents)| {
        let bars = percents.into_iter().enumerate().map(|(bin, percent)| {
            let left = bin as f64 + 0.08 + 0.42 * index as f64;
            (left, left + 0.42, percent)
        });
        let (name, color) = (name.into(), palette::series(index));
        Series { name, color, marks: Marks::Bars(bars.collect()) }
    });
    let (label, to) = (panel.unit.into(), panel.bins as f64);
    Chart {
        title: panel.title.into(),
        x: Axis { label, from: 0.0, to, scale: Scale::Linear, ticks: (panel.ticks)() },
        y: Axis::linear("% of notes", (0.0, high), 4),
        series: series.into(),
    }
}

/// Percentage of notes in each bin.
fn percents(panel: &Panel, pieces: &[&[Note]]) -> Vec<f64> {
    let mut counts = vec![0.0; panel.bins];
    for bin in pieces.iter().flat_map(|piece| (panel.of)(piece)) {
        counts[bin.min(panel.bins - 1)] += 1.0;
    }
    let total = counts.iter().sum::<f64>().max(1.0);
    counts.into_iter().map(|count| 100.0 * count / total).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_have_their_bars() {
        let note = |pitch| Note { pitch, velocity: 80, step: 0.25, duration: 0.5 };
        let (low, high) = ([40, 41].map(note), [80, 81, 82].map(note));
        let svg = draw(&[&low], &[&high]).unwrap().svg("measures");
        // A bar for each pitch; the other parts have one bar each, and the legends.
        assert_eq!(svg.matches("fill=\"#d55e00\"").count(), 2 + 4 + 5);
        assert_eq!(svg.matches("fill=\"#0072b2\"").count(), 3 + 4 + 5);
        draw(&[], &[]).unwrap();
    }

    #[test]
    fn ticks_of_times_lie_where_the_times_do() {
        for tick in time_ticks() {
            let time: f32 = tick.name.parse().unwrap();
            assert_eq!(Some(tick.at as usize), positive_bin(time), "{tick:?}");
        }
    }
}
