//! `pianola render` through the real binary: onsets and levels, with a SoundFont and without; and
//! errors for bad input.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::process::Command;

use pianola_host::midi_file::{Tracks, read, write};
use pianola_runtime::Note;
use pianola_tests::soundfont::{Zones, one_zone, soundfont, soundfont_of};
use pianola_tests::{pianola, refuse, succeed};
use tempfile::tempdir;

/// Fade-out after the last release, in seconds.
const TAIL: f64 = 1.5;

/// One note per second, high and low, soft and loud; none so high that it has no damper.
fn piece(folder: &Path) -> PathBuf {
    let path = folder.join("piece.mid");
    let note = |index: usize| Note {
        pitch: [60, 72, 48, 67, 88, 40, 84, 55][index % 8],
        velocity: [80, 50, 100, 70][index % 4],
        step: 1.0,
        duration: 0.3,
    };
    fs::write(&path, write(&(0..8).map(note).collect::<Vec<_>>())).unwrap();
    path
}

/// Renders a piece, and returns its samples.
fn render(piece: &Path, out: &Path, more: &[&str]) -> Vec<[f64; 2]> {
    let printed = succeed(pianola().arg("render").arg(piece).arg("--out").arg(out).args(more));
    assert!(printed.contains(&out.display().to_string()), "{printed}");
    samples(out)
}

/// Samples of a file: left and right of each.
fn samples(wav: &Path) -> Vec<[f64; 2]> {
    let mut wav = hound::WavReader::open(wav).unwrap();
    let spec = wav.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 44_100, 16));
    let samples: Vec<f64> =
        wav.samples::<i16>().map(|sample| f64::from(sample.unwrap()) / 32768.0).collect();
    samples.chunks(2).map(|sides| [sides[0], sides[1]]).collect()
}

/// Root mean square of some samples, both channels together.
fn loudness(samples: &[[f64; 2]]) -> f64 {
    let sum: f64 = samples.iter().flatten().map(|side| side * side).sum();
    (sum / (2 * samples.len()) as f64).sqrt()
}

fn at(seconds: f64) -> usize {
    (seconds * 44_100.0).round() as usize
}

/// Onset detection, in seconds: the energy of two milliseconds is both ten times the mean of
/// the thirty before them and above a hundredth of the loudest, no two onsets within 50 ms.
fn onsets(samples: &[[f64; 2]]) -> Vec<f64> {
    const FRAMES: usize = 15;
    let frame = at(0.002);
    let energies: Vec<f64> = samples.chunks(frame).map(|frame| loudness(frame).powi(2)).collect();
    let loudest = energies.iter().fold(0.0, |loudest: f64, &energy| loudest.max(energy));
    let mut onsets: Vec<f64> = Vec::new();
    for now in FRAMES..energies.len() {
        let before = energies[now - FRAMES..now].iter().sum::<f64>() / FRAMES as f64;
        let rises = energies[now] > 10.0 * before && energies[now] > 1e-2 * loudest;
        let seconds = (now * frame) as f64 / 44_100.0;
        if rises && onsets.last().is_none_or(|last| seconds > last + 0.05) {
            onsets.push(seconds);
        }
    }
    onsets
}

/// Has the target loudness, within half a loudness unit, and peaks 1 dB below full scale.
fn check_level(samples: &[[f64; 2]]) {
    let mut meter = ebur128::EbuR128::new(2, 44_100, ebur128::Mode::I).unwrap();
    meter.add_frames_f64(samples.as_flattened()).unwrap();
    let loudness = meter.loudness_global().unwrap();
    assert!((loudness + 18.0).abs() < 0.5, "{loudness} LUFS");
    let peak = samples.iter().flatten().fold(0.0, |peak: f64, side| peak.max(side.abs()));
    assert!(peak < 0.892, "{peak}");
}

/// The audio has the expected length and loudness, and an onset at each note,
/// within the tolerance in seconds, and nowhere else.
fn check(piece: &Path, samples: &[[f64; 2]], tolerance: f64) {
    let notes = read(&fs::read(piece).unwrap(), Tracks::All).unwrap();
    let end = notes.iter().map(|note| note.end).fold(0.0, f64::max);
    assert_eq!(samples.len(), at(end + TAIL));
    check_level(samples);
    assert!(samples[..at(0.9)].iter().all(|sides| *sides == [0.0; 2]), "a sound before the first");
    assert_eq!(samples.last(), Some(&[0.0; 2]));

    let found = onsets(samples);
    let starts: Vec<f64> = notes.iter().map(|note| note.start).collect();
    assert_eq!(found.len(), starts.len(), "{found:?} for {starts:?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(
            (found - start).abs() < tolerance,
            "a sound at {found} s for the note at {start} s"
        );
    }
}

