//! `tools completions`: what completes the command line in a shell.

use clap::Args;
use clap_complete::{Shell, generate};

#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(tools completions bash)
  tools completions fish > ~/.config/fish/completions/tools.fish")]
pub struct Options {
    /// Shell to complete in.
    #[arg(value_enum)]
    shell: Shell,
}

/// The script for a shell to read, of a whole command line.
pub fn run(options: &Options, command: &mut clap::Command) -> anyhow::Result<String> {
    let name = command.get_name().to_string();
    let mut script = Vec::new();
    generate(options.shell, command, name, &mut script);
    Ok(String::from_utf8(script)?)
}
