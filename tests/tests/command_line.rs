//! The command line of `pianola` in shells: completions, the example commands in its help and the
//! README, and the unit that starts it at boot.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pianola_host::midi_file::{Tracks, read};
use pianola_runtime::Model;
use pianola_runtime::guard::Filter;
use pianola_tests::elf::{FLASH, elf};
use pianola_tests::soundfont::soundfont;
use pianola_tests::{pianola, refuse, root, run, succeed};
use tempfile::tempdir;

/// The script for a shell, in a file.
fn completions(shell: &str, folder: &Path) -> PathBuf {
    let path = folder.join(format!("pianola.{shell}"));
    fs::write(&path, succeed(pianola().args(["completions", shell]))).unwrap();
    path
}

/// Output of a shell that runs a script with the path of the completions as `$1`.
fn shell(name: &str, script: &str, completions: &Path) -> String {
    succeed(Command::new(name).args(["-c", script, name]).arg(completions))
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = tempdir().unwrap();
    let path = completions("bash", folder.path());
    succeed(Command::new("bash").arg("-n").arg(&path));
    // As bash does at a tab: the function registered for `pianola` gets the last two words.
    let complete = |words: &str| {
        let script = format!(
            r#"source "$1"
            words=({words}); COMP_WORDS=("${{words[@]}}"); COMP_CWORD=$((${{#words[@]}} - 1))
            [[ $(complete -p pianola) =~ -F\ ([^ ]+) ]] || exit 1
            "${{BASH_REMATCH[1]}}" pianola "${{words[-1]}}" "${{words[-2]}}"
            echo "${{COMPREPLY[@]}}""#
        );
        shell("bash", &script, &path).trim().to_string()
    };
    assert_eq!(complete("pianola gen"), "generate");
    assert_eq!(complete("pianola render --sou"), "--soundfont");
    assert_eq!(complete("pianola export run --quantize int"), "int8 int4");
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeed(pianola().args(["completions", shell]));
        assert!(script.contains("generate") && script.contains("soundfont"), "{shell}: {script}");
    }
}

#[test]
#[ignore = "needs zsh and fish"]
fn zsh_and_fish_complete_commands() {
    let folder = tempdir().unwrap();
    let fish = completions("fish", folder.path());
    let complete = "source $argv[2]; complete -C 'pianola gen'; complete -C 'pianola render --sou'";
    let completed = shell("fish", complete, &fish);
    let words: Vec<_> = completed.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(words, ["generate", "--soundfont"]);

    let zsh = completions("zsh", folder.path());
    // A terminal in which tab is pressed.
    let complete = "zmodload zsh/zpty
        zpty -b z zsh -f
        zpty -w z 'PROMPT=; autoload -Uz compinit && compinit -u -D; source '$1'; echo re''ady'
        zpty -r z line '*ready*'
        zpty -w -n z $'pianola gene\\t'
        zpty -r z line '*pianola generate*' && print -r -- $line
        zpty -d z";
    // Without a completion, the terminal would be waited for in vain.
    let mut zsh_for_a_minute = Command::new("timeout");
    zsh_for_a_minute.args(["60", "zsh", "-c", complete, "zsh"]).arg(&zsh);
    let completed = succeed(&mut zsh_for_a_minute);
    assert!(completed.contains("pianola generate"), "{completed}");
}

/// The commands of `pianola`, as its help lists them.
fn commands() -> Vec<String> {
    let help = succeed(pianola().arg("--help"));
    let list = help.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|&name| name != "help").map(str::to_string).collect()
}

/// A folder with every file that the examples name.
fn workplace() -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["songs", "path/to/midi", "pieces", "runs/mine", ".config/fish/completions"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let examples = root().join("docs/examples");
    for name in fs::read_dir(&examples).unwrap().map(|entry| entry.unwrap().file_name()) {
        if Path::new(&name).extension().is_some_and(|extension| extension == "mid") {
            for folder in ["songs", "path/to/midi"] {
                fs::copy(examples.join(&name), at(folder).join(&name)).unwrap();
            }
        }
    }
    for name in ["piece.mid", "pieces/piece.mid"] {
        fs::copy(examples.join("two-voices.mid"), at(name)).unwrap();
    }
    let weights = root().join("tests/golden/expressive-small.safetensors");
    fs::copy(&weights, at("runs/mine/weights.safetensors")).unwrap();
    succeed(pianola().arg("export").arg(&weights).arg("--out").arg(at("mine.safetensors")));
    fs::write(at("piano.sf2"), soundfont()).unwrap();
    fs::write(at("firmware.elf"), elf(&[(FLASH, b"start")])).unwrap();
    folder
}

/// Runs a line in bash, in a folder that is also the user's home, and checks the result. Instruments and
/// boards are replaced by a pseudo-terminal, and the board's drive by a file.
fn type_in(line: &str, folder: &Path) {
    let line = line.split(" #").next().unwrap().trim();
    if line.contains("pianola play") && !line.ends_with("--list") {
        return play(line, folder);
    }
    let line = match line.contains("pianola flash") {
        true if line.contains("--out") => format!("{line} --firmware firmware.elf"),
        true => format!("{line} --firmware firmware.elf --out flash.uf2"),
        false => line.replace("models/small", &format!("{}/models/small", root().display())),
    };
    let line = line.replace(" models/", &format!(" {}/models/", root().display()));
    let printed = succeed(&mut bash(&line, folder));
    check(&line, &printed, folder);
}

fn bash(line: &str, folder: &Path) -> Command {
    let program = PathBuf::from(pianola().get_program());
    let mut path = OsString::from(program.parent().unwrap());
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).current_dir(folder).env("PATH", path).env("HOME", folder);
    bash
}

/// Plays on a pseudo-terminal, which must receive the notes that the program reports.
#[cfg(target_os = "linux")]
fn play(line: &str, folder: &Path) {
    let instrument = pianola_tests::instrument::Instrument::plug_in();
    let port = instrument.path.to_str().unwrap();
    let line = match line {
        line if line.contains("--port Piano") => {
            line.replace("--port Piano", &format!("--port {port}"))
        }
        line if line.contains("/dev/ttyAMA0") => line.replace("/dev/ttyAMA0", port),
        line => format!("{line} --port {port}"),
    };
    let printed = succeed(&mut bash(&format!("{line} --no-view --notes 4 --seed 1"), folder));
    assert!(printed.starts_with("played 4 notes"), "{line}: {printed}");
    assert_eq!(instrument.wait_for(4).len(), 4, "{line}");
}

#[cfg(not(target_os = "linux"))]
fn play(line: &str, folder: &Path) {
    succeed(&mut bash(&format!("{line} --help"), folder));
}

/// Value of an option on a command line.
fn option<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    words.nth(1)
}

