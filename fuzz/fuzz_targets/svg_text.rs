//! A picture may contain any text: the SVG is well-formed, and the PNG is encoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pianola_host::text::{decode, escape};
use pianola_picture::canvas::{Align, Color, Picture};

fuzz_target!(|data: &[u8]| {
    let text = decode(data);
    assert!(!escape(&text).chars().any(char::is_control));
    let Ok(mut picture) = Picture::new(200, 40, Color(255, 255, 255)) else { return };
    picture.text(&text, (10.0, 20.0), Align::Left, 12.0, Color(0, 0, 0));
    let svg = picture.svg(&text);
    if let Err(error) = roxmltree::Document::parse(&svg) {
        panic!("{error}: {svg}");
    }
    assert!(picture.png().is_ok_and(|file| file.starts_with(b"\x89PNG")));
});
