//! `--json` through the real binary: the keys that docs/json.md names; and `inspect` on
//! files that try to control a terminal.
#![allow(clippy::unwrap_used)]

use std::fs;

use pianola_tests::{root, succeed, tools};
use serde_json::{Value, json};
use tempfile::tempdir;

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Every key below a value is an identifier in snake case; keys of metadata come from the file.
fn assert_identifiers(value: &Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                assert!(key.chars().all(letter), "{key}");
                if key != "metadata" {
                    assert_identifiers(value);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(assert_identifiers),
        _ => {}
    }
}

#[test]
fn inspect_and_bench_print_the_documented_keys() {
    let model = root().join("models/small-int4.safetensors");
    let printed = succeed(tools().arg("inspect").arg(&model).arg("--json"));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_identifiers(&report);
    assert_eq!(keys(&report), ["bytes", "checksum", "file", "metadata", "refused", "tensors"]);
    assert_eq!(report["bytes"], json!(fs::metadata(&model).unwrap().len()));
    assert_eq!(report["checksum"].as_str().unwrap().len(), 8);
    assert_eq!(report["refused"], Value::Null);
    assert_eq!(keys(&report["tensors"][0]), ["bytes", "dtype", "name", "shape"]);

    let printed =
        succeed(tools().args(["bench", "--notes", "20", "--json", "--model"]).arg(&model));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_identifiers(&report);
    assert!(report["microseconds"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(
        keys(&report),
        [
            "bandwidth",
            "isa",
            "microseconds",
            "model",
            "notes",
            "notes_per_second",
            "paired_turns",
            "precision",
            "threads",
            "turns",
            "weight_bytes"
        ]
    );
}

#[test]
fn inspect_escapes_what_would_control_a_terminal() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("escape.safetensors");
    let header = json!({
        "__metadata__": {"title\u{1b}]0;x\u{7}": "\u{1b}[2J\u{202e}red\nplays here: yes"},
        "weight\u{1b}[1m": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    })
    .to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0]].concat();
    fs::write(&path, bytes).unwrap();
    let printed = succeed(tools().arg("inspect").arg(&path));
    let controls = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!printed.contains(controls), "{printed:?}");
    assert!(printed.contains("\\u{1b}[2J\\u{202e}red\\nplays here: yes"), "{printed}");
    assert_eq!(printed.lines().count(), 4, "{printed}");
}
