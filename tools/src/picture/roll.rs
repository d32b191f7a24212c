//! A piano roll: notes as bars on lanes of pitch, time from left to right, in as many rows as it
//! takes to be legible.

use pianola_host::midi_file::{Score, TimedNote};

use crate::picture::canvas::{Align, Area, Picture};
use crate::picture::palette;

/// What the colour of a note tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coloring {
    Velocity,
    Instrument,
}

/// What to draw of a score.
pub struct View<'a> {
    pub score: &'a Score,
    pub title: &'a str,
    pub coloring: Coloring,
    /// In seconds from the start of the file.
    pub from: f64,
    pub to: f64,
    /// In pixels.
    pub width: u32,
    /// In pixels; as high as it takes if not given.
    pub height: Option<u32>,
}

/// Space around the picture.
const MARGIN: f32 = 24.0;
/// Height of title and legend.
const HEADER: f32 = 44.0;
/// Width of the names of octaves and of the keyboard.
const NAMES: f32 = 30.0;
const KEYBOARD: f32 = 22.0;
/// Heights under a roll: the pedal, the names of times, the space before the next row.
const PEDAL: f32 = 14.0;
const TIMES: f32 = 20.0;
const BETWEEN: f32 = 12.0;

/// Sizes of letters.
const LARGE: f32 = 20.0;
const SMALL: f32 = 11.0;

/// Pixels that a note and a second take at least: with less, notes are dots and chords are blots.
const NOTE_WIDTH: f64 = 7.0;
const SECOND_WIDTH: f64 = 25.0;
/// Most rows, however long the piece.
const MAX_ROWS: usize = 16;
/// Height of the lane of a pitch.
const LANE: std::ops::RangeInclusive<f32> = 4.0..=9.0;
/// The lowest lane that is legible.
const LOW_LANE: f32 = 3.0;
/// Height that the lanes of all rows should have together, if they may.
const LANES_HEIGHT: f32 = 900.0;
/// Fewest pitches: a piece of few pitches should not be drawn as wide stripes.
const FEWEST_PITCHES: u8 = 25;
/// Pixels between two names of times, at least.
const TICK_WIDTH: f64 = 90.0;

/// A note to draw, and who plays it.
struct Bar<'a> {
    note: &'a TimedNote,
    instrument: usize,
}

/// Where everything lies.
struct Layout {
    rows: usize,
    row_height: f32,
    /// Seconds in a row.
    span: f64,
    left: f32,
    width: f32,
    lowest: u8,
    highest: u8,
    lane: f32,
    pedal: bool,
}

impl Layout {
    fn new(view: &View, bars: &[Bar]) -> Self {
        let lowest = bars.iter().map(|bar| bar.note.pitch).min().unwrap_or(60);
        let highest = bars.iter().map(|bar| bar.note.pitch).max().unwrap_or(60);
        // A lane more on each side, and then as many as the fewest take.
        let missing = FEWEST_PITCHES.saturating_sub(highest - lowest + 3);
        let lowest = lowest.saturating_sub(1 + missing / 2);
        let highest = (highest + 1 + missing.div_ceil(2)).min(127);
        let pitches = f32::from(highest - lowest + 1);

        let seconds = view.to - view.from;
        let left = MARGIN + NAMES + KEYBOARD;
        let width = view.width as f32 - left - MARGIN;
        let pedal = view.score.pedal.iter().any(|&(down, up)| down < view.to && up > view.from);
        let under = if pedal { PEDAL } else { 0.0 } + TIMES + BETWEEN;

        let legible = f64::max(seconds * SECOND_WIDTH, bars.len() as f64 * NOTE_WIDTH);
        let wanted = ((legible / f64::from(width)).ceil() as usize).clamp(1, MAX_ROWS);
        let (rows, lane) = match view.height {
            None => {
                let lane = (LANES_HEIGHT / (wanted as f32 * pitches)).round();
                (wanted, lane.clamp(*LANE.start(), *LANE.end()))
            }
            Some(height) => {
                let room = height as f32 - 2.0 * MARGIN - HEADER + BETWEEN;
                let lane = |rows: usize| (room / rows as f32 - under) / pitches;
                let rows = (1..=wanted).rfind(|&rows| lane(rows) >= LOW_LANE).unwrap_or(1);
                (rows, lane(rows).max(0.5))
            }
        };
        let row_height = lane * pitches + under;
        let span = seconds / rows as f64;
        Self { rows, row_height, span, left, width, lowest, highest, lane, pedal }
    }

