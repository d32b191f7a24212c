//! A piano roll: notes as bars on lanes of pitch, time from left to right, in as many rows as
//! legibility needs.

use pianola_host::midi_file::{Score, TimedNote};
use pianola_host::text::count;
use pianola_picture::canvas::{Align, Area, Picture};
use pianola_picture::palette;

use crate::options::time::clock;
use crate::picture::legend::{Head, names};

/// Meaning of a note's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coloring {
    Velocity,
    Instrument,
}

/// Options of a piano roll.
pub struct View<'a> {
    pub score: &'a Score,
    pub title: &'a str,
    pub coloring: Coloring,
    /// Time range, in seconds from the start of the file.
    pub from: f64,
    pub to: f64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels; chosen to fit if not given.
    pub height: Option<u32>,
}

/// Width of a page on which pictures are legible. Text and the space around it have the size
/// that is legible when the picture is shown at this width; sizes below are in its pixels.
const PAGE: f32 = 800.0;

/// Margin of the picture.
const MARGIN: f32 = 12.0;
/// Width of the octave labels and of the keyboard.
const NAMES: f32 = 20.0;
const KEYBOARD: f32 = 12.0;
/// Heights under a roll: the pedal, the time labels, the space before the next row.
const PEDAL: f32 = 11.0;
const TIMES: f32 = 16.0;
const BETWEEN: f32 = 7.0;
/// Font size.
const LETTERS: f32 = 10.5;
/// Minimum distance between two time labels.
const TICK_WIDTH: f32 = 60.0;

/// Minimum pixels for a note and for a second: with fewer, notes are dots and chords are blots.
const NOTE_WIDTH: f64 = 7.0;
const SECOND_WIDTH: f64 = 25.0;
/// Maximum rows, for a piece of any length.
const MAX_ROWS: usize = 16;
/// Height of a pitch's lane.
const LANE: std::ops::RangeInclusive<f32> = 5.0..=9.0;
/// Minimum legible lane height.
const LOW_LANE: f32 = 3.0;
/// Preferred total height of the lanes of all rows.
const LANES_HEIGHT: f32 = 1000.0;
/// Minimum number of pitches: a piece of few pitches should not be drawn as wide stripes.
const FEWEST_PITCHES: u8 = 25;

/// A note to draw, and its instrument.
struct Bar<'a> {
    note: &'a TimedNote,
    instrument: usize,
}

/// Layout of the picture.
struct Layout {
    /// Pixels per page pixel.
    scale: f32,
    /// Height of title and legend.
    head: f32,
    rows: usize,
    row_height: f32,
    /// Seconds per row.
    span: f64,
    left: f32,
    width: f32,
    lowest: u8,
    highest: u8,
    lane: f32,
    pedal: bool,
}

impl Layout {
    fn new(view: &View, bars: &[Bar], scale: f32, head: f32) -> Self {
        let lowest = bars.iter().map(|bar| bar.note.pitch).min().unwrap_or(60);
        let highest = bars.iter().map(|bar| bar.note.pitch).max().unwrap_or(60);
        // One more lane on each side, then up to the minimum number.
        let missing = FEWEST_PITCHES.saturating_sub(highest - lowest + 3);
        let lowest = lowest.saturating_sub(1 + missing / 2);
        let highest = (highest + 1 + missing.div_ceil(2)).min(127);
        let pitches = f32::from(highest - lowest + 1);

        let seconds = view.to - view.from;
        let margin = MARGIN * scale;
        let left = margin + (NAMES + KEYBOARD) * scale;
        let width = view.width as f32 - left - margin;
        let pedal = view.score.pedal.iter().any(|&(down, up)| down < view.to && up > view.from);
        let under = (if pedal { PEDAL } else { 0.0 } + TIMES + BETWEEN) * scale;

        let legible = f64::max(seconds * SECOND_WIDTH, bars.len() as f64 * NOTE_WIDTH);
        let wanted = ((legible / f64::from(width)).ceil() as usize).clamp(1, MAX_ROWS);
        let (rows, lane) = match view.height {
            None => {
                let lane = (LANES_HEIGHT / (wanted as f32 * pitches)).round();
                (wanted, lane.clamp(*LANE.start(), *LANE.end()))
            }
            Some(height) => {
                let room = height as f32 - 2.0 * margin - head + BETWEEN * scale;
                let lane = |rows: usize| (room / rows as f32 - under) / pitches;
                let rows = (1..=wanted).rfind(|&rows| lane(rows) >= LOW_LANE).unwrap_or(1);
                (rows, lane(rows).max(0.5))
            }
        };
        let row_height = lane * pitches + under;
        let span = seconds / rows as f64;
        Self { scale, head, rows, row_height, span, left, width, lowest, highest, lane, pedal }
    }

