//! `pianola man`: manual pages.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Arg, Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use pianola_host::files::write_whole;

use crate::options::output;
use crate::program;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola man --out man1
  pianola man --out ~/.local/share/man/man1")]
pub struct Options {
    /// Folder for the pages, one for each command; created if needed.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the page of a program and those of its subcommands.
pub fn run(options: &Options, program: Command) -> anyhow::Result<String> {
    let out = options.out.display();
    ensure!(!options.out.exists() || options.out.is_dir(), "{out} is not a folder");
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {out}"))?;
    let mut program = program.name(program::name()).disable_help_subcommand(true);
    program.build();
    let pages: Vec<Command> =
        [program.clone()].into_iter().chain(program.get_subcommands().cloned()).collect();
    let (count, mut replaced) = (pages.len(), 0);
    for command in pages {
        let title = command.get_display_name().unwrap_or(command.get_name()).to_string();
        let path = options.out.join(format!("{title}.1"));
        let text = page(command)?;
        replaced += usize::from(output::verb(&path) == "replaced");
        write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let replaced = if replaced > 0 { format!(" ({replaced} replaced)") } else { String::new() };
    Ok(format!("wrote {count} pages to {out}{replaced}\n"))
}

/// The page of a command, in roff.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (remarks, examples) = help.split_once("Examples:\n").unwrap_or((&help, ""));
    let subcommands = command.has_subcommands();
    let usage = synopsis(&command);
    let page = Man::new(command.version(version).override_usage(usage))
        .source(format!("{} {version}", program::NAME));
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    let mut roff = Roff::new();
    if !remarks.is_empty() {
        roff.control("PP", []).text([roman(remarks.trim())]);
    }
    roff.to_writer(&mut text)?;
    page.render_options_section(&mut text)?;
    if subcommands {
        page.render_subcommands_section(&mut text)?;
    }
    if !examples.is_empty() {
        let mut roff = Roff::new();
        // Lines as they are.
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        examples.lines().for_each(|line| {
            roff.text([roman(line.trim())]);
        });
        roff.control("fi", []).to_writer(&mut text)?;
    }
    Ok(text)
}

/// Usage of a command with each option and its values, which `clap_mangen` leaves out of the synopsis.
fn synopsis(command: &Command) -> String {
    let shown = |argument: &&Arg| !argument.is_hide_set() && argument.get_id() != "help";
    let (positionals, options): (Vec<_>, Vec<_>) =
        command.get_arguments().filter(shown).partition(|argument| argument.is_positional());
    let mut words = vec![command.get_bin_name().unwrap_or(command.get_name()).to_string()];
    for argument in options.into_iter().chain(positionals) {
        let typed = argument.to_string();
        words.push(if argument.is_required_set() { typed } else { format!("[{typed}]") });
    }
    if command.has_subcommands() {
        words.push("<COMMAND>".into());
    }
    words.join(" ")
}