    fn height(&self) -> f32 {
        2.0 * MARGIN + HEADER + self.rows as f32 * self.row_height - BETWEEN
    }

    /// The roll of a row.
    fn roll(&self, row: usize) -> Area {
        let top = MARGIN + HEADER + row as f32 * self.row_height;
        let height = self.lane * f32::from(self.highest - self.lowest + 1);
        Area { left: self.left, top, width: self.width, height }
    }

    /// The part of a row's lane between two pixels.
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
    // Later notes over earlier ones.
    bars.sort_by(|a, b| a.note.start.total_cmp(&b.note.start));

    let layout = Layout::new(view, &bars);
    let height = view.height.unwrap_or(layout.height().ceil() as u32);
    let mut picture = Picture::new(view.width, height, palette::PAPER)?;
    header(&mut picture, view, &bars);
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

/// The title, how much there is, and what the colours mean.
fn header(picture: &mut Picture, view: &View, bars: &[Bar]) {
    let baseline = MARGIN + LARGE * 0.75;
    picture.text(view.title, (MARGIN, baseline), Align::Left, LARGE, palette::TEXT);
    let begun = bars.iter().filter(|bar| bar.note.start >= view.from).count();
    let notes = if begun == 1 { "note" } else { "notes" };
    let seconds = (view.to - view.from).round();
    let amount = format!("{begun} {notes}, {}", clock(seconds, 1.0, seconds));
    let after = MARGIN + picture.text_width(view.title, LARGE) + 14.0;
    picture.text(&amount, (after, baseline), Align::Left, 13.0, palette::FAINT_TEXT);

    let mut right = view.width as f32 - MARGIN;
    match view.coloring {
        Coloring::Velocity => {
            let (softest, loudest) = (palette::SOFTEST, palette::LOUDEST);
            let mut label = |picture: &mut Picture, text: &str| {
                picture.text(text, (right, baseline), Align::Right, SMALL, palette::FAINT_TEXT);
                right -= picture.text_width(text, SMALL) + 7.0;
                right
            };
            let end = label(picture, "loud");
            let steps = loudest - softest + 1;
            let left = end - f32::from(steps);
            for step in 0..steps {
                let left = left + f32::from(step);
                let area = Area { left, top: baseline - 9.0, width: 1.0, height: 10.0 };
                picture.bar(area, 0.0, palette::loudness(softest + step));
            }
            right = left - 7.0;
            picture.text("soft", (right, baseline), Align::Right, SMALL, palette::FAINT_TEXT);
        }
        Coloring::Instrument => {
            for (index, name) in names(view.score).iter().enumerate().rev() {
                picture.text(name, (right, baseline), Align::Right, SMALL, palette::FAINT_TEXT);
                right -= picture.text_width(name, SMALL) + 5.0 + 16.0;
                let area = Area { left: right, top: baseline - 8.0, width: 16.0, height: 8.0 };
                picture.bar(area, 3.0, palette::instrument(index));
                right -= 18.0;
            }
        }
    }
}

/// What to call the instruments: each its own name.
fn names(score: &Score) -> Vec<String> {
    let instruments = &score.instruments;
    let alone = |name: &str| instruments.iter().filter(|other| other.name == name).count() == 1;
    let named =
        instruments.iter().enumerate().map(|(index, instrument)| match instrument.name.as_str() {
            "" => format!("instrument {}", index + 1),
            name if alone(name) => name.to_string(),
            name => format!("{name} {}", index + 1),
        });
    named.collect()
}

/// The keyboard and the lanes of its keys.
fn lanes(picture: &mut Picture, layout: &Layout, row: usize) {
    let roll = layout.roll(row);
    let keys = Area { left: roll.left - KEYBOARD, width: KEYBOARD - 4.0, ..roll };
    picture.bar(roll, 0.0, palette::WHITE_LANE);
    // An edge around the keys, which are as white as the paper.
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
    for pitch in (layout.lowest..=layout.highest).filter(|pitch| pitch % 12 == 0) {
        let lane = layout.lane(row, pitch, roll.left, roll.right());
        picture.bar(Area { top: lane.bottom() - 0.5, height: 1.0, ..lane }, 0.0, palette::LINE);
        let name = format!("C{}", i32::from(pitch) / 12 - 1);
        let at = (keys.left - 5.0, lane.bottom() - layout.lane / 2.0 + SMALL * 0.36);
        picture.text(&name, at, Align::Right, SMALL, palette::FAINT_TEXT);
    }
}

/// Lines at round times, with their names.
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
    let least = TICK_WIDTH * layout.span / f64::from(layout.width);
    let step = STEPS.into_iter().find(|&step| step >= least).unwrap_or(least);
    let roll = layout.roll(row);
    let bottom = roll.bottom() + if layout.pedal { PEDAL } else { 0.0 };
    // Counted, so that no error of rounding adds up.
    let mut count = (from / step).ceil();
    while count * step < to || (to == end && count * step <= end) {
        let seconds = count * step;
        let x = across(seconds);
        let line = Area { left: x - 0.5, top: roll.top, width: 1.0, height: roll.height + 4.0 };
        picture.bar(line, 0.0, palette::LINE);
        let name = clock(seconds, step, end);
        let at = (x, bottom + TIMES - 5.0);
        picture.text(&name, at, Align::Middle, SMALL, palette::FAINT_TEXT);
        count += 1.0;
    }
}

