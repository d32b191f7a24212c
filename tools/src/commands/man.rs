//! `pianola man`: manual pages.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use clap_mangen::Man;
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
pub fn run(options: &Options, program: clap::Command) -> anyhow::Result<String> {
    let out = options.out.display();
    ensure!(!options.out.exists() || options.out.is_dir(), "{out} is not a folder");
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {out}"))?;
    let mut program = program.name(program::name()).disable_help_subcommand(true);
    program.build();
    let pages: Vec<clap::Command> =
        [program.clone()].into_iter().chain(program.get_subcommands().cloned()).collect();
    let (count, mut replaced) = (pages.len(), 0);
    for page in pages {
        let title = page.get_display_name().unwrap_or(page.get_name()).to_string();
        let mut text = Vec::new();
        let version = env!("CARGO_PKG_VERSION");
        let source = format!("{} {version}", program::NAME);
        Man::new(page.version(version)).source(source).render(&mut text)?;
        let path = options.out.join(format!("{title}.1"));
        replaced += usize::from(output::verb(&path) == "replaced");
        write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let replaced = if replaced > 0 { format!(" ({replaced} replaced)") } else { String::new() };
    Ok(format!("wrote {count} pages to {out}{replaced}\n"))
}
