//! Corpora, splits, and the report's measures.
#![allow(clippy::unwrap_used)]

use std::fs;

use pianola_host::corpus::{Corpus, CorpusError, Set, Split, segments};
use pianola_host::midi_file::{Tracks, write};
use pianola_host::statistics::histograms::{Binning, Histogram, NoteHistograms};
use pianola_runtime::Note;

fn note(pitch: u8, step: f32, duration: f32) -> Note {
    Note { pitch, velocity: 80, step, duration }
}

#[test]
fn divergence_is_0_for_equals_and_1_for_strangers() {
    let low = Histogram::count(4, [0, 0, 1]);
    let high = Histogram::count(4, vec![2; 100_000]);
    let equal = Histogram::count(4, [0, 0, 1].repeat(10));
    assert!(low.divergence(&equal) < 1e-3);
    assert_eq!(low.divergence(&low), 0.0);
    assert!((low.divergence(&high) - 1.0).abs() < 1e-2);
    assert_eq!(low.divergence(&high), high.divergence(&low));
    // By hand: shares 1/2, 1/2 against 1, 0 give 0.311 bits.
    let (half, whole) = ([0, 1].repeat(50_000), vec![0; 100_000]);
    let divergence = Histogram::count(2, half).divergence(&Histogram::count(2, whole));
    assert!((divergence - 0.311_278).abs() < 1e-5, "{divergence}");
}

#[test]
fn binnings_differ_as_documented() {
    let notes = [note(60, 0.0, 1.2), note(60, 0.6, 99.0)];
    let bins = |binning, of: fn(&NoteHistograms) -> &Histogram| -> Vec<usize> {
        let histograms = NoteHistograms::count(binning, &notes);
        let shares = of(&histograms).shares();
        (0..shares.len()).filter(|&bin| shares[bin] > 0.1).collect()
    };
    assert_eq!(bins(Binning::Published, |histograms| &histograms.duration), [0, 29]);
    assert_eq!(bins(Binning::Corrected, |histograms| &histograms.duration), [2, 29]);
    assert_eq!(bins(Binning::Fine, |histograms| &histograms.duration), [120, 1499]);
    assert_eq!(bins(Binning::Published, |histograms| &histograms.step), [0, 1]);
    assert_eq!(bins(Binning::Fine, |histograms| &histograms.step), [0, 60]);
    assert_eq!(bins(Binning::Fine, |histograms| &histograms.pitch), [60]);
}

#[test]
fn a_corpus_is_read_whole_and_split_by_song() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for song in 0..10 {
        let notes: Vec<Note> = (0..130).map(|_| note(60 + song, 0.5, 0.25)).collect();
        fs::write(folder.path().join(format!("sub/{song}.mid")), write(&notes)).unwrap();
    }
    fs::write(folder.path().join("broken.MID"), b"MThd").unwrap();
    fs::write(folder.path().join("notes.txt"), b"not MIDI").unwrap();

    let corpus = Corpus::read(folder.path(), Tracks::First).unwrap();
    assert_eq!(corpus.songs.len(), 10);
    assert_eq!(corpus.songs[3].name, "sub/3.mid");
    assert_eq!(corpus.skipped.len(), 1);
    let (_, _, report) = Corpus::open(folder.path(), Tracks::First, None, 5).unwrap();
    assert!(report.contains("broken.MID") && report.contains("1 file skipped, 10 read"));
    // 130 notes are two segments; the tail is dropped.
    assert_eq!(segments(&corpus.songs).count(), 20);

    let split = Split::random(&corpus, 5);
    let sizes = Set::ALL.map(|set| corpus.set(&split, set).count());
    assert_eq!(sizes, [6, 2, 2]);
    assert_eq!(split.songs, Split::random(&corpus, 5).songs);
    assert_ne!(split.songs, Split::random(&corpus, 6).songs);

    let path = folder.path().join("split.tsv");
    fs::write(&path, "split\tfile\ntest\tsub/2.mid\ntrain\tsub/0.mid\ntrain\tgone.mid\n").unwrap();
    let split = Split::read(&path).unwrap();
    let test: Vec<_> = corpus.set(&split, Set::Test).map(|song| song.name.as_str()).collect();
    assert_eq!(test, ["sub/2.mid"]);
    assert_eq!(split.missing(&corpus).collect::<Vec<_>>(), ["gone.mid"]);
}

#[test]
fn unusable_corpora_and_splits_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let error = Corpus::read(folder.path(), Tracks::All).unwrap_err();
    assert!(matches!(error, CorpusError::Empty { skipped: 0, .. }));
    let error = Corpus::read(&folder.path().join("nowhere"), Tracks::All).unwrap_err();
    assert!(matches!(error, CorpusError::Io { .. }) && error.to_string().contains("nowhere"));

    let path = folder.path().join("split.tsv");
    for (text, line, what) in [
        ("song\tset\n", 1, "no column `file`"),
        ("split\tfile\ntrane\ta.mid\n", 2, "`trane`"),
        ("split\tfile\ntrain\ta.mid\ntest\n", 3, "too few columns"),
        ("split\tfile\ntrain\ta.mid\ntest\ta.mid\n", 3, "twice"),
    ] {
        fs::write(&path, text).unwrap();
        let error = Split::read(&path).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(&format!("line {line}")), "{error}");
    }
}