/// A time as exact as the step to the next: in seconds, or minutes and seconds if the picture goes
/// on beyond a minute.
pub fn clock(seconds: f64, step: f64, end: f64) -> String {
    let tenths = (seconds * 10.0).round() as u64;
    let (minutes, seconds) =
        if end < 60.0 { (None, tenths / 10) } else { (Some(tenths / 600), tenths / 10 % 60) };
    let part = if step < 1.0 { format!(".{}", tenths % 10) } else { String::new() };
    match minutes {
        None => format!("{seconds}{part} s"),
        Some(minutes) => format!("{minutes}:{seconds:02}{part}"),
    }
}

/// A note, as far as it sounds in this row: its ends are round where it starts and ends, and
/// straight where the row does.
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
        Coloring::Instrument => palette::instrument(bar.instrument),
    };
    let (start, end) = (across(bar.note.start), across(bar.note.end));
    let left = start.max(roll.left);
    // A gap before the note that follows on the same key.
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

/// When the pedal is down, under the roll.
fn pedal(
    picture: &mut Picture,
    layout: &Layout,
    row: usize,
    pedal: &[(f64, f64)],
    across: impl Fn(f64) -> f32,
) {
    let roll = layout.roll(row);
    let baseline = roll.bottom() + PEDAL - 3.0;
    picture.text(
        "pedal",
        (roll.left - 6.0, baseline),
        Align::Right,
        SMALL - 1.0,
        palette::FAINT_TEXT,
    );
    for &(down, up) in pedal {
        let left = across(down).max(roll.left);
        let right = (across(up) - 1.0).max(left + 1.0).min(roll.right());
        if across(up) > roll.left && left < roll.right() {
            let area = Area { left, top: roll.bottom() + 6.0, width: right - left, height: 4.0 };
            picture.bar(area, 2.0, palette::PEDAL);
        }
    }
}
