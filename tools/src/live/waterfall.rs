//! A moving piano roll for terminals: pitches run across as on a keyboard, and time flows down. Queued
//! notes fall on the keys; played notes leave below them, as the paper of a pianola.

use pianola_runtime::{Instant, Micros};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::live::played::{Performer, Played};
use crate::live::shown::pitch_name;

/// Duration of half a row.
const SLOT: Micros = Micros::from_millis(100);
/// Maximum rows above the keys: notes are generated no more than a second ahead.
const MOST_AHEAD: u16 = 5;
/// The keys of a piano, from A0 to C8.
const LOWEST: u8 = 21;
const KEYS: u16 = 88;

/// From soft to loud, in the terminal's 256-colour palette.
const PERSON: [u8; 6] = [94, 130, 172, 208, 214, 221];
const PIANOLA: [u8; 6] = [24, 31, 38, 45, 81, 123];
const WHITE_KEY: Color = Color::Indexed(253);
const BLACK_KEY: Color = Color::Indexed(235);
const KEY_NAME: Color = Color::Indexed(242);
const OCTAVE_LINE: Color = Color::Indexed(238);

/// A performer's colour for a loudness from 0 to 5.
pub fn color(performer: Performer, loudness: usize) -> Color {
    let colors = match performer {
        Performer::Person => PERSON,
        Performer::Pianola => PIANOLA,
    };
    Color::Indexed(colors[loudness.min(colors.len() - 1)])
}

/// The loudness of an onset, from 1 to 5; the rest of the note is one softer.
fn loudness(velocity: u8) -> usize {
    1 + usize::from(velocity.min(127)) * 5 / 128
}

/// Positions in the view.
struct Layout {
    /// Rows above the keys.
    ahead: u16,
    /// Rows of the keys.
    keys: u16,
    /// Columns of a key.
    width: u16,
    /// The lowest key that fits.
    lowest: u8,
    /// Number of keys.
    count: u16,
    /// Column of the lowest key.
    left: u16,
}

impl Layout {
    fn new(area: Rect) -> Self {
        let keys = if area.height >= 8 { 2 } else { 1 };
        let ahead = (area.height.saturating_sub(keys) / 4).min(MOST_AHEAD);
        let width = (area.width / KEYS).max(1);
        let count = (area.width / width).min(KEYS);
        // The middle of the keyboard, where not all of it fits.
        let lowest = LOWEST + ((KEYS - count) / 2) as u8;
        let left = area.x + (area.width - count * width) / 2;
        Self { ahead, keys, width, lowest, count, left }
    }

    /// Index of a pitch's key, if it is shown.
    fn key(&self, pitch: u8) -> Option<u16> {
        pitch.checked_sub(self.lowest).map(u16::from).filter(|&key| key < self.count)
    }

    /// Pitches and the columns where their keys begin.
    fn columns(&self) -> impl Iterator<Item = (u8, u16)> {
        (0..self.count).map(|key| (self.lowest + key as u8, self.left + key * self.width))
    }
}

/// Draws the notes played recently, and the queued ones.
pub fn draw(buffer: &mut Buffer, area: Rect, notes: &[Played], now: Instant) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let layout = Layout::new(area);
    // Slots are whole, so that notes keep their length while they move.
    let slot_of = |moment: Instant| moment.as_micros() / SLOT.as_micros();
    let present = slot_of(now);
    // Colours of half rows from the top down, each from the lowest key up. The present is the first
    // half row below the keys.
    let halves = 2 * u64::from(area.height - layout.keys);
    let newest = present + 2 * u64::from(layout.ahead);
    let oldest = (newest + 1).saturating_sub(halves);
    let count = usize::from(layout.count);
    let mut colors: Vec<Option<Color>> = vec![None; halves as usize * count];
    let mut sounding: Vec<Option<Color>> = vec![None; count];
    for note in notes {
        let Some(key) = layout.key(note.pitch).map(usize::from) else { continue };
        let loudness = loudness(note.velocity);
        let first = slot_of(note.start);
        let last = note.end.map_or(present, |end| slot_of(end).saturating_sub(1)).max(first);
        for slot in first.max(oldest)..=last.min(newest) {
            let loudness = match slot {
                _ if note.start > now => 0,
                _ if slot == first => loudness,
                _ => loudness - 1,
            };
            colors[(newest - slot) as usize * count + key] = Some(color(note.performer, loudness));
        }
        if note.start <= now && note.end.is_none_or(|end| end > now) {
            sounding[key] = Some(color(note.performer, loudness));
        }
    }

    let keys = layout.ahead..layout.ahead + layout.keys;
    let rows = (0..area.height).filter(|row| !keys.contains(row));
    for (row, halves) in rows.zip(colors.chunks(2 * count)) {
        let (upper, lower) = halves.split_at(count);
        for (((pitch, x), upper), lower) in layout.columns().zip(upper).zip(lower) {
            let (symbol, style) = match (*upper, *lower) {
                (None, None) if pitch % 12 == 0 => {
                    buffer.set_string(x, area.y + row, "┊", Style::new().fg(OCTAVE_LINE));
                    continue;
                }
                (None, None) => continue,
                (Some(upper), None) => ("▀", Style::new().fg(upper)),
                (None, Some(lower)) => ("▄", Style::new().fg(lower)),
                (Some(upper), Some(lower)) if upper == lower => ("█", Style::new().fg(upper)),
                (Some(upper), Some(lower)) => ("▀", Style::new().fg(upper).bg(lower)),
            };
            for x in x..x + layout.width {
                buffer[(x, area.y + row)].set_symbol(symbol).set_style(style);
            }
        }
    }
    draw_keys(buffer, area, &layout, &sounding);
}

/// Draws the keyboard: black keys between the white ones in the back row, and names of octaves in the
/// front row.
fn draw_keys(buffer: &mut Buffer, area: Rect, layout: &Layout, sounding: &[Option<Color>]) {
    let top = area.y + layout.ahead;
    for ((pitch, x), sounding) in layout.columns().zip(sounding) {
        let black = matches!(pitch % 12, 1 | 3 | 6 | 8 | 10);
        for row in 0..layout.keys {
            let (symbol, color) = match (black, row) {
                (true, 0) => ("█", sounding.unwrap_or(BLACK_KEY)),
                (true, _) => (" ", WHITE_KEY),
                (false, _) => (" ", sounding.unwrap_or(WHITE_KEY)),
            };
            for x in x..x + layout.width {
                let style = Style::new().fg(color).bg(color);
                buffer[(x, top + row)].set_symbol(symbol).set_style(style);
            }
        }
    }
    if layout.keys < 2 {
        return;
    }
    let right = layout.left + layout.count * layout.width;
    for (pitch, x) in layout.columns().filter(|(pitch, _)| pitch % 12 == 0) {
        let name = pitch_name(pitch);
        if x + name.len() as u16 <= right {
            buffer.set_string(x, top + 1, name, Style::new().fg(KEY_NAME));
        }
    }
}
