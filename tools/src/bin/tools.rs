//! The command `tools`: `pianola` under its second name.

fn main() -> std::process::ExitCode {
    pianola_tools::main()
}
