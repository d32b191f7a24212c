//! `pianola render`: renders a piece to a `.wav` or `.ogg` file.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::midi_file::TimedNote;

use crate::options::output::{self, ensure_apart, ensure_writable, verb};
use crate::options::songs::read_midi;
use crate::progress;
use crate::sound::audio::Performance;
use crate::sound::soundfont::{self, LoadedFont};
use crate::sound::{RATE, strings};

#[derive(Args)]
#[command(after_help = "\
Every file has the same loudness, -18 LUFS as EBU R 128 measures it, so pieces of a corpus are equally loud;
a limiter keeps peaks below -1 dBFS. Memory does not grow with the piece, which may last six hours.

Examples:
  pianola render piece.mid
  pianola render piece.mid --soundfont piano.sf2 --out concert.wav")]
pub struct Options {
    /// .mid file to render.
    #[arg(value_name = "FILE.mid")]
    file: PathBuf,
    /// Audio file to write, - for standard output [default: FILE.wav beside the piece].
    #[arg(long, value_name = "FILE.wav|FILE.ogg", value_parser = output::path())]
    out: Option<PathBuf>,
    /// SoundFont [default: an installed one, or else the built-in tone].
    #[arg(long, value_name = "FILE.sf2")]
    soundfont: Option<PathBuf>,
    /// Use the built-in tone.
    #[arg(long, conflicts_with = "soundfont")]
    plain: bool,
}

/// Seconds for the last notes to fade.
const TAIL: f64 = 1.5;

/// Maximum length of a piece, in seconds: a WAV file holds three quarters of an hour more.
pub const MAX_SECONDS: f64 = 6.0 * 3600.0;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let name = || options.file.display().to_string();
    let out = options.out.clone().unwrap_or_else(|| options.file.with_extension("wav"));
    let write = writer(&out)?;
    let score = read_midi(&options.file)?.score().with_context(name)?;
    let soundfont = match (&options.soundfont, options.plain) {
        (Some(path), _) => Some(path.clone()),
        (None, true) => None,
        (None, false) => soundfont::find(),
    };
    for input in soundfont.iter().chain([&options.file]) {
        ensure_apart(&out, input)?;
    }
    let font = open_font(soundfont.as_deref())?;
    let mut performance = render(&strings::sounding(&score), font.as_ref()).with_context(name)?;
    // Each sample is rendered twice.
    let bar = progress::bar("rendering", 2 * performance.samples as u64);
    let shown = bar.clone();
    performance.progress = Box::new(move |samples| shown.inc(samples as u64));
    let verb = verb(&out);
    write(&performance, &out)?;
    bar.finish_and_clear();
    let with = match soundfont {
        Some(path) => path.display().to_string(),
        None => "a plain piano tone; --soundfont FILE.sf2 sounds better".into(),
    };
    Ok(format!("{verb} {}: {:.1} s, with {with}\n", output::name(&out), performance.seconds()))
}

/// Reads a SoundFont, if there is one; large ones take a while.
pub fn open_font(path: Option<&Path>) -> anyhow::Result<Option<LoadedFont>> {
    path.map(|path| progress::during("reading the SoundFont", || LoadedFont::open(path)))
        .transpose()
}

/// The writer for the file's extension.
pub fn writer(out: &Path) -> anyhow::Result<fn(&Performance, &Path) -> anyhow::Result<()>> {
    Ok(match ensure_writable(out, &["wav", "ogg"])?.as_str() {
        #[cfg(feature = "ogg")]
        "ogg" => |performance, out| performance.write_ogg(out),
        #[cfg(not(feature = "ogg"))]
        "ogg" => anyhow::bail!(
            "{}: this build writes no .ogg: build with `--features ogg`, which takes a C compiler, \
             or write a .wav",
            out.display()
        ),
        _ => |performance, out| performance.write_wav(out),
    })
}

/// Refuses pieces that are too long for an audio file.
pub fn ensure_short_enough(seconds: f64) -> anyhow::Result<()> {
    let (hours, most) = (seconds / 3600.0, MAX_SECONDS / 3600.0);
    ensure!(seconds <= MAX_SECONDS, "lasts {hours:.1} hours: a sound file holds at most {most}");
    Ok(())
}

/// Notes, in any order, with what plays them: a SoundFont or a plain piano tone. What is written of
/// it lasts [`TAIL`] longer than the last of them.
pub fn render<'f>(
    notes: &[TimedNote],
    soundfont: Option<&'f LoadedFont>,
) -> anyhow::Result<Performance<'f>> {
    let strings = strings::one_string_each(notes.to_vec());
    let end = strings.0.iter().map(|note| note.end).fold(0.0, f64::max);
    ensure_short_enough(end)?;
    let samples = ((end + TAIL) * f64::from(RATE)).round() as usize;
    Ok(Performance { strings, soundfont, samples, progress: Box::new(|_| ()) })
}
