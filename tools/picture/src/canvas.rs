//! Pictures of bars, lines and words, as SVG or as PNG: both hold the same outlines, so they look
//! the same.

use std::fmt::Write;

use anyhow::Context;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, PathSegment, Pixmap, Stroke, Transform,
};

use crate::fonts::Fonts;

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

/// Horizontal alignment of a text relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// The text starts at the point.
    Left,
    /// The text is centred on the point.
    Middle,
    /// The text ends at the point.
    Right,
}

/// A rectangle, in pixels from the top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl Area {
    /// The right edge.
    pub fn right(&self) -> f32 {
        self.left + self.width
    }

    /// The bottom edge.
    pub fn bottom(&self) -> f32 {
        self.top + self.height
    }
}

enum Outline {
    Bar { area: Area, radius: f32 },
    Letters(Path),
    Line { path: Path, width: f32 },
}

/// Corner radius of the background, as a share of its width.
const CORNER: f32 = 0.005;

/// Filled outlines, in drawing order.
pub struct Picture {
    width: u32,
    height: u32,
    fonts: Fonts,
    outlines: Vec<(Outline, Color)>,
}

impl Picture {
    /// A picture on a background of one colour with round corners: on a page of another colour
    /// it is a card.
    ///
    /// # Errors
    /// If the built-in font is damaged.
    pub fn new(width: u32, height: u32, paper: Color) -> anyhow::Result<Self> {
        let mut picture = Self { width, height, fonts: Fonts::new()?, outlines: Vec::new() };
        let area = Area { left: 0.0, top: 0.0, width: width as f32, height: height as f32 };
        picture.bar(area, CORNER * width as f32, paper);
        Ok(picture)
    }

    /// A rectangle with round corners.
    pub fn bar(&mut self, area: Area, radius: f32, color: Color) {
        if area.width > 0.0 && area.height > 0.0 {
            let radius = radius.min(area.width / 2.0).min(area.height / 2.0);
            self.outlines.push((Outline::Bar { area, radius }, color));
        }
    }

    /// A polyline with round joints and ends. Fewer than two points draw nothing.
    pub fn line(&mut self, points: &[(f32, f32)], width: f32, color: Color) {
        let mut path = PathBuilder::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        if let Some(path) = path.finish() {
            self.outlines.push((Outline::Line { path, width }, color));
        }
    }

    /// A text with its baseline on the point.
    pub fn text(&mut self, text: &str, at: (f32, f32), align: Align, size: f32, color: Color) {
        let glyphs = self.fonts.glyphs(text);
        let width: f32 = size * glyphs.iter().map(|glyph| glyph.advance).sum::<f32>();
        let mut left = match align {
            Align::Left => at.0,
            Align::Middle => at.0 - width / 2.0,
            Align::Right => at.0 - width,
        };
        let mut letters = PathBuilder::new();
        for glyph in glyphs {
            // Glyph coordinates point up, pixel coordinates down.
            let place = Transform::from_row(size, 0.0, 0.0, -size, left, at.1);
            if let Some(outline) = glyph.outline.and_then(|outline| outline.transform(place)) {
                letters.push_path(&outline);
            }
            left += size * glyph.advance;
        }
        if let Some(path) = letters.finish() {
            self.outlines.push((Outline::Letters(path), color));
        }
    }

    /// Width of a text in pixels.
    pub fn text_width(&self, text: &str, size: f32) -> f32 {
        self.fonts.width(text, size)
    }

    /// The fonts.
    pub fn fonts(&self) -> &Fonts {
        &self.fonts
    }

    /// The picture as a file of the given kind: `svg`, or else PNG; see [`Self::svg`].
    ///
    /// # Errors
    /// As [`Self::png`].
    pub fn encode(&self, kind: &str, title: &str) -> anyhow::Result<Vec<u8>> {
        if kind == "svg" { Ok(self.svg(title).into_bytes()) } else { self.png() }
    }

    /// The picture in the Scalable Vector Graphics format, with a title for screen readers.
    pub fn svg(&self, title: &str) -> String {
        let (width, height) = (self.width, self.height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<title>{}</title>\n",
            escaped(title)
        );
        for (outline, Color(red, green, blue)) in &self.outlines {
            let fill = format!("fill=\"#{red:02x}{green:02x}{blue:02x}\"");
            // Writing to a string cannot fail.
            let _ = match outline {
                Outline::Bar { area, radius } => {
                    let [x, y] = [area.left, area.top].map(number);
                    let [width, height] = [area.width, area.height].map(number);
                    let round = match radius {
                        0.0 => String::new(),
                        radius => format!(" rx=\"{}\"", number(*radius)),
                    };
                    writeln!(
                        svg,
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{round} \
                         {fill}/>"
                    )
                }
                Outline::Letters(path) => {
                    writeln!(svg, "<path d=\"{}\" {fill}/>", commands(path))
                }
                Outline::Line { path, width } => writeln!(
                    svg,
                    "<path d=\"{}\" fill=\"none\" stroke=\"#{red:02x}{green:02x}{blue:02x}\" \
                     stroke-width=\"{}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
                    commands(path),
                    number(*width)
                ),
            };
        }
        svg + "</svg>\n"
    }

