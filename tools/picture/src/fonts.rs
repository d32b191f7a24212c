//! Text as outlines: from the bundled font, from a system font for letters that it lacks, and
//! transliterated where no font has them.

use std::sync::OnceLock;

use anyhow::Context;
use deunicode::deunicode_char;
use fontdb::{Database, ID, Style};
use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, OutlineBuilder};
use unicode_bidi::BidiInfo;

/// Inter Medium, cut down to the letters of western Europe by fontTools' `pyftsubset`, without
/// hints and kerning.
static BUNDLED: &[u8] = include_bytes!("../font/Inter-latin.ttf");

/// A glyph's outline, y upwards, and its advance; both in units of the font size.
pub(crate) struct Glyph {
    /// None for a space.
    pub outline: Option<Path>,
    pub advance: f32,
}

/// Sources of glyphs.
pub struct Fonts {
    bundled: Face<'static>,
}

impl Fonts {
    /// The bundled font; system fonts are searched when a letter first needs one.
    ///
    /// # Errors
    /// If the bundled font is damaged.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { bundled: Face::parse(BUNDLED, 0).context("the built-in font is damaged")? })
    }

    /// The glyphs of a text, from left to right.
    pub(crate) fn glyphs(&self, text: &str) -> Vec<Glyph> {
        if text.chars().all(|letter| self.is_bundled(letter)) {
            return text.chars().filter_map(|letter| glyph(&self.bundled, letter)).collect();
        }
        let system = SystemFonts::get();
        let mut drawable = String::new();
        for letter in text.chars() {
            if self.is_bundled(letter) || system.font(letter).is_some() {
                drawable.push(letter);
            } else {
                push_spelled(&mut drawable, letter);
            }
        }
        in_visual_order(&drawable)
            .chars()
            .filter_map(|letter| {
                let bundled = || glyph(&self.bundled, letter);
                if self.is_bundled(letter) { bundled() } else { system.glyph(letter) }
            })
            .collect()
    }

    /// Width of a text in pixels.
    pub fn width(&self, text: &str, size: f32) -> f32 {
        size * self.glyphs(text).iter().map(|glyph| glyph.advance).sum::<f32>()
    }

    /// A text, or as much of its start and end as fits into a width in pixels, with an ellipsis between
    /// them: names in one set differ at either end.
    pub fn fitted(&self, text: &str, size: f32, width: f32) -> String {
        if self.width(text, size) <= width {
            return text.into();
        }
        let letters: Vec<char> = text.chars().collect();
        let shortened = |count: usize| {
            let end = count / 3;
            let start: String = letters[..count - end].iter().collect();
            let end: String = letters[letters.len() - end..].iter().collect();
            format!("{}…{}", start.trim_end(), end.trim_start())
        };
        // The most letters that fit; the width grows with their number.
        let counts: Vec<usize> = (0..letters.len()).collect();
        let fits = |&count: &usize| self.width(&shortened(count), size) <= width;
        shortened(counts.partition_point(fits).saturating_sub(1))
    }

    fn is_bundled(&self, letter: char) -> bool {
        self.bundled.glyph_index(letter).is_some()
    }
}

/// Replacement for a letter that no font has: its ASCII transliteration, or its code point.
/// Joiners, variation selectors and direction marks are omitted.
fn spelled(letter: char) -> String {
    let invisible = matches!(letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e01ef}' | '\u{1f3fb}'..='\u{1f3ff}');
    match deunicode_char(letter) {
        _ if invisible => String::new(),
        Some(ascii) => ascii.into(),
        None => format!("U+{:04X}", u32::from(letter)),
    }
}

/// Adds a letter that no font has; one that is spelled as a word is separated from the text before.
fn push_spelled(text: &mut String, letter: char) {
    let spelled = spelled(letter);
    let is_word = spelled.ends_with(' ');
    if is_word && !text.is_empty() && !text.ends_with(' ') {
        text.push(' ');
    }
    *text += &spelled;
}

/// A text in visual order, from left to right.
fn in_visual_order(text: &str) -> String {
    let bidi = BidiInfo::new(text, None);
    let lines = bidi.paragraphs.iter().map(|line| bidi.reorder_line(line, line.range.clone()));
    lines.collect()
}