#[test]
fn notes_are_heard_where_they_are_without_a_soundfont() {
    let folder = tempdir().unwrap();
    let piece = piece(folder.path());
    let samples = render(&piece, &folder.path().join("a.wav"), &["--plain"]);
    check(&piece, &samples, 0.006);
    // Low notes on the left, high ones on the right.
    let sides = |seconds: f64| {
        let note = &samples[at(seconds)..at(seconds + 0.2)];
        [0, 1].map(|side| note.iter().map(|sides| sides[side].abs()).sum::<f64>())
    };
    let (high, low) = (sides(5.0), sides(6.0));
    assert!(high[1] > 1.1 * high[0] && low[0] > 1.1 * low[1], "{high:?} and {low:?}");
    render(&piece, &folder.path().join("b.wav"), &["--plain"]);
    assert!(
        fs::read(folder.path().join("a.wav")).unwrap()
            == fs::read(folder.path().join("b.wav")).unwrap()
    );
    succeed(pianola().arg("render").arg(&piece).arg("--plain"));
    assert!(folder.path().join("piece.wav").exists());
}

#[test]
fn notes_are_heard_where_they_are_with_a_soundfont() {
    let folder = tempdir().unwrap();
    let piece = piece(folder.path());
    let font = folder.path().join("organ.sf2");
    fs::write(&font, soundfont()).unwrap();
    let options = ["--soundfont", font.to_str().unwrap()];
    let samples = render(&piece, &folder.path().join("a.wav"), &options);
    check(&piece, &samples, 0.006);
}

#[test]
#[ignore = "needs an installed SoundFont"]
fn notes_are_heard_where_they_are_with_an_installed_soundfont() {
    let folder = tempdir().unwrap();
    let (piece, out) = (piece(folder.path()), folder.path().join("a.wav"));
    let printed = succeed(pianola().arg("render").arg(&piece).arg("--out").arg(&out));
    assert!(printed.contains(".sf2"), "{printed}");
    // A low string of a real piano, softly struck, takes 12 ms to sound.
    check(&piece, &samples(&out), 0.02);
}

#[test]
fn soft_and_loud_pieces_are_equally_loud() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("organ.sf2"), soundfont()).unwrap();
    let font = at("organ.sf2");
    let instruments = [vec!["--plain"], vec!["--soundfont", font.to_str().unwrap()]];
    // Soft single notes, and chords of maximum velocity, whose attacks reach the limiter.
    let soft = |index: usize| Note {
        pitch: 60 + (index * 5 % 12) as u8,
        velocity: 12,
        step: 0.5,
        duration: 0.4,
    };
    let loud = |index: usize| Note {
        pitch: 40 + (index % 6 * 7) as u8,
        velocity: 127,
        step: if index.is_multiple_of(6) { 0.8 } else { 0.0 },
        duration: 0.2,
    };
    fs::write(at("soft.mid"), write(&(0..12).map(soft).collect::<Vec<_>>())).unwrap();
    fs::write(at("loud.mid"), write(&(0..60).map(loud).collect::<Vec<_>>())).unwrap();
    for (instrument, piece) in
        instruments.iter().flat_map(|instrument| ["soft", "loud"].map(|piece| (instrument, piece)))
    {
        check_level(&render(&at(&format!("{piece}.mid")), &at("a.wav"), instrument));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_long_piece_takes_little_memory() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("organ.sf2"), soundfont()).unwrap();
    // Twenty-five minutes, whose samples alone take 265 MB in a file and twice that in memory.
    let note = |index: usize| Note {
        pitch: [60, 96, 72, 84][index % 4],
        velocity: 80,
        step: 5.0,
        duration: 0.1,
    };
    fs::write(at("long.mid"), write(&(0..300).map(note).collect::<Vec<_>>())).unwrap();
    let out = at("long.wav");
    for instrument in ["--plain", "--soundfont=organ.sf2"] {
        // 200 MB of address space, program and threads included.
        let limited = "ulimit -v 200000; exec \"$@\"";
        let pianola = pianola();
        let mut command = Command::new("sh");
        command.args(["-c", limited, "sh"]).arg(pianola.get_program());
        command.args(["render", "long.mid", instrument, "--out", "long.wav"]);
        // Each further thread reserves address space for its stack and its allocator.
        succeed(command.current_dir(folder.path()).env("RAYON_NUM_THREADS", "1"));
        let bytes = fs::metadata(&out).unwrap().len() as usize;
        // The first note starts after its own step.
        let samples = ((300.0 * 5.0 + 0.1 + TAIL) * 44_100.0).round() as usize;
        assert_eq!(bytes, 44 + 4 * samples);
    }
}