/// Checks a command's output and files.
fn check(line: &str, printed: &str, folder: &Path) {
    let bytes = |name: &str| fs::read(folder.join(name)).unwrap();
    let command = line.split("pianola ").nth(1).unwrap().split([' ', ')']).next().unwrap();
    // The file in the report: `wrote FILE: ...`.
    let named = printed.split_whitespace().nth(1).unwrap_or_default().trim_end_matches(':');
    let says = |part: &str| assert!(printed.contains(part), "{line}: {part} in {printed}");
    match command {
        "generate" => check_pieces(line, printed, folder),
        "plot" => check_picture(&bytes(named)),
        "render" => {
            let seconds = check_wav(&bytes(named));
            says(&format!("{seconds:.1} s, with"));
        }
        "export" => {
            let file = bytes(option(line, "--out").unwrap_or("runs/mine/model-int8.safetensors"));
            let model = Model::from_bytes(&file).unwrap();
            says(&format!("checksum {:08x}", model.checksum()));
            let precision = option(line, "--quantize").unwrap_or("int8");
            assert_eq!(model.precision().name(), precision, "{line}");
        }
        "evaluate" | "compare" => {
            says(match command {
                "evaluate" => "nats per note",
                _ if line.contains("--listener") => "AUC",
                _ => "mean ratio",
            });
            if let Some(picture) = option(line, "--picture") {
                check_picture(&bytes(picture));
            }
        }
        "originality" => says("12 notes"),
        "filter" => {
            let file = bytes(option(line, "--out").unwrap());
            let filter = Filter::from_bytes(&file).unwrap();
            says(&format!("{} passages of {} notes", filter.windows(), filter.notes()));
        }
        "bench" => says("median"),
        "inspect" if line.contains(".mid") => says("notes"),
        "inspect" => says("plays here: yes"),
        "flash" => {
            let uf2 = bytes(option(line, "--out").unwrap());
            assert!(uf2.starts_with(b"UF2\n") && uf2.len().is_multiple_of(512), "{line}");
            says("program 5 bytes");
        }
        "completions" if line.contains('>') => {
            let script = bytes(line.split("> ~/").nth(1).unwrap());
            assert!(String::from_utf8(script).unwrap().contains("complete -c pianola"), "{line}");
        }
        "completions" if line.starts_with("source") => {
            assert!(printed.is_empty(), "{line}: {printed}")
        }
        "completions" => says("complete -F _pianola"),
        "man" => {
            let page = format!("{}/pianola-generate.1", option(line, "--out").unwrap());
            let page = String::from_utf8(bytes(&page.replace("~/", ""))).unwrap();
            assert!(page.contains(".TH pianola-generate 1") && page.contains("EXAMPLES"), "{page}");
            let synopsis = page.split_once("SYNOPSIS\n").unwrap().1.lines().next().unwrap();
            assert!(synopsis.contains(r"[\-\-seed <N>] [\-\-model <FILE>]"), "{synopsis}");
        }
        "play" => assert!(!printed.is_empty(), "{line}"),
        other => panic!("{other}: nothing is known of what it writes"),
    }
}