    fn height(&self) -> f32 {
        let rows = self.rows as f32 * self.row_height;
        (2.0 * MARGIN - BETWEEN) * self.scale + self.head + rows
    }

    /// The area of a row's roll.
    fn roll(&self, row: usize) -> Area {
        let top = MARGIN * self.scale + self.head + row as f32 * self.row_height;
        let height = self.lane * f32::from(self.highest - self.lowest + 1);
        Area { left: self.left, top, width: self.width, height }
    }

    /// The rectangle of a lane between two x positions.
    fn lane(&self, row: usize, pitch: u8, left: f32, right: f32) -> Area {
        let top = self.roll(row).top + self.lane * f32::from(self.highest - pitch);
        Area { left, top, width: right - left, height: self.lane }
    }
}

/// Draws a piano roll.
pub fn draw(view: &View) -> anyhow::Result<Picture> {
    let mut bars: Vec<Bar> = Vec::new();
    for (instrument, played) in view.score.instruments.iter().enumerate() {
        let seen = |note: &&TimedNote| note.start < view.to && note.end > view.from;
        bars.extend(played.notes.iter().filter(seen).map(|note| Bar { note, instrument }));
    }
    // Later notes are drawn over earlier ones.
    bars.sort_by(|a, b| a.note.start.total_cmp(&b.note.start));

    let scale = (view.width as f32 / PAGE).max(1.0);
    let head = head(view, &bars, scale)?;
    let layout = Layout::new(view, &bars, scale, head.height());
    let height = view.height.unwrap_or(layout.height().ceil() as u32);
    let mut picture = Picture::new(view.width, height, palette::PAPER)?;
    head.draw(&mut picture, MARGIN * scale);
    for row in 0..layout.rows {
        let from = view.from + layout.span * row as f64;
        let to = from + layout.span;
        let across = |seconds: f64| {
            layout.left + (f64::from(layout.width) * (seconds - from) / layout.span) as f32
        };
        lanes(&mut picture, &layout, row);
        times(&mut picture, &layout, row, (from, to), view.to, across);
        for bar in bars.iter().filter(|bar| bar.note.start < to && bar.note.end > from) {
            note(&mut picture, &layout, row, bar, view.coloring, across);
        }
        if layout.pedal {
            pedal(&mut picture, &layout, row, &view.score.pedal, across);
        }
    }
    Ok(picture)
}

/// Draws the title, the extent of the piece, and the legend.
fn head(view: &View, bars: &[Bar], scale: f32) -> anyhow::Result<Head> {
    let begun = bars.iter().filter(|bar| bar.note.start >= view.from).count();
    let seconds = (view.to - view.from).round();
    let amount = format!("{}, {}", count(begun, "note"), clock(seconds, 1.0, seconds));
    let instruments = match view.coloring {
        Coloring::Velocity => None,
        Coloring::Instrument => Some(names(view.score)),
    };
    let margin = MARGIN * scale;
    let ends = (margin, view.width as f32 - margin);
    Head::new(view.title, amount, instruments, LETTERS * scale, ends)
}

/// Draws the keyboard and the lanes of its keys.
fn lanes(picture: &mut Picture, layout: &Layout, row: usize) {
    let roll = layout.roll(row);
    let (keyboard, letters) = (KEYBOARD * layout.scale, LETTERS * layout.scale);
    let keys = Area { left: roll.left - keyboard, width: keyboard - 4.0, ..roll };
    picture.bar(roll, 0.0, palette::WHITE_LANE);
    // An outline around the keys, which are as white as the background.
    let edge = Area { left: keys.left - 1.0, width: keys.width + 2.0, ..keys };
    picture.bar(edge, 0.0, palette::LINE);
    picture.bar(keys, 0.0, palette::PAPER);
    for pitch in layout.lowest..=layout.highest {
        let lane = layout.lane(row, pitch, roll.left, roll.right());
        let key = layout.lane(row, pitch, keys.left, keys.right());
        if matches!(pitch % 12, 1 | 3 | 6 | 8 | 10) {
            picture.bar(lane, 0.0, palette::BLACK_LANE);
            let short = Area { width: key.width * 0.62, ..key };
            picture.bar(short, 1.0, palette::BLACK_KEY);
            let middle = Area { top: key.top + key.height / 2.0 - 0.5, height: 1.0, ..key };
            let seam = Area { left: short.right(), width: key.width * 0.38, ..middle };
            picture.bar(seam, 0.0, palette::LINE);
        } else if matches!(pitch % 12, 0 | 5) && pitch > layout.lowest {
            let seam = Area { top: key.bottom() - 0.5, height: 1.0, ..key };
            picture.bar(seam, 0.0, palette::LINE);
        }
    }
    // Where octaves are lower than the text, only some have labels.
    let apart = (1.2 * letters / (12.0 * layout.lane)).ceil().max(1.0) as u8;
    for pitch in (layout.lowest..=layout.highest).filter(|pitch| pitch % 12 == 0) {
        let lane = layout.lane(row, pitch, roll.left, roll.right());
        picture.bar(Area { top: lane.bottom() - 0.5, height: 1.0, ..lane }, 0.0, palette::LINE);
        // Labels are beside their keys, and never beyond the ends of the keyboard.
        let lowest = roll.bottom() - 0.04 * letters;
        let baseline = (lane.bottom() - layout.lane / 2.0 + letters * 0.36).min(lowest);
        if pitch / 12 % apart == 0 {
            let name = format!("C{}", i32::from(pitch) / 12 - 1);
            let at = (keys.left - 3.0 * layout.scale, baseline);
            picture.text(&name, at, Align::Right, letters, palette::FAINT_TEXT);
        }
    }
}

