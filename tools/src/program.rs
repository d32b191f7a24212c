//! The name that this program was started as, and its messages on standard error.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Component, Path};
use std::sync::LazyLock;

use pianola_host::text::escape_lines;

/// The name of the installed program.
pub const NAME: &str = "pianola";

/// The command that runs this program again, as it was started: `cargo run --release --` through cargo,
/// `pianola` or `tools` when it is installed, its path otherwise.
pub fn command() -> &'static str {
    static COMMAND: LazyLock<String> = LazyLock::new(|| {
        // `cargo run` names the package that it runs.
        let package = env::var_os("CARGO_MANIFEST_DIR");
        let through_cargo = package.is_some_and(|package| package == env!("CARGO_MANIFEST_DIR"));
        let started = env::args_os().next().unwrap_or_default();
        typed(Path::new(&started), through_cargo)
    });
    &COMMAND
}

/// The name of the program alone, for completions and manual pages.
pub fn name() -> &'static str {
    static STEM: LazyLock<String> = LazyLock::new(|| {
        let started = env::args_os().next().unwrap_or_default();
        stem(Path::new(&started))
    });
    &STEM
}

fn typed(started: &Path, through_cargo: bool) -> String {
    let has_folder = started.components().any(|part| !matches!(part, Component::Normal(_)))
        || started.components().count() > 1;
    match (through_cargo, has_folder) {
        (true, _) => "cargo run --release --".into(),
        (false, true) => {
            let path = started.display().to_string();
            shlex::try_quote(&path).map_or_else(|_| NAME.into(), |quoted| quoted.into_owned())
        }
        (false, false) => stem(started),
    }
}

fn stem(started: &Path) -> String {
    let stem = started.file_stem().and_then(OsStr::to_str);
    stem.filter(|stem| !stem.is_empty()).unwrap_or(NAME).into()
}

/// Prints lines, if there are any, to standard error; names in them cannot control the terminal. An unwritable
/// standard error is no reason to stop.
pub fn say(lines: &str) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(io::stderr(), "{}", escape_lines(lines.trim_end_matches('\n')));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_named_as_it_was_started() {
        assert_eq!(typed(Path::new("pianola"), false), "pianola");
        assert_eq!(typed(Path::new("tools"), false), "tools");
        assert_eq!(typed(Path::new("target/release/pianola"), true), "cargo run --release --");
        assert_eq!(typed(Path::new("./pianola"), false), "./pianola");
        assert_eq!(typed(Path::new("/my box/pianola"), false), "'/my box/pianola'");
        assert_eq!(typed(Path::new(""), false), "pianola");
        assert_eq!(stem(Path::new("/usr/bin/pianola.exe")), "pianola");
    }
}
