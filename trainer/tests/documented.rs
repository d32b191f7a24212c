//! The commands of `trainer` in the README and in its own help, through the real program.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pianola_host::export::weights::FloatWeights;
use pianola_host::midi_file::write;
use pianola_runtime::Note;
use serde_json::Value;
use tempfile::TempDir;

/// How the README starts the trainer.
const THROUGH_CARGO: &str = "cargo run --release -p pianola-trainer -- ";

/// Appended to each `fit`, so that it takes seconds: everything else is as documented.
const SHORT: &str = "--epochs 1 --threads 2";

/// A folder with a corpus of ten short songs in each place that the examples name.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for place in ["songs", "path/to/midi"] {
        let corpus = folder.path().join(place);
        fs::create_dir_all(&corpus).unwrap();
        for song in 0..10u8 {
            fs::write(corpus.join(format!("{song}.mid")), arpeggios(song)).unwrap();
        }
    }
    folder
}

fn arpeggios(song: u8) -> Vec<u8> {
    let note = |i: usize| Note {
        pitch: 48 + song + [0, 4, 7, 12][i % 4],
        velocity: 80,
        step: 0.25,
        duration: 0.2,
    };
    write(&(0..40).map(note).collect::<Vec<_>>())
}

/// The commands of a documentation's lines that start `trainer`, as typed with the installed program.
fn commands(text: &str) -> Vec<String> {
    let lines = text.replace("\\\n", " ");
    let typed =
        |line: &str| Some(line[line.find(THROUGH_CARGO)?..].replace(THROUGH_CARGO, "trainer "));
    let inline =
        |line: String| line.split(['`', '#']).next().unwrap_or_default().trim().to_string();
    lines.lines().filter_map(typed).map(inline).collect()
}

/// Runs a line in bash, where `trainer` is the program under test, and returns what it printed.
fn succeed(line: &str, folder: &Path) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_trainer"));
    let mut path = OsString::from(program.parent().unwrap());
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", line]).current_dir(folder).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a documented command and checks what it prints and writes.
fn type_in(line: &str, folder: &Path) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["trainer", "fit", ..] => {
            let printed = succeed(&format!("{line} {SHORT}"), folder);
            check_run(&words, &printed, folder);
        }
        ["trainer", "evaluate", ..] => check_evaluation(&words, &succeed(line, folder)),
        _ => panic!("{line}: nothing is known of what it writes"),
    }
}

/// Value of an option on a command line.
fn option<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    words.iter().skip_while(|word| **word != name).nth(1).copied()
}

/// The run's folder must hold weights of the preset's shape, and a log and curves of the epoch.
fn check_run(words: &[&str], printed: &str, folder: &Path) {
    let out = option(words, "--out").unwrap();
    let run = folder.join(out);
    assert!(printed.contains(&format!("export {out} --quantize int8")), "{printed}");
    assert!(printed.contains("6 training and 2 validation songs"), "{printed}");
    let weights = FloatWeights::read(&fs::read(run.join("weights.safetensors")).unwrap()).unwrap();
    let hidden = if option(words, "--preset") == Some("small") { 256 } else { 512 };
    assert_eq!((weights.shape.layers, weights.shape.hidden), (3, hidden), "{words:?}");
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let losses: Vec<f64> = entries
        .filter(|entry| entry["event"] == "epoch")
        .map(|entry| entry["validation"]["total"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 1, "{words:?}: {log}");
    let lowest = losses[0];
    assert!(printed.contains(&format!("lowest validation loss {lowest:.4}")), "{printed}");
    let recipe = fs::read_to_string(run.join("recipe.json")).unwrap();
    let recipe: Value = serde_json::from_str(&recipe).unwrap();
    let mixed = words.contains(&"--mixed");
    assert!(recipe.to_string().contains(&format!("\"mixed\":{mixed}")), "{recipe}");
    for picture in ["curves.svg", "corpus.svg"] {
        let svg = fs::read_to_string(run.join(picture)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("validation"), "{words:?}: {picture}");
    }
}

/// The printed loss must be the sum of its parts, over the set's two songs.
fn check_evaluation(words: &[&str], printed: &str) {
    if words.contains(&"--json") {
        let report: Value = serde_json::from_str(printed).unwrap();
        let keys =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&report), documented_keys("## `trainer evaluate`"));
        assert_eq!(keys(&report["nats_per_note"]), documented_keys("### loss"));
        assert_eq!(report["songs"], 2);
        let nats = |part: &str| report["nats_per_note"][part].as_f64().unwrap();
        let sum: f64 = ["step", "pitch", "duration", "velocity"].into_iter().map(nats).sum();
        assert!((nats("total") - sum).abs() < 1e-9, "{report}");
        return;
    }
    let (songs, nats) = printed.split_once(" nats per note: ").unwrap();
    let total = songs.strip_prefix("runs/mine/weights.safetensors: 2 songs, ").unwrap();
    let total: f64 = total.parse().unwrap();
    let parts = nats.trim().split(", ").map(|part| part.split_once(' ').unwrap().1);
    let sum: f64 = parts.map(|part| part.parse::<f64>().unwrap()).sum();
    assert!((total - sum).abs() < 3e-4, "{printed}");
}

/// The keys in the table below a heading of docs/json.md.
fn documented_keys(heading: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("docs/json.md")).unwrap();
    let section =
        text.split_once(&format!("\n{heading}\n")).unwrap().1.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_string)).collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every command of the README that starts the trainer: one that this test cannot check fails it.
#[test]
fn the_commands_of_the_readme_run() {
    let folder = workplace();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let commands = commands(&readme);
    // However it is started, the trainer is named once per command.
    let named = readme.matches("pianola-trainer --").count();
    assert!(!commands.is_empty() && commands.len() == named, "{commands:?}, not {named}");
    commands.iter().for_each(|line| type_in(line, folder.path()));
}

/// The examples of the help, those of `fit` first: the others read the runs that it writes.
#[test]
fn the_examples_of_the_help_run() {
    let folder = workplace();
    let list = succeed("trainer --help", folder.path());
    let list = list.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        let help = succeed(&format!("trainer {name} --help"), folder.path());
        // One line for each option.
        assert_eq!(help, succeed(&format!("trainer {name} -h"), folder.path()));
        let examples = help.split_once("Examples:\n").unwrap().1;
        let examples: Vec<_> = examples.lines().map(str::trim).collect();
        assert!((2..=3).contains(&examples.len()), "{name}: {examples:?}");
        for line in examples {
            assert!(line.starts_with(&format!("trainer {name} ")), "{line}");
            type_in(line, folder.path());
        }
    }
}
