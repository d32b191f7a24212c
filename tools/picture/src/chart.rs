//! Charts: lines or bars on two axes, under a title and beside a legend that covers no data.

use crate::axis::Axis;
use crate::canvas::{Align, Area, Color, Picture};
use crate::palette;

/// Size of a chart's title.
const TITLE: f32 = 17.0;
/// Size of all other text: legible where a picture of 900 pixels is shown at 830.
const SMALL: f32 = 13.0;
/// Height of the title, and of the line with the y-axis label.
const HEAD: f32 = 28.0;
/// Height of the tick labels below, and of the label under them.
const FOOT: f32 = 46.0;
/// Space between a tick and its label.
const GAP: f32 = 8.0;

/// How a series of numbers is drawn.
#[derive(Clone, Debug)]
pub enum Marks {
    /// A line through points.
    Line(Vec<(f64, f64)>),
    /// Bars from the bottom: left, right, height.
    Bars(Vec<(f64, f64, f64)>),
}

/// A data series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend; a chart of one series has no legend.
    pub name: String,
    /// Colour.
    pub color: Color,
    /// Data.
    pub marks: Marks,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Title.
    pub title: String,
    /// The x-axis.
    pub x: Axis,
    /// The y-axis.
    pub y: Axis,
    /// Data series; later ones are drawn over earlier ones.
    pub series: Vec<Series>,
}

impl Chart {
    /// Draws the chart into an area of a picture.
    pub fn draw(&self, picture: &mut Picture, area: Area) {
        let names = self.y.ticks.iter().map(|tick| picture.text_width(&tick.name, SMALL));
        let left = area.left + names.fold(0.0, f32::max) + GAP;
        let top = area.top + 2.0 * HEAD;
        // Half of the last tick label extends beyond the axis on the right.
        let out =
            self.x.ticks.last().map_or(0.0, |tick| picture.text_width(&tick.name, SMALL) / 2.0);
        let width = area.right() - out - left;
        let height = area.bottom() - FOOT - top;
        let plot = Area { left, top, width, height };
        self.head(picture, area, plot);
        self.grid(picture, plot);
        for series in &self.series {
            self.marks(picture, plot, series);
        }
        let base = Area { top: plot.bottom() - 0.5, height: 1.0, ..plot };
        picture.bar(base, 0.0, palette::FAINT_TEXT);
    }

    /// Draws the title, with the legend beside it, and the y-axis label under it.
    fn head(&self, picture: &mut Picture, area: Area, plot: Area) {
        let baseline = area.top + TITLE;
        let mut right = area.right();
        let named = if self.series.len() > 1 { self.series.as_slice() } else { &[] };
        for Series { name, color, marks } in named.iter().rev() {
            picture.text(name, (right, baseline), Align::Right, SMALL, palette::FAINT_TEXT);
            right -= picture.text_width(name, SMALL) + 6.0 + 16.0;
            let height = if matches!(marks, Marks::Line(_)) { 3.0 } else { 9.0 };
            let top = baseline - 4.5 - height / 2.0;
            picture.bar(Area { left: right, top, width: 16.0, height }, 1.5, *color);
            right -= 18.0;
        }
        let title = picture.fonts().fitted(&self.title, TITLE, right - area.left);
        picture.text(&title, (area.left, baseline), Align::Left, TITLE, palette::TEXT);
        let at = (area.left, plot.top - 10.0);
        picture.text(&self.y.label, at, Align::Left, SMALL, palette::FAINT_TEXT);
    }

    /// Draws grid lines at the ticks, their labels, and the x-axis label.
    fn grid(&self, picture: &mut Picture, plot: Area) {
        for tick in &self.y.ticks {
            let y = plot.bottom() - plot.height * self.y.place(tick.at) as f32;
            picture.bar(Area { top: y - 0.5, height: 1.0, ..plot }, 0.0, palette::LINE);
            let at = (plot.left - GAP, y + SMALL * 0.36);
            picture.text(&tick.name, at, Align::Right, SMALL, palette::FAINT_TEXT);
        }
        for tick in &self.x.ticks {
            let x = plot.left + plot.width * self.x.place(tick.at) as f32;
            let mark = Area { left: x - 0.5, top: plot.bottom(), width: 1.0, height: 5.0 };
            picture.bar(mark, 0.0, palette::FAINT_TEXT);
            let at = (x, plot.bottom() + 6.0 + SMALL);
            picture.text(&tick.name, at, Align::Middle, SMALL, palette::FAINT_TEXT);
        }
        let at = (plot.left + plot.width / 2.0, plot.bottom() + 10.0 + 2.3 * SMALL);
        picture.text(&self.x.label, at, Align::Middle, SMALL, palette::FAINT_TEXT);
    }

    fn marks(&self, picture: &mut Picture, plot: Area, series: &Series) {
        let x = |value: f64| plot.left + plot.width * self.x.place(value).clamp(0.0, 1.0) as f32;
        let y =
            |value: f64| plot.bottom() - plot.height * self.y.place(value).clamp(0.0, 1.0) as f32;
        match &series.marks {
            Marks::Line(points) => {
                let points: Vec<_> = points.iter().map(|&(a, b)| (x(a), y(b))).collect();
                match points[..] {
                    // A single point would draw no line.
                    [(x, y)] => {
                        let dot = Area { left: x - 3.0, top: y - 3.0, width: 6.0, height: 6.0 };
                        picture.bar(dot, 3.0, series.color);
                    }
                    _ => picture.line(&points, 2.0, series.color),
                }
            }
            Marks::Bars(bars) => {
                for &(from, to, height) in bars.iter().filter(|bar| bar.2 > 0.0) {
                    let (left, top) = (x(from), y(height));
                    let bar = Area { left, top, width: x(to) - left, height: plot.bottom() - top };
                    picture.bar(bar, 0.0, series.color);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chart(marks: Marks) -> String {
        let mut picture = Picture::new(400, 300, palette::PAPER).unwrap();
        let series = Series { name: "a".into(), color: Color(1, 2, 3), marks };
        let chart = Chart {
            title: "Title".into(),
            x: Axis::linear("x (s)", (0.0, 10.0), 5),
            y: Axis::linear("share", (0.0, 1.0), 5),
            series: vec![series],
        };
        chart.draw(&mut picture, Area { left: 0.0, top: 0.0, width: 400.0, height: 300.0 });
        picture.svg("")
    }

    #[test]
    fn bars_are_as_high_as_their_numbers() {
        let svg = chart(Marks::Bars(vec![(0.0, 1.0, 0.5), (5.0, 6.0, 1.0), (6.0, 7.0, 0.0)]));
        let heights: Vec<f32> = svg
            .lines()
            .filter(|line| line.contains("#010203"))
            .map(|line| {
                let (_, rest) = line.split_once(" height=\"").unwrap();
                rest.split_once('"').unwrap().0.parse().unwrap()
            })
            .collect();
        assert_eq!(heights.len(), 2, "a bar of no height is none");
        assert!((heights[1] / heights[0] - 2.0).abs() < 0.01, "{heights:?}");
    }

    #[test]
    fn a_line_stays_inside_and_a_point_is_seen() {
        assert!(chart(Marks::Line(vec![(0.0, 0.1), (20.0, 5.0)])).contains("stroke=\"#010203\""));
        assert!(chart(Marks::Line(vec![(1.0, 0.1)])).contains("fill=\"#010203\""));
        assert!(!chart(Marks::Line(Vec::new())).contains("#010203"));
    }
}
