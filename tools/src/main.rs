//! The command `pianola`.

fn main() -> std::process::ExitCode {
    pianola_tools::main()
}
