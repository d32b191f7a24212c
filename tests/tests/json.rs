//! `--json` through the real binary: docs/json.md is the source of the keys and their types, and what the commands
//! print is compared with it both ways. Also `inspect` on files that try to control a terminal.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pianola_tests::{pianola, root, succeed};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// Documented keys of an object, by their paths: the types that each value may have.
type Table = BTreeMap<String, BTreeSet<String>>;

/// The tables of docs/json.md by their headings, without backticks.
fn documented() -> BTreeMap<String, Table> {
    let text = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']).replace('`', "");
        }
        let Some(row) = line.strip_prefix("| `") else { continue };
        let [keys, types] = row.splitn(3, " | ").take(2).collect::<Vec<_>>().try_into().unwrap();
        let types: BTreeSet<String> = types.split(" or ").map(str::to_string).collect();
        let table = tables.entry(heading.clone()).or_default();
        let mut last = String::new();
        for key in keys.trim_end_matches('`').split("`, `") {
            last = match key.strip_prefix('.') {
                Some(beside) => format!("{}.{beside}", last.rsplit_once('.').unwrap().0),
                None => key.to_string(),
            };
            assert!(table.insert(last.clone(), types.clone()).is_none(), "{heading}: {last} twice");
        }
    }
    tables
}

/// What a report has, compared with the tables.
struct Comparison<'d> {
    tables: &'d BTreeMap<String, Table>,
    /// Headings and paths of keys that were printed with a value other than null.
    seen: BTreeSet<(String, String)>,
}

impl Comparison<'_> {
    /// Compares a value at a path of the object that a heading documents. Every value must be of a documented type.
    fn compare(&mut self, heading: &str, path: &str, value: &Value) {
        let table = self.tables.get(heading).unwrap_or_else(|| panic!("no table {heading}"));
        let free = || format!("{}.*", path.rsplit_once('.').unwrap_or_default().0);
        let listed = table.get_key_value(path).or_else(|| table.get_key_value(&free()));
        let may_be = |kind: &str| listed.is_some_and(|(_, types)| types.contains(kind));
        let kind = match value {
            Value::Null => "null",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            Value::Array(_) | Value::Object(_) => "object",
        };
        // [name](#anchor): the table with that heading.
        let linked = listed.and_then(|(_, types)| types.iter().find(|kind| kind.starts_with('[')));
        match value {
            _ if value.is_object() && linked.is_some() => {
                let name = linked.unwrap().trim_start_matches('[').split(']').next().unwrap();
                self.compare(name, "", value);
            }
            Value::Object(object) => {
                for (key, value) in object {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.compare(heading, &path, value);
                }
            }
            Value::Array(values) => {
                values.iter().for_each(|value| self.compare(heading, &format!("{path}[]"), value));
            }
            _ => assert!(may_be(kind), "{heading}: {path} is a {kind}: {value}"),
        }
        if let (false, Some((key, _))) = (value.is_null(), listed) {
            self.seen.insert((heading.to_string(), key.clone()));
        }
    }
}

/// A folder with what the commands below read: songs with two instruments, enough for the classifier; pieces for two batches.
fn workplace() -> TempDir {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (notes, count, out) in [("300", "30", "songs"), ("300", "200", "pieces")] {
        let seed = if out == "songs" { "1" } else { "1001" };
        json_of(
            folder.path(),
            &["generate", "--notes", notes, "--count", count, "--seed", seed, "--out", out],
        );
    }
    for example in ["two-voices.mid", "from-scratch.mid"] {
        fs::copy(root().join("docs/examples").join(example), at("songs").join(example)).unwrap();
    }
    fs::copy(root().join("tests/golden/report-small.safetensors"), at("floats.safetensors"))
        .unwrap();
    folder
}

/// What a command prints with `--json`, parsed, in a folder; with the small bundled model if it takes one.
fn json_of(folder: &Path, arguments: &[&str]) -> Value {
    let mut command = pianola();
    command.args(arguments).arg("--json").current_dir(folder);
    if ["generate", "bench", "evaluate"].contains(&arguments[0]) && !arguments.contains(&"--model")
    {
        command.arg("--model").arg(root().join("models/small-int4.safetensors"));
    }
    serde_json::from_str(&succeed(&mut command)).unwrap()
}

#[test]
fn commands_print_the_documented_keys_and_no_others() {
    let folder = workplace();
    let report = root().join("models/report-int4.safetensors");
    let small = root().join("models/small-int4.safetensors");
    let [report, small] = [report.to_str().unwrap(), small.to_str().unwrap()];
    // With each heading, commands that together print every key with a value.
    let commands: &[(&str, &[&str])] = &[
        (
            "generate",
            &["generate", "--notes", "20", "--seed", "1", "--out", "a.mid", "--wav", "a.wav"],
        ),
        ("inspect of a model", &["inspect", small]),
        ("inspect of a model", &["inspect", "floats.safetensors"]),
        ("inspect of a piece", &["inspect", "a.mid"]),
        ("bench", &["bench", "--notes", "20"]),
        ("compare", &["compare", "pieces", "--corpus", "songs"]),
        ("compare --listener", &["compare", "pieces", "--corpus", "songs", "--listener"]),
        (
            "evaluate of an expressive model",
            &["evaluate", "--corpus", "songs", "--pieces", "4", "--notes", "100"],
        ),
        ("evaluate of a report's model", &["evaluate", "--model", report, "--corpus", "songs"]),
        ("originality", &["originality", "songs", "--corpus", "songs", "--reference"]),
    ];
    let tables = documented();
    let mut comparison = Comparison { tables: &tables, seen: BTreeSet::new() };
    for (heading, arguments) in commands {
        comparison.compare(heading, "", &json_of(folder.path(), arguments));
    }
    // The trainer's own tests run its commands.
    let trained = |heading: &String| heading.starts_with("trainer ");
    for (heading, table) in tables.iter().filter(|(heading, _)| !trained(heading)) {
        for path in table.keys() {
            let printed = comparison.seen.contains(&(heading.clone(), path.clone()));
            assert!(printed, "{heading}: no command printed {path}");
        }
    }
    // Each command that takes --json is among them.
    let help = succeed(pianola().arg("--help"));
    let list = help.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let takes_json =
            name != "help" && succeed(pianola().args([name, "--help"])).contains("--json");
        let runs = commands.iter().any(|(_, arguments)| arguments[0] == name);
        assert_eq!(takes_json, runs, "{name}");
    }
}

/// Documented keys are identifiers in snake case.
#[test]
fn keys_are_identifiers() {
    for (heading, table) in documented() {
        for path in table.keys() {
            let identifier = |key: &str| {
                let key = key.trim_end_matches("[]");
                key == "*"
                    || key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            assert!(path.split('.').all(identifier), "{heading}: {path}");
        }
    }
}

/// Values of `inspect` are those of the file.
#[test]
fn inspect_prints_a_models_size_and_checksum() {
    let model = root().join("models/small-int4.safetensors");
    let report = json_of(&root(), &["inspect", model.to_str().unwrap()]);
    assert_eq!(report["bytes"], json!(fs::metadata(&model).unwrap().len()));
    assert_eq!(report["checksum"].as_str().unwrap().len(), 8);
    assert_eq!(report["refused"], Value::Null);
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
    let printed = succeed(pianola().arg("inspect").arg(&path));
    let controls = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!printed.contains(controls), "{printed:?}");
    assert!(printed.contains("\\u001b[2J\\u202ered\\nplays here: yes"), "{printed}");
    assert_eq!(printed.lines().count(), 4, "{printed}");
}
