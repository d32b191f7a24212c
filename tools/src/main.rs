//! Pianola's tools: make music, show it, play it, pack models, measure them, put them on boards.
#![forbid(unsafe_code)]

mod commands;
mod live;
mod options;
mod picture;
mod sound;
mod uf2;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    bench, compare, completions, evaluate, export, filter, flash, generate, inspect, originality,
    play, plot, render,
};

/// A self-playing piano in a few megabytes.
#[derive(Parser)]
#[command(name = "tools", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compose new music into .mid files.
    Generate(generate::Options),
    /// Make music up live, on an instrument; alone or in turns with whoever plays along.
    Play(play::Options),
    /// Draw a piece as a piano roll, into a .png or .svg file.
    Plot(plot::Options),
    /// Play a piece into a .wav or .ogg file.
    Render(render::Options),
    /// Pack a trained run into a model file.
    Export(export::Options),
    /// Measure a model on a corpus: how well it foretells songs, and how its own pieces compare.
    Evaluate(evaluate::Options),
    /// Find passages of pieces in a corpus: how much of them stands there.
    Originality(originality::Options),
    /// Write down the passages of a corpus that a generator shall not repeat.
    Filter(filter::Options),
    /// Compare pieces with a corpus: musical measures, and how much their distributions overlap.
    Compare(compare::Options),
    /// Measure how long a note takes on this machine, beside reading its weights.
    Bench(bench::Options),
    /// Print what a model file holds.
    Inspect(inspect::Options),
    /// Put firmware and a model on a board, or into a UF2 file for it.
    Flash(flash::Options),
    /// Print what completes these commands in a shell.
    Completions(completions::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Generate(options) => generate::run(&options),
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
    };
    let printed = result.and_then(|report| match io::stdout().write_all(report.as_bytes()) {
        // Whoever reads this has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads any more, there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
