//! The command line of `tools` as shells see it: what completes it, the commands that its help and the
//! README give, and what starts it at boot.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pianola_tests::soundfont::soundfont;
use pianola_tests::{root, run, succeed, tools};
use tempfile::tempdir;

/// The script for a shell, in a file.
fn completions(shell: &str, folder: &Path) -> PathBuf {
    let path = folder.join(format!("tools.{shell}"));
    fs::write(&path, succeed(tools().args(["completions", shell]))).unwrap();
    path
}

/// What a shell prints that runs a script with the path of the completions as `$1`.
fn shell(name: &str, script: &str, completions: &Path) -> String {
    succeed(Command::new(name).args(["-c", script, name]).arg(completions))
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = tempdir().unwrap();
    let path = completions("bash", folder.path());
    succeed(Command::new("bash").arg("-n").arg(&path));
    // As bash does at a tab: the function that is registered for `tools` gets the last two words.
    let complete = |words: &str| {
        let script = format!(
            r#"source "$1"
            words=({words}); COMP_WORDS=("${{words[@]}}"); COMP_CWORD=$((${{#words[@]}} - 1))
            [[ $(complete -p tools) =~ -F\ ([^ ]+) ]] || exit 1
            "${{BASH_REMATCH[1]}}" tools "${{words[-1]}}" "${{words[-2]}}"
            echo "${{COMPREPLY[@]}}""#
        );
        shell("bash", &script, &path).trim().to_string()
    };
    assert_eq!(complete("tools gen"), "generate");
    assert_eq!(complete("tools render --sou"), "--soundfont");
    assert_eq!(complete("tools export run --quantize int"), "int8 int4");
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeed(tools().args(["completions", shell]));
        assert!(script.contains("generate") && script.contains("soundfont"), "{shell}: {script}");
    }
}

#[test]
#[ignore = "needs zsh and fish"]
fn zsh_and_fish_complete_commands() {
    let folder = tempdir().unwrap();
    let fish = completions("fish", folder.path());
    let complete = "source $argv[2]; complete -C 'tools gen'; complete -C 'tools render --sou'";
    let completed = shell("fish", complete, &fish);
    let words: Vec<_> = completed.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(words, ["generate", "--soundfont"]);

    let zsh = completions("zsh", folder.path());
    // A terminal in which a tab is pressed.
    let complete = "zmodload zsh/zpty
        zpty -b z zsh -f
        zpty -w z 'PROMPT=; autoload -Uz compinit && compinit -u -D; source '$1'; echo re''ady'
        zpty -r z line '*ready*'
        zpty -w -n z $'tools gene\\t'
        zpty -r z line '*tools generate*' && print -r -- $line
        zpty -d z";
    // A terminal in which nothing completes would be waited for in vain.
    let mut zsh_for_a_minute = Command::new("timeout");
    zsh_for_a_minute.args(["60", "zsh", "-c", complete, "zsh"]).arg(&zsh);
    let completed = succeed(&mut zsh_for_a_minute);
    assert!(completed.contains("tools generate"), "{completed}");
}

/// The commands that `tools` has, as its help lists them.
fn commands() -> Vec<String> {
    let help = succeed(tools().arg("--help"));
    let list = help.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|&name| name != "help").map(str::to_string).collect()
}

/// A folder that holds every file that the examples name.
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
    succeed(tools().arg("export").arg(&weights).arg("--out").arg(at("mine.safetensors")));
    fs::write(at("piano.sf2"), soundfont()).unwrap();
    folder
}

/// Types a line into bash, in a folder that is also the user's own. One that takes an instrument or a
/// board is only asked for its help, which the line must be right for.
fn type_in(line: &str, folder: &Path) {
    let hardware = line.starts_with("tools play") || line.starts_with("tools flash");
    let line = if hardware { format!("{line} --help") } else { line.to_string() };
    let program = PathBuf::from(tools().get_program());
    let mut path = OsString::from(program.parent().unwrap());
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", &line]).current_dir(folder).env("PATH", path).env("HOME", folder);
    succeed(&mut bash);
}

#[test]
fn the_examples_of_the_help_run() {
    let folder = workplace();
    for command in commands() {
        let help = succeed(tools().arg(&command).arg("--help"));
        let examples = help.split_once("Examples:\n").map_or("", |(_, examples)| examples);
        let examples: Vec<_> = examples.lines().map(str::trim).collect();
        assert!((2..=3).contains(&examples.len()), "{command}: {examples:?}");
        assert!(examples.iter().any(|line| line.contains(&format!("tools {command}"))));
        examples.iter().for_each(|line| type_in(line, folder.path()));
    }
}

#[test]
fn the_commands_of_the_readme_run() {
    let folder = workplace();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().filter_map(|line| line.strip_prefix("cargo run --release -- "));
    let lines: Vec<_> = lines.map(|line| format!("tools {line}")).collect();
    assert!(lines.len() > 10, "{lines:?}");
    lines.iter().for_each(|line| type_in(line, folder.path()));
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_unit_for_systemd_is_valid() {
    let folder = tempdir().unwrap();
    let unit = fs::read_to_string(root().join("docs/pianola.service")).unwrap();
    let (installed, here) = ("/usr/local/bin/tools", tools().get_program().to_owned());
    assert!(unit.contains(&format!("ExecStart={installed} play ")));
    // A program that is not there would be an error.
    let path = folder.path().join("pianola.service");
    fs::write(&path, unit.replace(installed, here.to_str().unwrap())).unwrap();
    let output = run(Command::new("systemd-analyze").arg("verify").arg(&path));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