#[test]
fn the_pedal_holds_what_the_hand_lets_go() {
    let folder = tempdir().unwrap();
    let later = |pedal: u8| {
        // At 120 quarters per minute, 100 ticks are half a second; the key is released after 0.2 s.
        let track = [
            &[0, 0xb0, 64, pedal, 0, 0x90, 60, 90, 40, 60, 0][..],
            &[0x82, 0x68, 0xb0, 64, 0, 0, 0xff, 0x2f, 0][..],
        ];
        let track = track.concat();
        let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01\0\x64MTrk\0\0\0".to_vec();
        bytes.push(track.len() as u8);
        bytes.extend(track);
        let path = folder.path().join("pedal.mid");
        fs::write(&path, bytes).unwrap();
        let samples = render(&path, &folder.path().join("pedal.wav"), &["--plain"]);
        loudness(&samples[at(1.0)..at(1.2)]) / loudness(&samples[at(0.05)..at(0.2)])
    };
    let (up, down) = (later(0), later(127));
    assert!(down > 0.1 && up < 0.01, "{down} with the pedal, {up} without");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let piece = piece(folder.path());
    let refused = |piece: &Path, out: &Path, more: &[&str]| {
        refuse(pianola().arg("render").arg(piece).arg("--out").arg(out).args(more))
    };
    fs::write(at("text.mid"), "not MIDI").unwrap();
    let said = refused(&at("text.mid"), &at("a.wav"), &["--plain"]);
    assert!(said.contains("text.mid") && said.contains("not a Standard MIDI File"), "{said}");
    let said = refused(&at("gone.mid"), &at("a.wav"), &["--plain"]);
    assert!(said.contains("gone.mid") && said.contains("No such file"), "{said}");
    for (name, says) in [("a.mp3", ".wav"), ("a", ".wav"), ("a.ogg", "--features ogg")] {
        let said = refused(&piece, &at(name), &["--plain"]);
        assert!(said.contains(name) && said.contains(says), "{said}");
    }
    let said = refused(&piece, folder.path(), &["--plain"]);
    assert!(said.contains("is a folder"), "{said}");
    let said = refused(&piece, &at("no/such/a.wav"), &["--plain"]);
    assert!(said.contains("no/such") && said.contains("there is no folder"), "{said}");

    let whole = soundfont();
    // Its instrument refers to a bag that does not exist.
    let mut astray = whole.clone();
    let bag = astray.windows(4).position(|id| id == b"inst").unwrap() + 8 + 22 + 20;
    astray[bag] = 100;
    let (many, one) = (20_000u16, one_zone());
    // Every other zone of the instrument covers all its generators: gigabytes, if each got a copy.
    let back_and_forth = (0..many).map(|zone| if zone % 2 == 0 { 0 } else { many }).collect();
    let generators = vec![[53, 0]; usize::from(many) + 1];
    let overlapping = Zones { instrument: (back_and_forth, generators), ..one_zone() };
    // A key press starts a million voices.
    let bags = |(_, generators): &(Vec<u16>, Vec<[u16; 2]>)| -> Vec<u16> {
        (0..=1000).map(|zone| zone * (generators.len() as u16 - 1)).collect()
    };
    let repeated = |zone: &(Vec<u16>, Vec<[u16; 2]>)| {
        let (_, generators) = zone;
        (
            bags(zone),
            generators[..generators.len() - 1].repeat(1000).into_iter().chain([[0, 0]]).collect(),
        )
    };
    let crowded = Zones { preset: repeated(&one.preset), instrument: repeated(&one.instrument) };
    let [overlapping, crowded] = [overlapping, crowded].map(|zones| soundfont_of(&zones));
    for (name, cause, bytes) in [
        ("overlapping.sf2", "its zones overlap", overlapping.as_slice()),
        ("crowded.sf2", "too many zones (1000000)", &crowded),
        ("empty.sf2", "no SoundFont", &[]),
        ("text.sf2", "no SoundFont", b"not a SoundFont"),
        ("short.sf2", "larger than the file", &whole[..whole.len() / 2]),
        ("astray.sf2", "is damaged", &astray),
    ] {
        fs::write(at(name), bytes).unwrap();
        let said = refused(&piece, &at("a.wav"), &["--soundfont", at(name).to_str().unwrap()]);
        assert!(said.contains(name) && said.contains(cause), "{said}");
    }
    let said = refused(&piece, &at("a.wav"), &["--soundfont", at("gone.sf2").to_str().unwrap()]);
    assert!(said.contains("gone.sf2") && said.contains("No such file"), "{said}");

    // Nine hours of rests.
    let rest = |step| Note { pitch: 60, velocity: 80, step, duration: 0.1 };
    fs::write(at("long.mid"), write(&vec![rest(15.0); 2200])).unwrap();
    let said = refused(&at("long.mid"), &at("a.wav"), &["--plain"]);
    assert!(said.contains("long.mid") && said.contains("9.2 hours"), "{said}");
    fs::copy(&piece, at("midi.wav")).unwrap();
    let said = refused(&at("midi.wav"), &at("midi.wav"), &["--plain"]);
    assert!(said.contains("would be overwritten"), "{said}");
    assert!(!at("a.wav").exists());
}
