//! A picture of how notes are distributed: sampled pieces beside real ones.

use std::path::Path;

use anyhow::Context;
use pianola_host::files::write_whole;
use pianola_runtime::Note;
use pianola_runtime::vocabulary::{TIME_BINS, VELOCITY_BINS, seconds, time_bin, velocity_bin};
use plotters::coord::Shift;
use plotters::prelude::*;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Vermilion and blue of Okabe and Ito's palette, which most eyes tell apart.
const SAMPLED: RGBColor = RGBColor(213, 94, 0);
const REAL: RGBColor = RGBColor(0, 114, 178);

/// Widest interval with a bar of its own, in semitones: two octaves.
const WIDEST: i32 = 24;

/// One histogram of both sets.
struct Panel {
    title: &'static str,
    unit: &'static str,
    bins: usize,
    /// What stands below a bin.
    label: fn(usize) -> String,
    /// The bins of a piece's notes.
    of: fn(&[Note]) -> Vec<usize>,
}

const PANELS: [Panel; 5] = [
    Panel {
        title: "Pitch",
        unit: "MIDI note number",
        bins: 128,
        label: |bin| bin.to_string(),
        of: |piece| piece.iter().map(|note| usize::from(note.pitch)).collect(),
    },
    Panel {
        title: "Step from note to note",
        unit: "seconds",
        bins: TIME_BINS,
        label: time_label,
        of: |piece| piece.iter().skip(1).map(|note| usize::from(time_bin(note.step))).collect(),
    },
    Panel {
        title: "Duration",
        unit: "seconds",
        bins: TIME_BINS,
        label: time_label,
        of: |piece| piece.iter().map(|note| usize::from(time_bin(note.duration))).collect(),
    },
    Panel {
        title: "Velocity",
        unit: "MIDI velocity",
        bins: VELOCITY_BINS,
        label: |bin| (bin * 128 / VELOCITY_BINS).to_string(),
        of: |piece| piece.iter().map(|note| usize::from(velocity_bin(note.velocity))).collect(),
    },
    Panel {
        title: "Interval from note to note",
        unit: "semitones, two octaves and wider at the ends",
        bins: 2 * WIDEST as usize + 1,
        label: |bin| (bin as i32 - WIDEST).to_string(),
        of: |piece| {
            let interval = |pair: &[Note]| i32::from(pair[1].pitch) - i32::from(pair[0].pitch);
            let bin = |pair| (interval(pair).clamp(-WIDEST, WIDEST) + WIDEST) as usize;
            piece.windows(2).map(bin).collect()
        },
    },
];

fn time_label(bin: usize) -> String {
    let from = seconds(bin.min(TIME_BINS - 1) as u8, 0);
    if from < 0.1 { format!("{from:.3}") } else { format!("{from:.2}") }
}

/// Draws histograms of pitch, step, duration, velocity and interval, the sampled pieces' beside the
/// real ones', into an SVG file.
pub fn draw(path: &Path, samples: &[&[Note]], real: &[&[Note]]) -> anyhow::Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1000, 240 * PANELS.len() as u32))
            .into_drawing_area();
        area.fill(&WHITE)?;
        for (cell, panel) in area.split_evenly((PANELS.len(), 1)).iter().zip(&PANELS) {
            let sets = [("sampled", SAMPLED, samples), ("real", REAL, real)];
            bar_chart(cell, panel, sets)?;
        }
        area.present()?;
    }
    write_whole(path, svg.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// For each bin a bar of each set, side by side.
fn bar_chart(
    area: &Area,
    panel: &Panel,
    sets: [(&str, RGBColor, &[&[Note]]); 2],
) -> anyhow::Result<()> {
    let sets = sets.map(|(name, color, pieces)| (name, color, shares(panel, pieces)));
    let high = sets.iter().flat_map(|(.., shares)| shares).copied().fold(1e-6, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 16))
        .margin(6)
        .x_label_area_size(34)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..panel.bins as f64, 0.0..high * 1.05)?;
    chart
        .configure_mesh()
        .x_desc(panel.unit)
        .y_desc("share")
        .x_labels(16)
        .x_label_formatter(&|place| (panel.label)(*place as usize))
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (place, (name, color, shares)) in sets.into_iter().enumerate() {
        let bars = shares.into_iter().enumerate().filter(|&(_, share)| share > 0.0);
        let bars = bars.map(|(bin, share)| {
            let left = bin as f64 + 0.1 + 0.4 * place as f64;
            Rectangle::new([(left, 0.0), (left + 0.4, share)], color.filled())
        });
        chart
            .draw_series(bars)?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

fn shares(panel: &Panel, pieces: &[&[Note]]) -> Vec<f64> {
    let mut counts = vec![0.0; panel.bins];
    for bin in pieces.iter().flat_map(|piece| (panel.of)(piece)) {
        counts[bin.min(panel.bins - 1)] += 1.0;
    }
    let total = counts.iter().sum::<f64>().max(1.0);
    counts.into_iter().map(|count| count / total).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_have_their_bars() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.svg");
        let note = |pitch| Note { pitch, velocity: 80, step: 0.25, duration: 0.5 };
        let (low, high) = ([40, 41].map(note), [80, 81, 82].map(note));
        draw(&path, &[&low], &[&high]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for part in ["<svg", "Pitch", "Duration", "Velocity", "Interval", "sampled", "real"] {
            assert!(svg.contains(part), "{part}");
        }
        // A bar for each pitch, of the other parts one each, and the legends.
        assert_eq!(svg.matches("fill=\"#D55E00\"").count(), 2 + 4 + 5);
        assert_eq!(svg.matches("fill=\"#0072B2\"").count(), 3 + 4 + 5);
        draw(&path, &[], &[]).unwrap();
    }
}