/// Checks that the pieces exist, with the reported number of notes, and audio where requested.
fn check_pieces(line: &str, printed: &str, folder: &Path) {
    let notes = |path: PathBuf| read(&fs::read(path).unwrap(), Tracks::All).unwrap().len();
    let words: Vec<&str> = printed.split_whitespace().collect();
    if let Some(count) = option(line, "--count") {
        assert_eq!(words[1..3], [count, "pieces"], "{line}: {printed}");
        let pieces = folder.join(option(line, "--out").unwrap());
        for seed in 1..=count.parse().unwrap() {
            assert_eq!(notes(pieces.join(format!("piece-{seed}.mid"))), 500, "{line}");
        }
        return;
    }
    let file = words[1].trim_end_matches(':');
    let counted = notes(folder.join(file));
    assert_eq!(words[2], counted.to_string(), "{line}: {printed}");
    match (option(line, "--notes"), option(line, "--out")) {
        (Some(notes), _) => assert_eq!(notes, words[2], "{line}"),
        (None, out) => assert_eq!(out.unwrap_or(file), file, "{line}"),
    }
    if let Some(wav) = option(line, "--wav") {
        assert!(check_wav(&fs::read(folder.join(wav)).unwrap()) > 5.0, "{line}");
    }
}

/// Length in seconds of an audio file, which must not be silent.
fn check_wav(bytes: &[u8]) -> f64 {
    let mut wav = hound::WavReader::new(bytes).unwrap();
    let seconds = f64::from(wav.duration()) / f64::from(wav.spec().sample_rate);
    assert!(wav.samples::<i16>().any(|sample| sample.unwrap().abs() > 1000));
    seconds
}

