//! Chores: `cargo xtask test` checks everything, `cargo xtask libtorch` fetches libtorch.

mod aarch64;
mod board;
mod emulated;
mod firmware;
mod instructions;
mod libtorch;
mod live;
mod no_std;
mod package;
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
    /// Build runtime, its bare-metal example and firmware for boards.
    NoStd,
    /// Package the crates to publish, and run the packages' own tests outside the workspace.
    Package,
    /// Play a script on emulated boards (QEMU): each must compute what this machine does.
    Board,
    /// Play the firmware on emulated boards (QEMU): it must send what this machine does.
    Emulated,
    /// Build the firmware of a board, and print where it lies.
    Firmware {
        /// Board to build it for.
        #[arg(value_enum)]
        board: firmware::Board,
    },
    /// Test the kernels for 64-bit Arm, emulated (QEMU): pieces must be those of this machine.
    Aarch64,
    /// Play live to a JACK server, and measure this machine; installs both if it may.
    Live,
    /// Count instructions per note, on emulated boards and here (Valgrind), and fail if a count
    /// has grown; plays the script on the boards, too.
    Instructions {
        /// Write the counts to `tests/instructions.json` instead, to be committed.
        #[arg(long)]
        bless: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => test::run(),
        // A shell that evaluates what is printed is to fail too.
        Command::Libtorch => libtorch::print_exports().inspect_err(|_| println!("false")),
        Command::NoStd => no_std::build(),
        Command::Package => package::run(),
        Command::Board => board::run().map(drop),
        Command::Emulated => emulated::run(),
        Command::Firmware { board } => firmware::run(board),
        Command::Aarch64 => aarch64::run(),
        Command::Live => live::run(),
        Command::Instructions { bless } => instructions::run(bless),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
