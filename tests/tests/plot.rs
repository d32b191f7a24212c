//! `pianola plot` through the real binary: pieces drawn as piano rolls; errors for bad input.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use pianola_host::midi_file::{Instrument, Score, TimedNote, write, write_score};
use pianola_runtime::Note;
use pianola_tests::{pianola, refuse, succeed};
use tempfile::tempdir;

/// The first colour of `--color tracks`.
const BLUE: &str = "#0072b2";

fn note(pitch: u8, step: f32) -> Note {
    Note { pitch, velocity: 80, step, duration: 0.4 }
}

/// Four notes, of which the last is an octave above the others.
fn piece(folder: &Path) -> PathBuf {
    let path = folder.join("a piece.mid");
    let notes = [note(60, 0.0), note(60, 0.5), note(60, 1.0), note(72, 0.5)];
    fs::write(&path, write(&notes)).unwrap();
    path
}

fn plot(piece: &Path, out: &Path, more: &[&str]) -> Vec<u8> {
    let printed = succeed(pianola().arg("plot").arg(piece).arg("--out").arg(out).args(more));
    assert!(printed.contains(&out.display().to_string()), "{printed}");
    fs::read(out).unwrap()
}

/// Width and height of a PNG file.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

/// x, y, width and height of the bars of a colour, except the one in the legend.
fn bars(svg: &[u8], color: &str) -> Vec<[f32; 4]> {
    let svg = std::str::from_utf8(svg).unwrap();
    let drawn = svg.lines().filter(|line| line.starts_with("<rect") && line.contains(color));
    let number = |line: &str, name: &str| -> f32 {
        let value = line.split_once(&format!(" {name}=\"")).unwrap().1;
        value.split_once('"').unwrap().0.parse().unwrap()
    };
    let area = |line| ["x", "y", "width", "height"].map(|name| number(line, name));
    drawn.skip(1).map(area).collect()
}

#[test]
fn the_bars_lie_where_the_notes_are() {
    let folder = tempdir().unwrap();
    let svg = plot(&piece(folder.path()), &folder.path().join("a.svg"), &["--color", "tracks"]);
    let bars = bars(&svg, BLUE);
    assert_eq!(bars.len(), 4, "{bars:?}");
    let onset = |index: usize| bars[index][0] - bars[0][0];
    assert!((onset(2) / onset(1) - 3.0).abs() < 0.01 && (onset(3) / onset(1) - 4.0).abs() < 0.01);
    assert!((bars[0][2] / onset(1) - 0.8).abs() < 0.01, "0.4 of 0.5 seconds: {bars:?}");
    let [_, y, _, lane] = bars[3];
    assert_eq!(bars[0][1] - y, 12.0 * lane);
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("<title>a piece.mid</title>"));
}

#[test]
fn a_part_is_cut_out_of_a_piece() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("a.svg");
    let part = ["--color", "tracks", "--from", "0.4", "--to", "1.7"];
    let svg = plot(&piece(folder.path()), &out, &part);
    // The second note and, straight where the range ends, the third, in two bars.
    assert_eq!(bars(&svg, BLUE).len(), 3);
}

#[test]
fn the_same_piece_gives_the_same_picture_of_the_size_asked_for() {
    let folder = tempdir().unwrap();
    let piece = piece(folder.path());
    let picture = |name: &str, more: &[&str]| plot(&piece, &folder.path().join(name), more);
    assert!(picture("a.png", &[]) == picture("b.PNG", &[]));
    assert!(picture("a.svg", &[]) == picture("b.svg", &[]));
    assert_eq!(size(&picture("a.png", &[])).0, 1600);
    let small = picture("small.png", &["--width", "640", "--height", "300"]);
    assert_eq!(size(&small), (640, 300));
    succeed(pianola().arg("plot").arg(&piece));
    assert!(fs::read(folder.path().join("a piece.png")).unwrap() == picture("a.png", &[]));
}

#[test]
fn a_long_piece_takes_more_rows() {
    let folder = tempdir().unwrap();
    let height = |notes: usize| {
        let path = folder.path().join("long.mid");
        let notes: Vec<Note> = (0..notes).map(|i| note(40 + (i % 40) as u8, 0.1)).collect();
        fs::write(&path, write(&notes)).unwrap();
        size(&plot(&path, &folder.path().join("long.png"), &[])).1
    };
    let (short, long) = (height(100), height(1000));
    assert!(long > short + short / 2, "{short} and {long} pixels");
}

