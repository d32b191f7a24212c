//! The reference corpora: what is read of them, and the bundled models' figures on them.
#![allow(clippy::unwrap_used)]

use pianola_host::corpus::{Corpus, Set, Split, segments};
use pianola_host::midi_file::Tracks;
use pianola_runtime::BOS;
use pianola_tests::{data, pianola, root, succeed};
use serde_json::Value;

/// The report's own statistics of its corpus: 295 files, 381,248 notes of first instruments, and the
/// shapes of its three sets.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_reference_corpus_has_the_reports_segments() {
    let corpus = Corpus::read(&data().join("piano-midi"), Tracks::First).unwrap();
    assert_eq!((corpus.songs.len(), corpus.skipped.len()), (295, 0));
    assert_eq!(corpus.songs.iter().map(|song| song.notes.len()).sum::<usize>(), 381_248);
    let split = Split::read(&data().join("reference_split.tsv")).unwrap();
    assert_eq!(split.missing(&corpus).count(), 0);
    let counts = Set::ALL.map(|set| segments(corpus.set(&split, set)).count());
    assert_eq!(counts, [3603, 997, 1214]);
    let both = Corpus::read(&data().join("piano-midi"), Tracks::All).unwrap();
    assert_eq!(both.songs.iter().map(|song| song.notes.len()).sum::<usize>(), 710_084);
    assert!(both.songs.iter().flat_map(|song| &song.notes).all(|note| note.pitch < BOS));
}

#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn every_file_of_a_corpus_is_read() {
    for (folder, files) in [("piano-midi", 295), ("lieder-cc0", 1431), ("chopin-ccby", 509)] {
        let corpus = Corpus::read(&data().join(folder), Tracks::All).unwrap();
        assert!(corpus.skipped.is_empty(), "{:?}", corpus.skipped);
        assert_eq!(corpus.songs.len(), files, "{folder}");
    }
}

fn evaluated(model: &str) -> Value {
    evaluated_with(model, &[])
}

fn evaluated_with(model: &str, more: &[&str]) -> Value {
    let mut command = pianola();
    command.args(["evaluate", "--json", "--corpus"]).arg(data().join("piano-midi")).args(more);
    command.arg("--model").arg(root().join("models").join(model));
    let printed = succeed(command.arg("--split").arg(data().join("reference_split.tsv")));
    serde_json::from_str(&printed).unwrap()
}

/// The bundled models have the exact printed figures of their model cards and of
/// `docs/results.md`, on any machine, since they compute the same bits.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_expressive_models_reach_their_figures() {
    let measured = |report: &Value, pointer, figure: f64| {
        let measured = report.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!((measured - figure).abs() <= 5.1e-5, "{pointer}: {measured}, not {figure}");
    };
    let report = evaluated("expressive-int8.safetensors");
    assert_eq!(report["notes"].as_u64(), Some(147_995));
    for (figure, pointer) in [
        (5.2324, "/nats_per_note/model/total"),
        (0.5047, "/nats_per_note/model/step"),
        (2.0481, "/nats_per_note/model/pitch"),
        (1.1580, "/nats_per_note/model/duration"),
        (1.5216, "/nats_per_note/model/velocity"),
        (8.3293, "/nats_per_note/back_off_ngram/total"),
        (0.0087, "/samples/jsd/corrected/pitch"),
        (0.0005, "/samples/jsd/corrected/step"),
        (0.0043, "/samples/jsd/corrected/duration"),
        (0.0312, "/samples/jsd/fine/step"),
        (0.0465, "/samples/jsd/fine/duration"),
        (0.9452, "/samples/mean_ratio"),
        (1.9169, "/right_hand_pitch/both_hands"),
        (1.9452, "/right_hand_pitch/right_hand"),
    ] {
        measured(&report, pointer, figure);
    }
    for (model, total) in
        [("expressive-int4.safetensors", 5.2279), ("small-int4.safetensors", 5.2751)]
    {
        measured(&evaluated(model), "/nats_per_note/model/total", total);
    }
}

/// In bins of 10 ms a hundred pieces are, on average, at most 1.5 times as far from the test songs as the training
/// songs are; and in the report's bins each hundred is near.
#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn batches_of_pieces_are_near_the_test_songs_on_average() {
    let report = evaluated_with("expressive-int8.safetensors", &["--pieces", "1000"]);
    let number = |of: &Value, pointer| of.pointer(pointer).and_then(Value::as_f64).unwrap();
    let hundreds = report["samples"]["jsd_of_hundreds"].as_array().unwrap();
    assert_eq!(hundreds.len(), 10);
    // The first pieces are those sampled by default.
    assert!((number(&hundreds[0], "/fine/step") - 0.0312).abs() <= 5.1e-5);
    for (pointer, figure) in [("/fine/step", 0.0267), ("/fine/duration", 0.0367)] {
        let sum: f64 = hundreds.iter().map(|each| number(each, pointer)).sum();
        let mean = sum / hundreds.len() as f64;
        assert!((mean - figure).abs() <= 5.1e-5, "{pointer}: {mean}, not {figure}");
        let training = number(&report["jsd_of_training_songs"], pointer);
        assert!(mean <= 1.5 * training, "{pointer}: {mean}, and the training songs {training}");
    }
    for (pointer, most) in [
        ("/corrected/pitch", 0.03),
        ("/corrected/step", 0.005),
        ("/corrected/duration", 0.005),
        ("/published/duration", 0.005),
    ] {
        let farthest = hundreds.iter().map(|each| number(each, pointer)).fold(0.0, f64::max);
        assert!(farthest <= most, "{pointer}: {farthest}");
    }
}

#[test]
#[ignore = "needs the corpora (PIANOLA_DATA)"]
fn the_reports_model_reaches_its_figures() {
    let report = evaluated("report-int8.safetensors");
    assert_eq!(report["segments"].as_u64(), Some(1214));
    for (kind, part, figure) in [
        ("loss", "total", 2.2234),
        ("loss", "pitch", 2.0776),
        ("loss", "step", 0.0784),
        ("loss", "duration", 0.0674),
        ("jsd", "pitch", 0.0281),
        ("jsd", "step", 0.0042),
        ("jsd", "duration", 0.0091),
    ] {
        let measured = match kind {
            "jsd" => &report["jsd"]["published"][part],
            _ => &report["loss"][part],
        };
        let measured = measured.as_f64().unwrap();
        assert!((measured - figure).abs() < 1e-4, "{kind} of {part}: {measured}, not {figure}");
    }
}