/// Draws lines at round times, with labels.
fn times(
    picture: &mut Picture,
    layout: &Layout,
    row: usize,
    (from, to): (f64, f64),
    end: f64,
    across: impl Fn(f64) -> f32,
) {
    const STEPS: [f64; 15] =
        [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let letters = LETTERS * layout.scale;
    let least = f64::from(TICK_WIDTH * layout.scale) * layout.span / f64::from(layout.width);
    let step = STEPS.into_iter().find(|&step| step >= least).unwrap_or(least);
    let roll = layout.roll(row);
    let pedal = if layout.pedal { PEDAL } else { 0.0 };
    let baseline = roll.bottom() + (pedal + TIMES - 3.5) * layout.scale;
    // Counted, so that rounding errors do not accumulate.
    let mut count = (from / step).ceil();
    while count * step < to || (to == end && count * step <= end) {
        let seconds = count * step;
        let x = across(seconds);
        let line = Area { left: x - 0.5, top: roll.top, width: 1.0, height: roll.height + 4.0 };
        picture.bar(line, 0.0, palette::LINE);
        let name = clock(seconds, step, end);
        picture.text(&name, (x, baseline), Align::Middle, letters, palette::FAINT_TEXT);
        count += 1.0;
    }
}

/// Draws the part of a note in this row: its ends are round at onset and release, and
/// straight where the row breaks.
fn note(
    picture: &mut Picture,
    layout: &Layout,
    row: usize,
    bar: &Bar,
    coloring: Coloring,
    across: impl Fn(f64) -> f32,
) {
    let roll = layout.roll(row);
    let color = match coloring {
        Coloring::Velocity => palette::loudness(bar.note.velocity),
        Coloring::Instrument => palette::series(bar.instrument),
    };
    let (start, end) = (across(bar.note.start), across(bar.note.end));
    let left = start.max(roll.left);
    // A gap before the next note on the same key.
    let right = (end - 0.75).max(left + 2.0).min(roll.right());
    let area = layout.lane(row, bar.note.pitch, left, right);
    let radius = (layout.lane * 0.4).min(3.0);
    picture.bar(area, radius, color);
    let cut = Area { width: (area.width / 2.0).min(radius), ..area };
    if start < roll.left {
        picture.bar(cut, 0.0, color);
    }
    if end > roll.right() {
        picture.bar(Area { left: area.right() - cut.width, ..cut }, 0.0, color);
    }
}

/// Draws the pedal under the roll.
fn pedal(
    picture: &mut Picture,
    layout: &Layout,
    row: usize,
    pedal: &[(f64, f64)],
    across: impl Fn(f64) -> f32,
) {
    let roll = layout.roll(row);
    let scale = layout.scale;
    let at = (roll.left - 3.0 * scale, roll.bottom() + (PEDAL - 1.5) * scale);
    picture.text("pedal", at, Align::Right, 0.85 * LETTERS * scale, palette::FAINT_TEXT);
    for &(down, up) in pedal {
        let left = across(down).max(roll.left);
        let right = (across(up) - 1.0).max(left + 1.0).min(roll.right());
        if across(up) > roll.left && left < roll.right() {
            let area = Area {
                left,
                top: roll.bottom() + 4.0 * scale,
                width: right - left,
                height: 3.0 * scale,
            };
            picture.bar(area, 1.5 * scale, palette::PEDAL);
        }
    }
}
