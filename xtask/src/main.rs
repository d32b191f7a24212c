//! Developer commands: `cargo xtask test` runs all checks, `cargo xtask libtorch` downloads libtorch.

mod aarch64;
mod board;
mod emulated;
mod firmware;
mod fuzz;
mod instructions;
mod libtorch;
mod live;
mod no_std;
mod package;
mod platforms;
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
    /// Run all checks: formatting, lints, docs and every test; downloads what they need.
    Test,
    /// Download libtorch, and print the shell commands that make `cargo` find it.
    Libtorch,
    /// Build the runtime, its bare-metal example and the firmware for boards.
    NoStd,
    /// Fuzz the parsers and the player with libFuzzer and the address sanitizer.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Package the crates to publish, and run the packages' own tests outside the workspace.
    Package,
    /// Compare the model's outputs on emulated boards (QEMU) with this machine's, bit for bit.
    Board,
    /// Compare the firmware's MIDI output on emulated boards (QEMU) with this machine's.
    Emulated,
    /// Build the firmware of a board, and print the path of the ELF file.
    Firmware {
        /// Target board.
        #[arg(value_enum)]
        board: firmware::Board,
    },
    /// Test the kernels on emulated 64-bit Arm (QEMU), and compare a piece with this machine's.
    Aarch64,
    /// Test live performance on a JACK server, and measure latency and jitter on this machine.
    Live,
    /// Check docs, dependencies (cargo-deny), Windows, macOS, and the oldest supported Rust.
    Platforms,
    /// Count instructions per note, on emulated boards and on this machine (Valgrind), and fail if
    /// a count has grown by more than 3 %; includes `board`.
    Instructions {
        /// Write the counts to `tests/instructions.json`, to be committed.
        #[arg(long)]
        bless: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => test::run(),
        // A shell that evaluates the output must fail too.
        Command::Libtorch => libtorch::print_exports().inspect_err(|_| println!("false")),
        Command::NoStd => no_std::build(),
        Command::Fuzz { seconds } => fuzz::run(seconds),
        Command::Package => package::run(),
        Command::Board => board::run().map(drop),
        Command::Emulated => emulated::run(),
        Command::Firmware { board } => firmware::run(board),
        Command::Aarch64 => aarch64::run(),
        Command::Live => live::run(),
        Command::Platforms => platforms::run(),
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