/// Left, top, right and bottom of each text of a picture; for curves, including their handles.
fn texts(svg: &[u8]) -> Vec<[f32; 4]> {
    let svg = std::str::from_utf8(svg).unwrap();
    let paths = svg.lines().filter(|line| line.starts_with("<path"));
    paths
        .map(|line| {
            let (_, path) = line.split_once(" d=\"").unwrap();
            let path = path.split_once('"').unwrap().0;
            let numbers: Vec<f32> = path
                .split(|c: char| c.is_ascii_alphabetic() || c == ' ')
                .filter(|number| !number.is_empty())
                .map(|number| number.parse().unwrap())
                .collect();
            let ends = |values: Vec<f32>| {
                let least = values.iter().copied().fold(f32::INFINITY, f32::min);
                (least, values.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            };
            let (left, right) = ends(numbers.iter().copied().step_by(2).collect());
            let (top, bottom) = ends(numbers.iter().copied().skip(1).step_by(2).collect());
            [left, top, right, bottom]
        })
        .collect()
}

#[test]
fn names_of_any_script_and_length_lie_apart() {
    let folder = tempdir().unwrap();
    let long = "Sonata quasi una fantasia, and so on ".repeat(4);
    let names = [
        ["Рояль", "ピアノ"],
        ["פסנתר", "🎹 piano"],
        [long.as_str(), long.as_str()],
        ["right", "left"],
    ];
    for [right, left] in names {
        let instrument = |name: &str, pitch| Instrument {
            name: name.into(),
            notes: vec![TimedNote { start: 0.0, end: 1.0, pitch, velocity: 80 }],
        };
        let score = Score {
            instruments: vec![instrument(right, 72), instrument(left, 48)],
            pedal: Vec::new(),
        };
        let piece = folder.path().join(format!("{}.mid", &"a rather long title ".repeat(11)));
        fs::write(&piece, write_score(&score)).unwrap();
        let svg = plot(&piece, &folder.path().join("a.svg"), &["--color", "tracks"]);
        let texts = texts(&svg);
        let [title, amount, ..] = texts[..] else { panic!("no title") };
        for (index, text) in texts.iter().enumerate() {
            let [left, top, right, bottom] = *text;
            assert!(left >= 0.0 && right <= 1600.0 && top >= 0.0, "{names:?}: {text:?}");
            for other in &texts[..index] {
                let apart =
                    left >= other[2] || right <= other[0] || top >= other[3] || bottom <= other[1];
                assert!(apart, "{right} {text:?} runs over {other:?}");
            }
        }
        assert!(title[2] < amount[0]);
    }
}

#[test]
fn names_in_other_encodings_are_read() {
    let folder = tempdir().unwrap();
    let named = |name: &[u8]| {
        let mut track = vec![0, 0xff, 0x03, name.len() as u8];
        track.extend(name);
        track.extend([0, 0x90, 60, 90, 40, 60, 0, 0, 0xff, 0x2f, 0]);
        let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01\0\x64MTrk\0\0\0".to_vec();
        bytes.push(track.len() as u8);
        bytes.extend(track);
        let path = folder.path().join("a.mid");
        fs::write(&path, bytes).unwrap();
        plot(&path, &folder.path().join("a.svg"), &["--color", "tracks"])
    };
    let utf_16 = |text: &str| -> Vec<u8> {
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let piano = named("ピアノ".as_bytes());
    assert!(piano == named(b"\x83\x73\x83\x41\x83\x6d"), "Shift-JIS");
    assert!(piano == named(&utf_16("ピアノ")), "UTF-16");
    assert!(piano != named("グランド".as_bytes()));
    assert!(named("Flügel".as_bytes()) == named(b"Fl\xfcgel"), "Latin-1");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let piece = piece(folder.path());
    let refused = |piece: &Path, out: &Path, more: &[&str]| {
        refuse(pianola().arg("plot").arg(piece).arg("--out").arg(out).args(more))
    };
    fs::write(at("text.mid"), "not MIDI").unwrap();
    let said = refused(&at("text.mid"), &at("a.png"), &[]);
    assert!(said.contains("text.mid") && said.contains("not a Standard MIDI File"), "{said}");
    let said = refused(&at("gone.mid"), &at("a.png"), &[]);
    assert!(said.contains("gone.mid") && said.contains("No such file"), "{said}");
    for name in ["a.jpg", "a"] {
        let said = refused(&piece, &at(name), &[]);
        assert!(said.contains(name) && said.contains(".png or .svg"), "{said}");
    }
    let said = refused(&piece, folder.path(), &[]);
    assert!(said.contains("is a folder"), "{said}");
    let said = refused(&piece, &at("no/such/a.png"), &[]);
    assert!(said.contains("no/such") && said.contains("there is no folder"), "{said}");
    for (part, cause) in [
        (["--from=1", "--to=1"], "--from must be before --to"),
        (["--from=nan", "--to=2"], "expected seconds"),
        (["--from=-1", "--to=inf"], "expected seconds"),
    ] {
        let said = refused(&piece, &at("a.png"), &part);
        assert!(said.contains(cause), "{said}");
    }
    let said = refused(&piece, &at("a.png"), &["--from", "60", "--to", "70"]);
    assert!(said.contains("no notes between") && said.contains("a piece.mid"), "{said}");
    fs::copy(&piece, at("midi.png")).unwrap();
    let said = refused(&at("midi.png"), &at("midi.png"), &[]);
    assert!(said.contains("would be overwritten"), "{said}");
    assert!(!at("a.png").exists());
}
