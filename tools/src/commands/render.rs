//! `pianola render`: a piece as it sounds, into a `.wav` or `.ogg` file.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::midi_file::{TimedNote, read_score};

use crate::options::output::{self, ensure_apart, ensure_writable, verb};
use crate::sound::audio::{Audio, RATE};
use crate::sound::{soundfont, strings, tone};

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola render piece.mid
  pianola render piece.mid --soundfont piano.sf2 --out concert.wav")]
pub struct Options {
    /// .mid file to render.
    #[arg(value_name = "FILE.mid")]
    file: PathBuf,
    /// Audio file to write, - for standard output [default: FILE.wav beside the piece].
    #[arg(long, value_name = "FILE.wav|FILE.ogg", value_parser = output::path)]
    out: Option<PathBuf>,
    /// SoundFont [default: an installed one, or else the built-in tone].
    #[arg(long, value_name = "FILE.sf2")]
    soundfont: Option<PathBuf>,
    /// Use the built-in tone.
    #[arg(long, conflicts_with = "soundfont")]
    plain: bool,
}

/// Seconds in which the last notes fade.
const TAIL: f64 = 1.5;

/// Longest piece: its samples take more than a gigabyte.
const MAX_SECONDS: f64 = 3600.0;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let name = || options.file.display().to_string();
    let out = options.out.clone().unwrap_or_else(|| options.file.with_extension("wav"));
    let write = writer(&out)?;
    let bytes = std::fs::read(&options.file).with_context(|| format!("cannot read {}", name()))?;
    let score = read_score(&bytes).with_context(name)?;
    let soundfont = match (&options.soundfont, options.plain) {
        (Some(path), _) => Some(path.clone()),
        (None, true) => None,
        (None, false) => soundfont::find(),
    };
    for input in soundfont.iter().chain([&options.file]) {
        ensure_apart(&out, input)?;
    }
    let audio = render(&strings::sounding(&score), soundfont.as_deref()).with_context(name)?;
    let verb = verb(&out);
    write(&audio, &out)?;
    let with = match soundfont {
        Some(path) => path.display().to_string(),
        None => "a plain piano tone; --soundfont FILE.sf2 sounds better".into(),
    };
    Ok(format!("{verb} {}: {:.1} s, with {with}\n", output::name(&out), audio.seconds()))
}

/// What writes a file of the kind that its name says.
pub fn writer(out: &Path) -> anyhow::Result<fn(&Audio, &Path) -> anyhow::Result<()>> {
    Ok(match ensure_writable(out, &["wav", "ogg"])?.as_str() {
        #[cfg(feature = "ogg")]
        "ogg" => Audio::write_ogg,
        #[cfg(not(feature = "ogg"))]
        "ogg" => anyhow::bail!(
            "{}: this build writes no .ogg: build with `--features ogg`, which takes a C compiler, \
             or write a .wav",
            out.display()
        ),
        _ => Audio::write_wav,
    })
}

/// Plays notes, in any order, with a SoundFont or with a plain piano tone; what it returns lasts
/// [`TAIL`] longer than the last of them.
pub fn render(notes: &[TimedNote], soundfont: Option<&Path>) -> anyhow::Result<Audio> {
    let notes = strings::one_string_each(notes.to_vec());
    let end = notes.iter().map(|note| note.end).fold(0.0, f64::max);
    ensure!(end <= MAX_SECONDS, "lasts {:.1} hours: at most one can be rendered", end / 3600.0);
    let samples = ((end + TAIL) * f64::from(RATE)).round() as usize;
    let mut audio = match soundfont {
        Some(path) => soundfont::play(&notes, path, samples)?,
        None => tone::play(&notes, samples),
    };
    audio.fade_out(RATE as usize / 4);
    Ok(audio)
}
