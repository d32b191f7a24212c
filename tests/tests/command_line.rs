//! The command line of `tools` as shells see it: what completes it.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pianola_tests::{succeed, tools};
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
