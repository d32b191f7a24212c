//! Text from files: decoded whatever its encoding, and escaped for a terminal.

use std::error::Error;
use std::fmt::Write;
use std::iter;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// Decodes a name in a file: UTF-8, UTF-16, or a detected encoding of old programs, such as Shift-JIS,
/// Windows-1251 or Windows-1252. Space and control characters around it are dropped.
///
/// ```
/// use pianola_host::text::decode;
/// assert_eq!(decode("Flügel\0".as_bytes()), "Flügel");
/// assert_eq!(decode(b"Fl\xfcgel"), "Flügel");
/// assert_eq!(decode(b"\x83\x73\x83\x41\x83\x6d"), "ピアノ");
/// ```
pub fn decode(bytes: &[u8]) -> String {
    let text = match encoding(bytes) {
        // `decode` also drops a byte order mark.
        Some(encoding) => encoding.decode(bytes).0.into_owned(),
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}').into()
}

/// The encoding of a text; none for UTF-8.
fn encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    if let Some((marked, _)) = Encoding::for_bom(bytes) {
        return Some(marked);
    }
    // UTF-16 of western text has a zero in every other byte.
    let (pairs, _) = bytes.as_chunks::<2>();
    let zeros = |side: usize| pairs.iter().filter(|pair| pair[side] == 0).count();
    if pairs.len() > 1 && bytes.len().is_multiple_of(2) {
        if 2 * zeros(1) > pairs.len() && zeros(0) == 0 {
            return Some(UTF_16LE);
        }
        if 2 * zeros(0) > pairs.len() && zeros(1) == 0 {
            return Some(UTF_16BE);
        }
    }
    if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0x1b) {
        return None;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    Some(detector.guess(None, Utf8Detection::Deny))
}

/// A number of things, with the plural if it is not 1.
///
/// ```
/// use pianola_host::text::count;
/// assert_eq!([0, 1, 2].map(|songs| count(songs, "song")), ["0 songs", "1 song", "2 songs"]);
/// ```
pub fn count(number: usize, singular: &str) -> String {
    format!("{number} {}", plural(number, singular))
}

/// The plural of a word if the number is not 1.
pub fn plural(number: usize, singular: &str) -> String {
    if number == 1 { singular.into() } else { format!("{singular}s") }
}

/// An error and its causes in one line. The text of many errors ends with that of their cause, which is
/// then not repeated.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).fold(String::new(), |said, cause| {
        match (said.is_empty(), said.ends_with(&cause)) {
            (true, _) => cause,
            (false, true) => said,
            (false, false) => said + ": " + &cause,
        }
    })
}

/// A text with its control and bidirectional formatting characters escaped: a file, or its name, can
/// neither move the cursor of a terminal nor disguise its text.
///
/// ```
/// use pianola_host::text::escape;
/// assert_eq!(escape("\x1b[2Jfür\nElise"), "\\u001b[2Jfür\\nElise");
/// ```
pub fn escape(text: &str) -> String {
    escape_lines(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// The same for text of several lines: line breaks and tabs stay. It leaves JSON as it is, for JSON
/// escapes these characters alike.
///
/// ```
/// use pianola_host::text::escape_lines;
/// assert_eq!(escape_lines("\x1b[2Jfür\nElise"), "\\u001b[2Jfür\nElise");
/// ```
pub fn escape_lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(letter, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let breaks = matches!(letter, '\u{2028}' | '\u{2029}');
        let stays = !letter.is_control() || matches!(letter, '\n' | '\t');
        if stays && !turns && !breaks {
            escaped.push(letter);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
        encoding.encode(text).0.into_owned()
    }

    /// An error with a cause.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failed(&'static str, #[source] Option<Box<Failed>>);

    #[test]
    fn no_cause_is_printed_twice() {
        let because = |text, cause| Failed(text, Some(Box::new(cause)));
        let cause = || Failed("failed to fill whole buffer", None);
        let kind = || because("invalid header: failed to fill whole buffer", cause());
        assert_eq!(causes(&cause()), "failed to fill whole buffer");
        assert_eq!(causes(&kind()), "invalid header: failed to fill whole buffer");
        let named = "a.sf2: invalid header: failed to fill whole buffer";
        assert_eq!(causes(&because("a.sf2", kind())), named);
        let apart = "cannot read a.sf2: failed to fill whole buffer";
        assert_eq!(causes(&because("cannot read a.sf2", cause())), apart);
    }

    #[test]
    fn old_encodings_are_detected() {
        use encoding_rs::{EUC_KR, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};
        for (text, encoding) in [
            ("ピアノ 右手", SHIFT_JIS),
            ("ピアノ右手", SHIFT_JIS),
            ("Рояль, правая рука", WINDOWS_1251),
            ("Flöte", WINDOWS_1252),
            ("Piano à queue", WINDOWS_1252),
            ("피아노 오른손", EUC_KR),
        ] {
            assert_eq!(decode(&encoded(text, encoding)), text, "{}", encoding.name());
        }
    }

    #[test]
    fn wide_characters_are_detected() {
        for text in ["Piano", "Flügel"] {
            let wide =
                |swap: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(swap).collect::<Vec<_>>();
            assert_eq!(decode(&wide(u16::to_le_bytes)), text);
            assert_eq!(decode(&wide(u16::to_be_bytes)), text);
        }
        let marked: Vec<u8> = "\u{feff}ピアノ".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&marked), "ピアノ");
    }

    proptest! {
        #[test]
        fn utf8_stays_as_it_is(text in "[a-zа-яぁ-ん][a-z а-яぁ-ん]{0,20}[a-zа-яぁ-ん]") {
            prop_assert_eq!(decode(text.as_bytes()), text);
        }

        #[test]
        fn nothing_that_is_escaped_controls_a_terminal(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(char::is_control));
            let lines = escape_lines(&text);
            prop_assert!(!lines.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')));
            prop_assert_eq!(escape_lines(&lines), lines);
        }

        #[test]
        fn escaped_json_is_the_same_json(text in any::<String>()) {
            let json = serde_json::to_string_pretty(&[&text]).unwrap_or_default();
            let read: [String; 1] = serde_json::from_str(&escape_lines(&json)).unwrap_or_default();
            prop_assert_eq!(&read[0], &text);
        }

        #[test]
        fn any_bytes_are_some_text(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }
}
