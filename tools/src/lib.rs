//! The program `pianola`: composes, plays, draws and renders music, packs and measures models, and puts them
//! on boards.
#![forbid(unsafe_code)]

mod commands;
#[doc(hidden)]
pub mod fuzzing;
mod live;
mod options;
mod picture;
mod program;
mod progress;
mod sound;
mod uf2;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use pianola_host::text::{causes, escape_lines};

use crate::commands::{
    bench, compare, completions, evaluate, export, filter, flash, generate, inspect, man,
    originality, play, plot, render,
};
use crate::options::output;
use crate::program::say;

/// A self-playing piano in a few megabytes.
// Values of options have plain comments, not doc comments: with descriptions of values, the command `help` gives each
// option a paragraph.
#[derive(Parser)]
#[command(name = "pianola", version, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compose piano music into .mid files.
    Generate(generate::Options),
    /// Play live on a MIDI port, alone or in a duet.
    Play(play::Options),
    /// Draw a .mid file as a piano roll (.png or .svg).
    Plot(plot::Options),
    /// Render a .mid file to audio (.wav or .ogg).
    Render(render::Options),
    /// Convert trained weights into a model file.
    Export(export::Options),
    /// Evaluate on held-out songs: negative log-likelihood per note, and statistics of samples.
    Evaluate(evaluate::Options),
    /// Report how much of each piece is copied from a corpus.
    Originality(originality::Options),
    /// Build an originality filter from a corpus.
    Filter(filter::Options),
    /// Compare the statistics of pieces with those of a corpus.
    Compare(compare::Options),
    /// Measure time per note against the memory-bandwidth bound.
    Bench(bench::Options),
    /// Print what a model file or a .mid file contains.
    Inspect(inspect::Options),
    /// Write firmware and a model to a board or to a UF2 file.
    Flash(flash::Options),
    /// Generate shell completions.
    Completions(completions::Options),
    /// Write manual pages.
    Man(man::Options),
}

/// Runs the command that this program was started with.
pub fn main() -> ExitCode {
    let matches = match command_line().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage_error(&error),
    };
    let printed = Cli::from_arg_matches(&matches).map_err(anyhow::Error::from).and_then(|cli| {
        let report = run(cli.command, &matches)?;
        print(&report)
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", causes(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, matches: &ArgMatches) -> anyhow::Result<String> {
    if !matches!(command, Command::Play(_)) {
        // `play` handles signals itself.
        output::clean_up_at_signals().context("cannot handle signals")?;
    }
    match command {
        Command::Generate(options) => {
            let given = matches.subcommand().map(|(_, given)| given);
            generate::run(&options, given.unwrap_or(matches))
        }
        Command::Play(options) => play::run(&options),
        Command::Plot(options) => plot::run(&options),
        Command::Render(options) => render::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Originality(options) => originality::run(&options),
        Command::Filter(options) => filter::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Flash(options) => flash::run(&options),
        Command::Completions(options) => completions::run(&options, &mut Cli::command()),
        Command::Man(options) => man::run(&options, Cli::command()),
    }
}

/// The command line, with the name this program was started as in usage lines and examples.
fn command_line() -> clap::Command {
    let prefix = format!("{} ", program::command());
    Cli::command().bin_name(program::command()).mut_subcommands(|command| {
        let help = command.get_after_help().map(ToString::to_string);
        match help {
            Some(help) => command.after_help(help.replace("pianola ", &prefix)),
            None => command,
        }
    })
}

/// Prints a report to standard output, or to standard error where standard output takes a file. Names in it
/// cannot control the terminal.
fn print(report: &str) -> anyhow::Result<()> {
    if output::takes_standard_output() {
        if !report.is_empty() {
            say(report);
        }
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(escape_lines(report).as_bytes()).and_then(|()| stdout.flush()) {
        // The reader closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Prints help if requested, or otherwise a one-line error for the command line.
fn usage_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(error.exit_code() as u8);
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let mut said = String::new();
    for line in
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
    {
        let separator = if line.starts_with("tip:") { "; " } else { " " };
        if !said.is_empty() && !line.is_empty() {
            said += separator;
        }
        said += line;
    }
    say(&format!("{said}; --help lists the options"));
    ExitCode::from(error.exit_code() as u8)
}