/// Checks for a PNG of the usual width, or a non-empty SVG.
fn check_picture(bytes: &[u8]) {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        let width = u32::from_be_bytes(bytes[16..20].try_into().unwrap());
        let height = u32::from_be_bytes(bytes[20..24].try_into().unwrap());
        assert!(width == 1600 && height > 100, "{width} x {height}");
    } else {
        let svg = std::str::from_utf8(bytes).unwrap();
        assert!(svg.contains("<svg") && svg.trim_end().ends_with("</svg>") && svg.len() > 1000);
    }
}

#[test]
fn the_examples_of_the_help_run() {
    let folder = workplace();
    for command in commands() {
        // As installed: found through `PATH`.
        let help = succeed(&mut bash(&format!("pianola {command} --help"), folder.path()));
        let examples = help.split_once("Examples:\n").map_or("", |(_, examples)| examples);
        let examples: Vec<_> = examples.lines().map(str::trim).collect();
        assert!((2..=3).contains(&examples.len()), "{command}: {examples:?}");
        assert!(examples.iter().any(|line| line.contains(&format!("pianola {command}"))));
        examples.iter().for_each(|line| type_in(line, folder.path()));
    }
}

/// One line for each option, in groups, with `-h` and with `--help`.
#[test]
fn help_is_compact() {
    for command in commands() {
        let help = |flag: &str| succeed(pianola().args([&command, flag]));
        let text = help("--help");
        assert_eq!(text, help("-h"), "{command}");
        assert_eq!(text, succeed(pianola().args(["help", &command])), "{command}");
        assert!(!text.contains("Possible values:"), "{text}");
        let options = text.lines().filter(|line| line.trim_start().starts_with('-'));
        options
            .for_each(|line| assert!(line.trim().contains("  "), "{command}: no help on {line}"));
    }
    let help = succeed(pianola().args(["play", "--help"]));
    let headings = help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' '));
    assert_eq!(
        headings.collect::<Vec<_>>(),
        [
            "Options:",
            "Ports:",
            "Duet:",
            "Output:",
            "Music:",
            "Reproducibility:",
            "Sampling:",
            "Examples:"
        ]
    );
}

/// Commands that start `pianola` through cargo run here, those that start `trainer` in the trainer's tests.
#[test]
fn the_commands_of_the_readme_run() {
    const PIANOLA: &str = "cargo run --release -- ";
    let folder = workplace();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut ran = 0;
    for line in commands_of(&readme) {
        if let Some(arguments) = line.strip_prefix(PIANOLA) {
            type_in(&format!("pianola {arguments}"), folder.path());
            ran += 1;
        } else if line.starts_with("cargo run") {
            // The tests of the feature `ogg` write such files.
            let elsewhere = [
                "cargo run --release -p pianola-trainer -- ",
                "cargo run --release --features ogg -- render ",
            ];
            assert!(elsewhere.iter().any(|start| line.starts_with(start)), "no test runs {line}");
        } else if let Some(task) = line.strip_prefix("cargo xtask ") {
            let task = task.split(' ').next().unwrap();
            let tasks = fs::read_to_string(root().join("xtask/src/main.rs")).unwrap();
            assert!(tasks.contains(&format!("Command::{}", capitalized(task))), "no task {task}");
        } else if line.starts_with("pianola ") {
            type_in(&line, folder.path());
            ran += 1;
        } else {
            let known = [
                "cargo xtask",
                "cargo test",
                "cargo bench -p pianola-tests --bench parts",
                "cargo install --locked --path tools",
                "cargo doc --open -p pianola-runtime",
                r#"eval "$(cargo xtask libtorch)""#,
            ];
            assert!(known.contains(&line.as_str()), "no test runs {line}");
        }
    }
    assert!(ran > 20, "{ran}");
}

