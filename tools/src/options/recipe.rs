//! The options that determine the notes of a piece, as a command line that composes it again.

use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use crate::program;

/// Options that select the output and one of several pieces, but do not affect its notes.
const OUTPUT: [&str; 5] = ["out", "wav", "count", "json", "seed"];

/// Options that name input files. The folders are omitted: they are private, and the same file
/// in another place composes the same piece.
const FILES: [&str; 3] = ["model", "filter", "prime"];

/// The command `generate` with the given options, in the order of its help, and a seed.
pub fn recipe<T: Args>(given: &ArgMatches, seed: u64) -> String {
    let known = T::augment_args(Command::new("generate"));
    let mut words = vec![program::NAME.to_string(), "generate".into()];
    for argument in known.get_arguments() {
        let id = argument.get_id().as_str();
        let typed = given.value_source(id) == Some(ValueSource::CommandLine);
        if typed && !OUTPUT.contains(&id) {
            words.extend(option(argument, given));
        }
    }
    words.extend(["--seed".into(), seed.to_string()]);
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    // Only a NUL cannot be quoted, and no argument has one.
    quoted.unwrap_or_default()
}

fn option(argument: &Arg, given: &ArgMatches) -> Vec<String> {
    let id = argument.get_id().as_str();
    let name = format!("--{}", argument.get_long().unwrap_or(id));
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return vec![name];
    }
    let values = given.get_raw(id).into_iter().flatten();
    let values: Vec<String> = values
        .map(|value| {
            let file = Path::new(value).file_name().filter(|_| FILES.contains(&id));
            file.unwrap_or(value).to_string_lossy().into_owned()
        })
        .collect();
    match &values[..] {
        // A value that starts with a dash would be parsed as another option.
        [value] if value.starts_with('-') => vec![format!("{name}={value}")],
        _ => [name].into_iter().chain(values).collect(),
    }
}
