//! The head of a piano roll: its title, its extent, and the colour legend. No part overlaps
//! another, however long the names are.

use pianola_host::midi_file::Score;
use pianola_picture::canvas::{Align, Area, Picture};
use pianola_picture::fonts::Fonts;
use pianola_picture::palette;

/// Sizes relative to the legend's font: the title, the space between two entries, that between a
/// colour and its name, the width of a colour, and the height of a line.
const TITLE: f32 = 1.43;
const BETWEEN: f32 = 1.2;
const GAP: f32 = 0.4;
const COLOR: f32 = 1.2;
const LINE: f32 = 1.6;

/// Maximum lines of instruments under the title.
const MOST_LINES: usize = 3;

/// Kind of legend.
enum Colors {
    /// A velocity scale, from soft to loud.
    Velocity,
    /// The instruments, by number; on lines under the title if they do not fit beside it.
    Instruments(Vec<Vec<(usize, String)>>),
}

/// Layout of the head.
pub struct Head {
    title: String,
    amount: String,
    colors: Colors,
    /// Font size.
    size: f32,
    /// Left and right margin.
    left: f32,
    width: f32,
    /// Whether the legend is beside the title.
    beside: bool,
}

impl Head {
    /// Lays out the head between two margins. The legend shows velocities, or the given
    /// `instruments`.
    pub fn new(
        title: &str,
        amount: String,
        instruments: Option<Vec<String>>,
        size: f32,
        (left, right): (f32, f32),
    ) -> anyhow::Result<Self> {
        let fonts = Fonts::new()?;
        let width = right - left;
        let entry = |name: &str| fonts.width(name, size) + (GAP + COLOR) * size;
        let amount_width = fonts.width(&amount, size) + BETWEEN * size;
        let title_width = fonts.width(title, TITLE * size);
        let (colors, colors_width) = match instruments {
            None => (Colors::Velocity, fonts.width("softloud", size) + (2.0 * GAP + SHADES) * size),
            Some(names) => {
                let fitted = |name: &String| fonts.fitted(name, size, 0.45 * width);
                let names: Vec<_> = names.iter().map(fitted).enumerate().collect();
                let all: f32 = names.iter().map(|(_, name)| entry(name) + BETWEEN * size).sum();
                let fits = title_width + amount_width + BETWEEN * size + all <= width;
                let lines = if fits { vec![names] } else { lines(names, width, size, entry) };
                (Colors::Instruments(lines), if fits { all } else { 0.0 })
            }
        };
        let room = width - amount_width - BETWEEN * size - colors_width;
        let title = fonts.fitted(title, TITLE * size, room);
        let beside = colors_width > 0.0;
        Ok(Self { title, amount, colors, size, left, width, beside })
    }

    pub fn height(&self) -> f32 {
        let lines = match &self.colors {
            Colors::Instruments(lines) if !self.beside => lines.len(),
            _ => 0,
        };
        (2.0 + LINE * lines as f32) * self.size
    }

    pub fn draw(&self, picture: &mut Picture, top: f32) {
        let (size, left, right) = (self.size, self.left, self.left + self.width);
        let baseline = top + TITLE * size * 0.75;
        picture.text(&self.title, (left, baseline), Align::Left, TITLE * size, palette::TEXT);
        let after = left + picture.text_width(&self.title, TITLE * size) + BETWEEN * size;
        picture.text(&self.amount, (after, baseline), Align::Left, size, palette::FAINT_TEXT);
        match &self.colors {
            Colors::Velocity => shades(picture, (right, baseline), size),
            Colors::Instruments(lines) => {
                for (line, names) in lines.iter().enumerate() {
                    let (from, baseline) = if self.beside {
                        let names = names.iter().map(|(_, name)| picture.text_width(name, size));
                        let each = (GAP + COLOR + BETWEEN) * size;
                        let all: f32 = names.map(|name| name + each).sum();
                        (right - all + BETWEEN * size, baseline)
                    } else {
                        (left, baseline + LINE * size * (line + 1) as f32)
                    };
                    instruments(picture, names, (from, baseline), size);
                }
            }
        }
    }
}

