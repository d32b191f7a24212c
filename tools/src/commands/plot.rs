//! `pianola plot`: draws a piece as a piano roll.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use pianola_host::midi_file::Score;

use crate::options::output::{self, ensure_apart, ensure_writable, write_picture};
use crate::options::songs::read_midi;
use crate::options::time;
use crate::picture::roll::{self, Coloring, View};

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola plot piece.mid
  pianola plot piece.mid --from 10 --to 30 --color tracks --out part.svg")]
pub struct Options {
    /// .mid file to draw.
    #[arg(value_name = "FILE.mid")]
    file: PathBuf,
    /// Picture to write, - for standard output [default: FILE.png beside the piece].
    #[arg(long, value_name = "FILE.png|FILE.svg", value_parser = output::path())]
    out: Option<PathBuf>,
    /// Colour notes by velocity, from pale (soft) to dark (loud), or by track.
    #[arg(long, value_enum, default_value_t = Color::Velocity)]
    color: Color,
    /// Start, in seconds [default: the first note].
    #[arg(long, value_name = "S", value_parser = time::seconds)]
    from: Option<f64>,
    /// End, in seconds [default: the end of the last note].
    #[arg(long, value_name = "S", value_parser = time::seconds)]
    to: Option<f64>,
    /// Width in pixels.
    #[arg(long, default_value_t = 1600, value_name = "PIXELS",
          value_parser = clap::value_parser!(u32).range(300..=MAX_PIXELS))]
    width: u32,
    /// Height in pixels [default: from the length of the piece].
    #[arg(long, value_name = "PIXELS",
          value_parser = clap::value_parser!(u32).range(200..=MAX_PIXELS))]
    height: Option<u32>,
}

/// Maximum width and height of a picture.
const MAX_PIXELS: i64 = 10_000;

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    // Pale is soft, dark is loud.
    Velocity,
    // One colour for each instrument; in piano files, for each hand.
    Tracks,
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    let name = || options.file.display().to_string();
    let out = options.out.clone().unwrap_or_else(|| options.file.with_extension("png"));
    ensure_writable(&out, &["png", "svg"])?;
    let score = read_midi(&options.file)?.score().with_context(name)?;
    ensure_apart(&out, &options.file)?;

    let (first, last) = extent(&score);
    let from = options.from.unwrap_or(first);
    // With --from after the last note, the order of the two is not the error.
    let to = options.to.unwrap_or(if from < last { last } else { from + 1.0 });
    ensure!(from >= 0.0 && from < to && to.is_finite(), "--from must be before --to");
    ensure!(
        from < last && to > first,
        "no notes between --from and --to: {} has notes from {first:.1} to {last:.1} s",
        name()
    );
    let title = options.file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let coloring = match options.color {
        Color::Velocity => Coloring::Velocity,
        Color::Tracks => Coloring::Instrument,
    };
    let (width, height) = (options.width, options.height);
    let view = View { score: &score, title: &title, coloring, from, to, width, height };
    let picture = roll::draw(&view)?;
    let verb = write_picture(&out, &picture, &title)?;
    Ok(format!("{verb} {}\n", output::name(&out)))
}

/// Seconds of the first onset and of the last release; never equal.
fn extent(score: &Score) -> (f64, f64) {
    let notes = || score.instruments.iter().flat_map(|instrument| &instrument.notes);
    let first = notes().map(|note| note.start).fold(f64::INFINITY, f64::min);
    let last = notes().map(|note| note.end).fold(0.0, f64::max);
    (first, last.max(first + 0.1))
}