/// Whether the letters of a script join or stack, so that they are illegible one by one: Arabic,
/// the scripts of India and of South-East Asia.
fn is_shaped(letter: char) -> bool {
    matches!(letter, '\u{600}'..='\u{dff}' | '\u{f00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// The installed fonts, those first that resemble the bundled one most.
struct SystemFonts {
    database: Database,
    faces: Vec<ID>,
}

impl SystemFonts {
    /// The fonts are searched when the first letter needs one.
    fn get() -> &'static Self {
        static FONTS: OnceLock<SystemFonts> = OnceLock::new();
        FONTS.get_or_init(|| {
            let mut database = Database::new();
            database.load_system_fonts();
            Self::of(database)
        })
    }

    fn of(database: Database) -> Self {
        let mut faces: Vec<_> = database.faces().collect();
        faces.sort_by_key(|face| {
            let family = face.families.first().map_or("", |(name, _)| name.as_str());
            let upright = face.style == Style::Normal && !face.monospaced;
            let weight = face.weight.0.abs_diff(450);
            (!upright, !family.contains("Sans"), weight, family, &face.post_script_name)
        });
        let faces = faces.into_iter().map(|face| face.id).collect();
        Self { database, faces }
    }

    /// The first font that has an outline for a letter.
    fn font(&self, letter: char) -> Option<ID> {
        if is_shaped(letter) {
            return None;
        }
        self.faces.iter().copied().find(|&face| {
            self.in_face(face, letter).is_some_and(|glyph| {
                glyph.outline.is_some() || letter.is_whitespace() && glyph.advance > 0.0
            })
        })
    }

    fn glyph(&self, letter: char) -> Option<Glyph> {
        self.in_face(self.font(letter)?, letter)
    }

    fn in_face(&self, face: ID, letter: char) -> Option<Glyph> {
        self.database
            .with_face_data(face, |data, index| glyph(&Face::parse(data, index).ok()?, letter))?
    }
}

/// A letter's glyph in a font; none if the font lacks it.
fn glyph(font: &Face, letter: char) -> Option<Glyph> {
    let id = font.glyph_index(letter)?;
    let scale = 1.0 / f32::from(font.units_per_em());
    let mut pen = Pen { path: PathBuilder::new(), scale };
    font.outline_glyph(id, &mut pen);
    let advance = f32::from(font.glyph_hor_advance(id).unwrap_or(0)) * scale;
    Some(Glyph { outline: pen.path.finish(), advance })
}

/// Records a glyph's outline.
struct Pen {
    path: PathBuilder,
    scale: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(x * self.scale, y * self.scale);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(x * self.scale, y * self.scale);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let [x1, y1, x, y] = [x1, y1, x, y].map(|at| at * self.scale);
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let [x1, y1, x2, y2, x, y] = [x1, y1, x2, y2, x, y].map(|at| at * self.scale);
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_no_font_has_are_spelled() {
        // With no system font at all, as in a bare container.
        let system = SystemFonts::of(Database::new());
        assert!(system.font('音').is_none());
        let spell = |text: &str| {
            text.chars().fold(String::new(), |mut text, letter| {
                push_spelled(&mut text, letter);
                text
            })
        };
        assert_eq!(spell("Чайка"), "Chaika");
        assert!(spell("音楽").is_ascii() && !spell("音楽").is_empty());
        assert_eq!(spell("ピアノ🎹"), "piano musical keyboard ");
        assert_eq!(spell("\u{200d}\u{fe0f}\u{202e}"), "");
        assert_eq!(spell("\u{f8ff}"), "U+F8FF");
    }

    #[test]
    fn no_letter_is_an_empty_box() {
        let fonts = Fonts::new().unwrap();
        let missing = fonts.bundled.glyph_index('\u{10ffff}');
        assert!(missing.is_none());
        for text in ["Flügel", "Чайковский", "ピアノ", "פסנתר", "🎹", "بيانو", "\u{f8ff}"]
        {
            assert!(fonts.glyphs(text).iter().any(|glyph| glyph.outline.is_some()), "{text}");
        }
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        let fonts = Fonts::new().unwrap();
        let name = "a name of many letters";
        assert_eq!(fonts.fitted(name, 10.0, 500.0), name);
        let short = fonts.fitted(name, 10.0, 60.0);
        assert!(short.starts_with("a n") && short.ends_with("rs"), "{short}");
        assert!(short.contains('…') && fonts.width(&short, 10.0) <= 60.0, "{short}");
    }

    #[test]
    fn hebrew_runs_from_right_to_left() {
        assert_eq!(in_visual_order("op. 1 אבג"), "op. 1 גבא");
    }
}
