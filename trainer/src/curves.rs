//! Pictures of a run: learning curves, and the corpus it learns from.

use std::path::Path;

use anyhow::Context;
use pianola_host::corpus::Set;
use pianola_host::files::write_whole;
use pianola_host::statistics::histograms::{Binning, Histogram, NoteHistograms};
use pianola_runtime::Note;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws into an SVG file; the file appears only when the picture is whole.
fn draw(
    path: &Path,
    size: (u32, u32),
    picture: impl FnOnce(&Area) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        picture(&area)?;
        area.present()?;
    }
    write_whole(path, svg.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// A named line of points.
struct Line {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

fn line_chart(
    area: &Area,
    title: &str,
    unit: &str,
    logarithmic: bool,
    lines: &[Line],
) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let right = points().fold(1.0, |right, point| f64::max(right, point.0));
    let low = points().fold(f64::INFINITY, |low, point| low.min(point.1));
    let high = points().fold(f64::NEG_INFINITY, |high, point| high.max(point.1));
    if !low.is_finite() {
        return Ok(()); // nothing measured yet
    }
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(title, ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(56);
    // One body for two types of axis.
    macro_rules! chart {
        ($range:expr) => {{
            let mut chart = builder.build_cartesian_2d(0.0..right, $range)?;
            chart
                .configure_mesh()
                .x_desc("epoch")
                .y_desc(unit)
                .light_line_style(TRANSPARENT)
                .draw()?;
            for line in lines {
                let color = line.color;
                chart
                    .draw_series(LineSeries::new(line.points.iter().copied(), &color))?
                    .label(line.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .border_style(BLACK)
                .background_style(WHITE)
                .draw()?;
        }};
    }
    if logarithmic {
        chart!((low.max(1e-6) * 0.8..high.max(2e-6) * 1.25).log_scale());
    } else {
        chart!(low - 0.05 * (high - low + 0.01)..high + 0.05 * (high - low + 0.01));
    }
    Ok(())
}

/// Draws a run's learning curves from its log: losses per batch and per epoch, and the
/// divergences of each epoch's samples.
pub fn learning_curves(log: &str, path: &Path) -> anyhow::Result<()> {
    let entries: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |event: &'static str| entries.iter().filter(move |entry| entry["event"] == event);
    let batches = of("batch").filter_map(|entry| entry["batch"].as_f64()).fold(1.0, f64::max);
    let series = |event: &'static str, name, color, keys: [&str; 2]| Line {
        name,
        color,
        points: of(event)
            .filter_map(|entry| {
                let epoch = entry["epoch"].as_f64()?;
                let along = entry["batch"].as_f64().map_or(0.0, |batch| batch / batches - 1.0);
                Some((epoch + along, entry[keys[0]][keys[1]].as_f64()?))
            })
            .collect(),
    };
    draw(path, (1000, 760), |area| {
        let (top, bottom) = area.split_vertically(420);
        let grey = RGBColor(200, 200, 200);
        let losses = [
            series("batch", "batch", grey, ["loss", "total"]),
            series("epoch", "train", BLUE, ["train", "total"]),
            series("epoch", "validation", RED, ["validation", "total"]),
        ];
        line_chart(&top, "Loss", "nats + s² + s²", false, &losses)?;
        let divergences = [
            series("epoch", "pitch", BLUE, ["jsd", "pitch"]),
            series("epoch", "step", RED, ["jsd", "step"]),
            series("epoch", "duration", GREEN, ["jsd", "duration"]),
        ];
        line_chart(
            &bottom,
            "Divergence of samples from the validation set",
            "bits",
            true,
            &divergences,
        )
    })
}

/// Draws histograms of pitch, step and duration, a row for each set.
pub fn corpus_histograms(sets: &[(Set, Vec<Note>)], path: &Path) -> anyhow::Result<()> {
    draw(path, (1200, 260 * sets.len() as u32), |area| {
        for (row, (set, notes)) in area.split_evenly((sets.len(), 1)).iter().zip(sets) {
            let histograms = NoteHistograms::count(Binning::Corrected, notes);
            let parts = [
                ("pitch", "MIDI note number", 1.0, &histograms.pitch),
                ("step", "seconds", 0.5, &histograms.step),
                ("duration", "seconds", 0.5, &histograms.duration),
            ];
            for (cell, (part, unit, width, histogram)) in
                row.split_evenly((1, parts.len())).iter().zip(parts)
            {
                let title = format!("{}: {part}, {} notes", set.name(), notes.len());
                bar_chart(cell, &title, unit, width, histogram)?;
            }
        }
        Ok(())
    })
}

fn bar_chart(
    area: &Area,
    title: &str,
    unit: &str,
    width: f64,
    histogram: &Histogram,
) -> anyhow::Result<()> {
    let shares = histogram.shares();
    let high = shares.iter().copied().fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(6)
        .x_label_area_size(32)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..shares.len() as f64 * width, 0.0..high * 1.05)?;
    chart.configure_mesh().x_desc(unit).y_desc("share").disable_x_mesh().draw()?;
    chart.draw_series(shares.iter().enumerate().map(|(bin, &share)| {
        let left = bin as f64 * width;
        Rectangle::new([(left, 0.0), (left + width, share)], BLUE.filled())
    }))?;
    Ok(())
}
