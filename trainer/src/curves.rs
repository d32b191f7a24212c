//! Pictures of a run: learning curves, and the corpus it learns from.

use std::path::Path;

use anyhow::Context;
use pianola_host::corpus::Set;
use pianola_host::files::write_whole;
use pianola_host::statistics::histograms::{Binning, NoteHistograms};
use pianola_picture::axis::Axis;
use pianola_picture::canvas::{Area, Color, Picture};
use pianola_picture::chart::{Chart, Marks, Series};
use pianola_picture::palette;
use pianola_runtime::Note;
use serde_json::Value;

const WIDTH: u32 = 900;
const MARGIN: f32 = 20.0;

/// Unit of a loss, for the title of its chart and the label of its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossUnit {
    /// The negative log-likelihood of notes whose parts are all categorical.
    Nats,
    /// The report's sum: cross-entropy of the pitch and squared errors of the times.
    Report,
}

impl LossUnit {
    fn title(self) -> &'static str {
        match self {
            Self::Nats => "Negative log-likelihood",
            Self::Report => {
                "Loss: cross-entropy of the pitch + squared errors of step and duration"
            }
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Nats => "nats per note",
            Self::Report => "nats + s² + s², per note",
        }
    }
}

/// Writes a picture as SVG; the file appears only when it is whole.
fn write(path: &Path, picture: &Picture, title: &str) -> anyhow::Result<()> {
    write_whole(path, picture.svg(title).as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Draws a chart of lines over epochs, or nothing if nothing is measured yet.
fn line_chart(
    picture: &mut Picture,
    area: Area,
    title: &str,
    y: impl Fn((f64, f64)) -> Axis,
    series: Vec<Series>,
) {
    let points = || {
        series.iter().flat_map(|series| match &series.marks {
            Marks::Line(points) => points.as_slice(),
            Marks::Bars(_) => &[],
        })
    };
    let last = points().fold(1.0, |last, point| f64::max(last, point.0));
    let low = points().fold(f64::INFINITY, |low, point| low.min(point.1));
    let high = points().fold(f64::NEG_INFINITY, |high, point| high.max(point.1));
    if low.is_finite() {
        let x = Axis::linear("epoch", (0.0, last), 10);
        Chart { title: title.into(), x, y: y((low, high)), series }.draw(picture, area);
    }
}

/// Draws a run's learning curves from its log: losses per batch and per epoch, and the
/// divergences of each epoch's samples.
pub fn learning_curves(log: &str, unit: LossUnit, path: &Path) -> anyhow::Result<()> {
    let entries: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |event: &'static str| entries.iter().filter(move |entry| entry["event"] == event);
    let batches = of("batch").filter_map(|entry| entry["batch"].as_f64()).fold(1.0, f64::max);
    let series = |event: &'static str, name: &str, color: Color, keys: [&str; 2]| {
        let point = |entry: &Value| {
            let epoch = entry["epoch"].as_f64()?;
            let along = entry["batch"].as_f64().map_or(0.0, |batch| batch / batches - 1.0);
            Some((epoch + along, entry[keys[0]][keys[1]].as_f64()?))
        };
        let points = of(event).filter_map(point).collect();
        Series { name: name.into(), color, marks: Marks::Line(points) }
    };
    let [first, second, third] = [0, 1, 2].map(palette::series);
    let mut picture = Picture::new(WIDTH, 780, palette::PAPER)?;
    let area = |top: f32, height: f32| Area {
        left: MARGIN,
        top,
        width: WIDTH as f32 - 2.0 * MARGIN,
        height,
    };
    let losses = vec![
        series("batch", "each batch", palette::FAINT, ["loss", "total"]),
        series("epoch", "training", first, ["train", "total"]),
        series("epoch", "validation", second, ["validation", "total"]),
    ];
    let linear = |range| Axis::linear(unit.label(), range, 6);
    line_chart(&mut picture, area(MARGIN, 400.0), unit.title(), linear, losses);
    let divergences = vec![
        series("epoch", "pitch", first, ["jsd", "pitch"]),
        series("epoch", "step", second, ["jsd", "step"]),
        series("epoch", "duration", third, ["jsd", "duration"]),
    ];
    let logarithmic = |range| Axis::logarithmic("bits, logarithmic", range);
    let title = "Jensen–Shannon divergence of samples from the validation set";
    line_chart(&mut picture, area(MARGIN + 430.0, 320.0), title, logarithmic, divergences);
    write(path, &picture, "Learning curves: training and validation loss")
}

/// Draws histograms of pitch, step and duration, a row for each set.
pub fn corpus_histograms(sets: &[(Set, Vec<Note>)], path: &Path) -> anyhow::Result<()> {
    const ROW: f32 = 270.0;
    let mut picture = Picture::new(WIDTH, ROW as u32 * sets.len() as u32, palette::PAPER)?;
    for (row, (set, notes)) in sets.iter().enumerate() {
        let histograms = NoteHistograms::count(Binning::Corrected, notes);
        let (name, count) = (set.name(), notes.len());
        let parts = [
            (format!("{name}: {count} notes"), "pitch (MIDI note number)", 1.0, &histograms.pitch),
            (String::new(), "inter-onset interval (s)", 0.5, &histograms.step),
            (String::new(), "duration (s)", 0.5, &histograms.duration),
        ];
        let width = (WIDTH as f32 - 4.0 * MARGIN) / 3.0;
        for (column, (title, label, step, histogram)) in parts.into_iter().enumerate() {
            let left = MARGIN + column as f32 * (width + MARGIN);
            let top = MARGIN + row as f32 * ROW;
            let area = Area { left, top, width, height: ROW - 1.5 * MARGIN };
            bar_chart(title, label, step, histogram.shares()).draw(&mut picture, area);
        }
    }
    write(path, &picture, "Notes of the training, validation and test sets")
}

fn bar_chart(title: String, label: &str, width: f64, shares: &[f64]) -> Chart {
    let bars = shares.iter().enumerate().map(|(bin, share)| {
        let left = bin as f64 * width;
        (left, left + width, 100.0 * share)
    });
    let bars: Vec<_> = bars.collect();
    let high = bars.iter().map(|bar| bar.2).fold(1e-3, f64::max);
    let end = shares.len() as f64 * width;
    let (color, marks) = (palette::series(0), Marks::Bars(bars));
    Chart {
        title,
        x: Axis::linear(label, (0.0, end), 4),
        y: Axis::linear("% of notes", (0.0, high), 4),
        series: vec![Series { name: String::new(), color, marks }],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn curves_say_what_they_show() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.svg");
        let log = (1..=3).map(|epoch| {
            format!(
                "{{\"event\":\"batch\",\"epoch\":{epoch},\"batch\":1,\"loss\":{{\"total\":9}}}}\n\
                 {{\"event\":\"epoch\",\"epoch\":{epoch},\"train\":{{\"total\":8}},\
                 \"validation\":{{\"total\":7}},\
                 \"jsd\":{{\"pitch\":0.1,\"step\":0.2,\"duration\":0.3}}}}\n"
            )
        });
        let log: String = log.collect();
        let draw = |log: &str, unit| {
            learning_curves(log, unit, &path).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let svg = draw(&log, LossUnit::Nats);
        let lines = svg.lines().filter(|line| line.contains("stroke-width"));
        assert_eq!(lines.count(), 3 + 3);
        assert_ne!(svg, draw(&log, LossUnit::Report), "the units differ");
        assert!(!draw("", LossUnit::Nats).contains("stroke-width"));
    }
}