    /// The picture in the Portable Network Graphics format.
    ///
    /// # Errors
    /// If there is not enough memory for the pixels.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut pixels = Pixmap::new(self.width, self.height).with_context(|| {
            format!("no room for {} x {} pixels: make it smaller", self.width, self.height)
        })?;
        for (outline, Color(red, green, blue)) in &self.outlines {
            let mut paint = Paint::default();
            paint.set_color_rgba8(*red, *green, *blue, u8::MAX);
            let all = Transform::identity();
            let mut fill = |path: &Path| {
                pixels.fill_path(path, &paint, FillRule::Winding, all, None);
            };
            match outline {
                Outline::Bar { area, radius } => {
                    rounded(*area, *radius).iter().for_each(fill);
                }
                Outline::Letters(path) => fill(path),
                Outline::Line { path, width } => {
                    let (line_cap, line_join) = (LineCap::Round, LineJoin::Round);
                    let stroke = Stroke { width: *width, line_cap, line_join, ..Stroke::default() };
                    pixels.stroke_path(path, &paint, &stroke, all, None);
                }
            }
        }
        pixels.encode_png().context("cannot encode the picture")
    }
}

/// The outline of a rectangle with round corners.
fn rounded(area: Area, radius: f32) -> Option<Path> {
    let (left, top, right, bottom) = (area.left, area.top, area.right(), area.bottom());
    // A cubic Bézier curve with handles at this share of the radius approximates a quarter circle.
    let handle = radius * (1.0 - 0.552_284_8);
    let mut path = PathBuilder::new();
    path.move_to(left + radius, top);
    path.line_to(right - radius, top);
    path.cubic_to(right - handle, top, right, top + handle, right, top + radius);
    path.line_to(right, bottom - radius);
    path.cubic_to(right, bottom - handle, right - handle, bottom, right - radius, bottom);
    path.line_to(left + radius, bottom);
    path.cubic_to(left + handle, bottom, left, bottom - handle, left, bottom - radius);
    path.line_to(left, top + radius);
    path.cubic_to(left, top + handle, left + handle, top, left + radius, top);
    path.close();
    path.finish()
}

/// A path as SVG writes it.
fn commands(path: &Path) -> String {
    let mut commands = String::new();
    for segment in path.segments() {
        let (letter, points) = match segment {
            PathSegment::MoveTo(to) => ('M', vec![to]),
            PathSegment::LineTo(to) => ('L', vec![to]),
            PathSegment::QuadTo(handle, to) => ('Q', vec![handle, to]),
            PathSegment::CubicTo(first, second, to) => ('C', vec![first, second, to]),
            PathSegment::Close => ('Z', Vec::new()),
        };
        commands.push(letter);
        let points: Vec<String> =
            points.iter().flat_map(|point| [number(point.x), number(point.y)]).collect();
        commands += &points.join(" ");
    }
    commands
}

/// A number rounded to a hundredth of a pixel, without trailing zeros.
fn number(value: f32) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// A text with the characters that XML reserves or forbids replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(' ');
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BLACK: Color = Color(0, 0, 0);
    const WHITE: Color = Color(255, 255, 255);

    #[test]
    fn a_bar_covers_its_pixels_in_both_formats() {
        let mut picture = Picture::new(8, 4, WHITE).unwrap();
        picture.bar(Area { left: 2.0, top: 1.0, width: 3.0, height: 2.0 }, 0.0, BLACK);
        let pixels = Pixmap::decode_png(&picture.png().unwrap()).unwrap();
        for (x, y) in (0..8).flat_map(|x| (0..4).map(move |y| (x, y))) {
            let inside = (2..5).contains(&x) && (1..3).contains(&y);
            let expected = if inside { 0 } else { 255 };
            assert_eq!(pixels.pixel(x, y).unwrap().red(), expected, "{x}, {y}");
        }
        let svg = picture.svg("a < b");
        assert!(svg.contains("<rect x=\"2\" y=\"1\" width=\"3\" height=\"2\" fill=\"#000000\"/>"));
        assert!(svg.contains("<title>a &lt; b</title>"));
    }

    #[test]
    fn words_are_as_wide_as_they_say() {
        let mut picture = Picture::new(200, 40, WHITE).unwrap();
        let width = picture.text_width("Pianola", 20.0);
        picture.text("Pianola", (190.0, 30.0), Align::Right, 20.0, BLACK);
        let pixels = Pixmap::decode_png(&picture.png().unwrap()).unwrap();
        let dark = |x: u32| (0..40).any(|y| pixels.pixel(x, y).unwrap().red() < 128);
        let first = (0..200).find(|&x| dark(x)).unwrap() as f32;
        let last = (0..200).rfind(|&x| dark(x)).unwrap() as f32;
        assert!((first - (190.0 - width)).abs() < 4.0 && (last - 190.0).abs() < 4.0);
    }

    #[test]
    fn a_line_covers_what_is_near_it() {
        let mut picture = Picture::new(20, 10, WHITE).unwrap();
        picture.line(&[(2.0, 5.0), (18.0, 5.0)], 2.0, BLACK);
        let pixels = Pixmap::decode_png(&picture.png().unwrap()).unwrap();
        assert_eq!(pixels.pixel(10, 4).unwrap().red(), 0);
        assert_eq!(pixels.pixel(10, 8).unwrap().red(), 255);
        let svg = picture.svg("");
        assert!(svg.contains("<path d=\"M2 5L18 5\" fill=\"none\" stroke=\"#000000\""), "{svg}");
    }

    #[test]
    fn a_title_holds_no_character_that_xml_forbids() {
        let picture = Picture::new(8, 4, WHITE).unwrap();
        let svg = picture.svg("a\u{fffe}b\u{ffff}c\u{1}<d>");
        assert!(svg.contains("<title>a b c &lt;d&gt;</title>"), "{svg}");
    }
}
