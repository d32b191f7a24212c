//! The command `pianola`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    pianola_tools::main()
}
