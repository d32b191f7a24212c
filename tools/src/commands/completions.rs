//! `pianola completions`: completion scripts for shells.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::program;

#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(pianola completions bash)
  pianola completions fish > ~/.config/fish/completions/pianola.fish")]
pub struct Options {
    /// Shell to generate the script for.
    #[arg(value_enum)]
    shell: Shell,
}

/// The script for a shell, for the name that this program was started under.
pub fn run(options: &Options, command: &mut clap::Command) -> anyhow::Result<String> {
    let mut script = Vec::new();
    generate(options.shell, command, program::name(), &mut script);
    Ok(String::from_utf8(script)?)
}