/// Breaks entries into lines; those beyond the maximum are counted at the end.
fn lines(
    names: Vec<(usize, String)>,
    width: f32,
    size: f32,
    entry: impl Fn(&str) -> f32,
) -> Vec<Vec<(usize, String)>> {
    let count = names.len();
    let mut lines: Vec<Vec<(usize, String)>> = vec![Vec::new()];
    let mut used = 0.0;
    // The last line has room for the number of omitted entries.
    let more = |left_out: usize| format!("and {left_out} more");
    let reserve = entry(&more(count)) + BETWEEN * size;
    for (index, name) in names {
        let wide = entry(&name) + BETWEEN * size;
        let last = lines.len() == MOST_LINES;
        let room = if last && index + 1 < count { width - reserve } else { width };
        if used + wide - BETWEEN * size > room && used > 0.0 {
            if last {
                if let Some(line) = lines.last_mut() {
                    line.push((usize::MAX, more(count - index)));
                }
                return lines;
            }
            lines.push(Vec::new());
            used = 0.0;
        }
        if let Some(line) = lines.last_mut() {
            line.push((index, name));
        }
        used += wide;
    }
    lines
}

/// Width of the velocity scale, relative to the font size.
const SHADES: f32 = 7.0;

/// Draws the velocity scale, from soft to loud, to the left of a point.
fn shades(picture: &mut Picture, (right, baseline): (f32, f32), size: f32) {
    picture.text("loud", (right, baseline), Align::Right, size, palette::FAINT_TEXT);
    let right = right - picture.text_width("loud", size) - GAP * size;
    let steps = palette::LOUDEST - palette::SOFTEST + 1;
    let width = SHADES * size / f32::from(steps);
    let left = right - SHADES * size;
    for step in 0..steps {
        let left = left + width * f32::from(step);
        // A little wider, so that the background does not show between bars.
        let wide = if step + 1 < steps { width + 0.5 } else { width };
        let area = Area { left, top: baseline - 0.75 * size, width: wide, height: 0.8 * size };
        picture.bar(area, 0.0, palette::loudness(palette::SOFTEST + step));
    }
    let at = (left - GAP * size, baseline);
    picture.text("soft", at, Align::Right, size, palette::FAINT_TEXT);
}

/// Draws instruments with their colours, to the right of a point.
fn instruments(
    picture: &mut Picture,
    names: &[(usize, String)],
    (mut left, baseline): (f32, f32),
    size: f32,
) {
    for (index, name) in names {
        if *index < usize::MAX {
            let (top, height) = (baseline - 0.65 * size, 0.6 * size);
            let area = Area { left, top, width: COLOR * size, height };
            picture.bar(area, 0.25 * size, palette::series(*index));
            left += (COLOR + GAP) * size;
        }
        picture.text(name, (left, baseline), Align::Left, size, palette::FAINT_TEXT);
        left += picture.text_width(name, size) + BETWEEN * size;
    }
}

/// Unique names for the instruments of a score.
pub fn names(score: &Score) -> Vec<String> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(title: &str, names: Vec<String>) -> Head {
        Head::new(title, "9 notes, 0:05".into(), Some(names), 10.0, (0.0, 600.0)).unwrap()
    }

    #[test]
    fn long_titles_and_names_never_meet() {
        let long = "name ".repeat(40);
        let fonts = Fonts::new().unwrap();
        for (title, names) in [
            ("a.mid", vec!["left".to_string(), "right".to_string()]),
            (long.as_str(), vec!["left".into(), "right".into()]),
            ("a.mid", vec![long.clone(), long.clone()]),
            (long.as_str(), vec![long.clone(); 60]),
        ] {
            let head = head(title, names);
            let title = fonts.width(&head.title, TITLE * 10.0);
            let amount = fonts.width(&head.amount, 10.0) + BETWEEN * 10.0;
            let Colors::Instruments(lines) = &head.colors else { panic!("no instruments") };
            assert!(lines.len() <= MOST_LINES);
            let wide = |line: &Vec<(usize, String)>| -> f32 {
                let each = line.iter().map(|(_, name)| fonts.width(name, 10.0));
                each.map(|name| name + (GAP + COLOR + BETWEEN) * 10.0).sum::<f32>() - BETWEEN * 10.0
            };
            let widest = lines.iter().map(wide).fold(0.0, f32::max);
            let beside = if head.beside { widest } else { 0.0 };
            assert!(title + amount + beside <= 600.0 && widest <= 601.0, "{title} {widest}");
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let names = (0..60).map(|index| format!("instrument {index}")).collect();
        let head = head("a.mid", names);
        let Colors::Instruments(lines) = &head.colors else { panic!("no instruments") };
        let shown = lines.concat().len() - 1;
        assert_eq!(lines.concat().last().unwrap().1, format!("and {} more", 60 - shown));
    }
}