/// The commands in a document: lines of its shell blocks, and inline code that starts a program.
fn commands_of(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (at, block) in text.split("```").enumerate() {
        if let Some(lines) = block.strip_prefix("sh\n") {
            let lines = lines.lines().map(|line| line.split(" #").next().unwrap().trim());
            commands.extend(lines.filter(|line| !line.is_empty()).map(str::to_string));
        } else if at % 2 == 0 {
            let inline = block.split('`').skip(1).step_by(2);
            let inline = inline.map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
            let starts =
                |code: &String| ["cargo ", "pianola "].iter().any(|start| code.starts_with(start));
            commands.extend(inline.filter(starts));
        }
    }
    commands
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Help and hints use the name that the program was started as.
#[test]
fn hints_can_be_typed() {
    let folder = tempdir().unwrap();
    let piece = ["generate", "--notes", "5", "--seed", "1", "--out", "a b.mid"];
    let line = "pianola generate --notes 5 --seed 1 --out 'a b.mid'";
    let printed = succeed(&mut bash(line, folder.path()));
    assert!(printed.contains("`pianola render 'a b.mid'`"), "{printed}");
    assert!(printed.starts_with("wrote a b.mid: 5 notes, "), "{printed}");
    let mut through_cargo = pianola();
    through_cargo.args(piece).current_dir(folder.path());
    through_cargo.env("CARGO_MANIFEST_DIR", root().join("tools"));
    let printed = succeed(&mut through_cargo);
    assert!(printed.contains("`cargo run --release -- render 'a b.mid'`"), "{printed}");
    assert!(printed.starts_with("replaced a b.mid: 5 notes, "), "{printed}");
    let mut through_cargo = pianola();
    through_cargo.args(["plot", "--help"]).env("CARGO_MANIFEST_DIR", root().join("tools"));
    let help = succeed(&mut through_cargo);
    assert!(help.contains("  cargo run --release -- plot piece.mid\n"), "{help}");
    assert!(help.contains("Usage: cargo run --release -- plot"), "{help}");
    fs::write(folder.path().join("text"), "a long text that is no model at all").unwrap();
    let said = refuse(&mut bash("pianola generate --model text", folder.path()));
    assert!(said.contains("`pianola export` makes one"), "{said}");
}

/// The former name of an option is accepted; the command in the piece has today's.
#[test]
fn the_former_name_of_the_repetition_guard_is_accepted() {
    let folder = tempdir().unwrap();
    let line =
        "pianola generate --notes 5 --seed 1 --no-loop-guard --out a.mid; pianola inspect a.mid";
    let printed = succeed(&mut bash(line, folder.path()));
    assert!(printed.contains("generate --notes 5 --no-repetition-guard --seed 1"), "{printed}");
    let help = succeed(pianola().args(["generate", "--help"]));
    assert!(help.contains("--no-repetition-guard") && !help.contains("loop-guard"), "{help}");
}

/// Errors in options are reported in one line, with a suggestion where there is one.
#[test]
fn option_errors_take_one_line() {
    for (line, part) in [
        ("pianola generate --sed 3", "'--seed'"),
        ("pianola generate --notes many", "'many'"),
        ("pianola generate --hands left", "both, right"),
        ("pianola render", "<FILE.mid>"),
        ("pianola genrate", "'generate'"),
        ("pianola generate --only-new", "--prime"),
    ] {
        let said = refuse(&mut bash(line, Path::new("/")));
        assert!(said.contains(part) && said.contains("--help"), "{line}: {said}");
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_unit_for_systemd_is_valid() {
    let folder = tempdir().unwrap();
    let unit = fs::read_to_string(root().join("docs/pianola.service")).unwrap();
    let (installed, here) = ("/usr/local/bin/pianola", pianola().get_program().to_owned());
    assert!(unit.contains(&format!("ExecStart={installed} play ")));
    // A missing program would be an error.
    let path = folder.path().join("pianola.service");
    fs::write(&path, unit.replace(installed, here.to_str().unwrap())).unwrap();
    let output = run(Command::new("systemd-analyze").arg("verify").arg(&path));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
