//! Chores: `cargo xtask test` checks everything, `cargo xtask libtorch` fetches libtorch.

mod libtorch;
mod no_std;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check formatting, lints and docs, and run every test; fetches what that takes.
    Test,
    /// Fetch libtorch, and print the two lines that make `cargo` find it.
    Libtorch,
    /// Build runtime and firmware for a Cortex-M4F.
    NoStd,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => test::run(),
        Command::Libtorch => libtorch::print_exports(),
        Command::NoStd => no_std::build(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
