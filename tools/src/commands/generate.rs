//! `pianola generate`: composes music into `.mid` files.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, ensure};
use clap::{ArgMatches, Args};
use indicatif::ProgressBar;
use pianola_host::files::write_whole;
use pianola_host::midi_file;
use pianola_host::score_writer::{self, ComposedPiece, PROVENANCE};
use pianola_host::text::{count, escape};
use pianola_runtime::vocabulary::Hands;
use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Note, Pair, Sampling, SamplingParams};
use rayon::prelude::*;
use serde::Serialize;

use crate::commands::render;
use crate::options::json;
use crate::options::output::{self, ensure_writable, verb};
use crate::options::primer::length;
use crate::options::recipe::recipe;
use crate::options::source::{Opened, Source};
use crate::options::time::clock;
use crate::program::{self, say};
use crate::progress;
use crate::sound::soundfont::{self, LoadedFont};

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola generate
  pianola generate --seconds 1:00 --scale dm --out piece.mid --wav piece.wav
  pianola generate --prime piece.mid --only-new --original 12 --out more.mid")]
pub struct Options {
    /// File to write, - for standard output; with --count, a folder [default: piece-SEED.mid].
    #[arg(long, value_name = "FILE.mid|DIR", value_parser = output::path(), help_heading = "Output")]
    out: Option<PathBuf>,
    /// Also render to an audio file; with --count, to a folder.
    #[arg(long, value_name = "FILE.wav|FILE.ogg|DIR", value_parser = output::path(),
          help_heading = "Output")]
    wav: Option<PathBuf>,
    /// Number of pieces, with the seeds SEED, SEED + 1 and so on.
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Output",
          value_parser = clap::value_parser!(u64).range(1..=MAX_PIECES))]
    count: u64,
    /// Leave the notes of --prime out of the output.
    #[arg(long, requires = "prime", help_heading = "Output")]
    only_new: bool,
    /// Transpose the finished piece by N semitones; notes off the piano move by octaves.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Output",
          allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-48..=48))]
    transpose: i8,
    /// Notes to compose, besides those of --prime [default: 500, or as many as --seconds takes].
    #[arg(long, value_name = "N", help_heading = "Music",
          value_parser = clap::value_parser!(u64).range(1..=MAX_NOTES))]
    notes: Option<u64>,
    /// Print JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// Maximum notes in a piece: a day of music.
const MAX_NOTES: u64 = 1_000_000;

/// Maximum number of pieces.
const MAX_PIECES: u64 = 100_000;

/// Maximum pieces in a batch: their states still fit a core's own cache beside the weights.
const BATCH: usize = 16;

/// Maximum notes per second of music when only --seconds is given: no pianist is as fast.
const NOTES_PER_SECOND: f64 = 100.0;

/// Notes per second of a typical piece.
const TYPICAL_PACE: f32 = 9.0;

/// Composes pieces; `given` are the options as clap read them.
pub fn run(options: &Options, given: &ArgMatches) -> anyhow::Result<String> {
    options.source.open(|source| {
        let seconds = options.source.seconds();
        let notes = match (options.notes, seconds) {
            (Some(notes), _) => notes,
            (None, Some(seconds)) => ((seconds * NOTES_PER_SECOND).ceil() as u64).min(MAX_NOTES),
            (None, None) => 500,
        };
        let seed = options.source.seed();
        let font = options.wav.as_ref().and_then(|_| soundfont::find());
        let job = Job {
            options,
            source,
            sampling: options.source.controls.sampling()?,
            notes,
            seconds: seconds.unwrap_or(f64::INFINITY),
            seeds: (0..options.count).map(|piece| seed.wrapping_add(piece)).collect(),
            font: render::open_font(font.as_deref())?,
            recipe: &|seed| recipe::<Options>(given, seed),
        };
        job.prepare_outputs()?;
        options.source.say_seed(seed);
        job.warn_if_greedy();
        job.run()
    })
}

/// A job: all pieces to compose.
struct Job<'a> {
    options: &'a Options,
    source: &'a Opened<'a>,
    sampling: Sampling,
    /// Maximum notes of a piece, besides its primer.
    notes: u64,
    /// Seconds after the primer in which notes may start.
    seconds: f64,
    seeds: Vec<u64>,
    /// What --wav plays the pieces with; the built-in tone if there is none.
    font: Option<LoadedFont>,
    /// The command that composes the piece of a seed again.
    recipe: &'a (dyn Fn(u64) -> String + Sync),
}

/// The report of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    /// CRC-32 of the model, in hexadecimal.
    checksum: String,
    pieces: &'a [Written],
}

/// A written piece.
#[derive(Serialize)]
struct Written {
    seed: u64,
    path: PathBuf,
    audio: Option<PathBuf>,
    notes: usize,
    seconds: f64,
    #[serde(skip)]
    verb: &'static str,
    #[serde(skip)]
    audio_verb: Option<&'static str>,
}

impl Written {
    /// Number of files that were there before.
    fn replaced(&self) -> usize {
        [Some(self.verb), self.audio_verb]
            .into_iter()
            .filter(|verb| *verb == Some("replaced"))
            .count()
    }
}

impl Job<'_> {
    /// Path of a piece.
    fn path(&self, seed: u64) -> PathBuf {
        let name = format!("piece-{seed}.mid");
        match &self.options.out {
            Some(out) if self.options.count == 1 && !out.is_dir() => out.clone(),
            Some(out) => out.join(name),
            None => PathBuf::from(name),
        }
    }

    /// Path of a piece's audio file, if one is requested.
    fn wav(&self, seed: u64) -> Option<PathBuf> {
        let wav = self.options.wav.as_ref()?;
        let one = self.options.count == 1 && !wav.is_dir();
        Some(if one { wav.clone() } else { wav.join(format!("piece-{seed}.wav")) })
    }

    /// Refuses outputs that cannot be written, and creates their folders.
    fn prepare_outputs(&self) -> anyhow::Result<()> {
        let options = self.options;
        if options.count > 1 {
            for (option, out) in [("--out", &options.out), ("--wav", &options.wav)] {
                let Some(out) = out else { continue };
                let folder = out.is_dir() || !out.exists() && !is_named_as_a_file(out);
                ensure!(folder, "{}: with --count, {option} must name a folder", output::name(out));
            }
        }
        if options.wav.is_some() {
            let pace = self.sampling.density.unwrap_or(TYPICAL_PACE);
            let composed = self.seconds.min(self.notes as f64 / f64::from(pace));
            let primer = if options.only_new { 0.0 } else { length(&self.source.primer) };
            render::ensure_short_enough(primer + composed)
                .context("--wav: the piece would be too long, so nothing is composed")?;
        }
        for folder in [&options.out, &options.wav].into_iter().flatten() {
            if options.count > 1 {
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
            }
        }
        for &seed in &self.seeds {
            let out = self.path(seed);
            let ending = ensure_writable(&out, &[])?;
            ensure!(
                matches!(ending.as_str(), "" | "mid" | "midi"),
                "cannot write {}: its name must end in .mid; --wav writes audio",
                out.display()
            );
            let wav = self.wav(seed);
            if options.json {
                [Some(&out), wav.as_ref()]
                    .into_iter()
                    .flatten()
                    .try_for_each(|path| json::ensure_text(path))?;
            }
            if let Some(wav) = &wav {
                render::writer(wav)?;
                ensure!(*wav != out, "--wav and --out name the same file");
            }
            [Some(out), wav]
                .iter()
                .flatten()
                .try_for_each(|output| options.source.ensure_apart(output))?;
        }
        Ok(())
    }

    fn warn_if_greedy(&self) {
        let Sampling { pitch, time, velocity, .. } = self.sampling;
        let drawn = [pitch, time, velocity];
        let drawn = if self.source.model.is_expressive() { &drawn[..] } else { &drawn[..1] };
        if self.options.count > 1 && drawn.iter().all(SamplingParams::is_greedy) {
            say("note: with greedy sampling, every seed gives the same piece");
        }
    }

    fn run(&self) -> anyhow::Result<String> {
        let progress = Progress::new(self.seeds.len(), self.options.wav.is_some());
        // Each core composes several pieces together, so that they share each weight it fetches.
        let batch = self.seeds.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
        let written: Vec<Written> = self
            .seeds
            .par_chunks(batch)
            .map(|seeds| {
                let pieces = self.compose(seeds, &progress)?;
                let pieces = seeds.iter().zip(pieces);
                pieces.map(|(&seed, piece)| self.write(seed, piece, &progress)).collect()
            })
            .collect::<anyhow::Result<Vec<Vec<Written>>>>()?
            .into_iter()
            .flatten()
            .collect();
        progress.0.finish_and_clear();
        if self.options.json {
            let checksum = format!("{:08x}", self.source.model.checksum());
            let model = self.source.file.name();
            return json::print(&Report { model, checksum, pieces: &written });
        }
        Ok(self.report(&written))
    }

    /// Composes the pieces of the given seeds.
    fn compose(&self, seeds: &[u64], progress: &Progress) -> anyhow::Result<Vec<Vec<Note>>> {
        let primer = &self.source.primer;
        let mut generators = seeds
            .iter()
            .map(|&seed| {
                let mut generator = self.source.generator(seed)?;
                primer.iter().for_each(|note| generator.observe(note));
                Ok(generator)
            })
            .collect::<anyhow::Result<Vec<Generator<MAX_LAYERS, MAX_HIDDEN>>>>()?;
        let count = generators.len();
        let opening = if self.options.only_new { Vec::new() } else { primer.clone() };
        if let ([generator], LONG..) = (&generators[..], self.notes) {
            let piece = self.compose_long(generator.clone(), opening, progress);
            return Ok(vec![self.finish(piece)]);
        }
        let mut pieces = vec![opening; count];
        let mut onsets = vec![0.0; count];
        // The piece of each generator; finished pieces are removed.
        let mut playing: Vec<usize> = (0..count).collect();
        let mut next = vec![Note { pitch: 0, velocity: 0, step: 0.0, duration: 0.0 }; count];
        let mut composed = vec![0.0; count];
        for number in 1..=self.notes {
            if playing.is_empty() {
                break;
            }
            Generator::next_notes(&mut generators, &self.sampling, &mut next);
            for place in (0..playing.len()).rev() {
                let (piece, note) = (playing[place], next[place]);
                onsets[piece] += f64::from(note.step);
                if onsets[piece] > self.seconds {
                    generators.swap_remove(place);
                    playing.swap_remove(place);
                } else {
                    pieces[piece].push(note);
                }
                // The nearer limit.
                let share = (number as f64 / self.notes as f64).max(onsets[piece] / self.seconds);
                composed[piece] = progress.goes_on(composed[piece], share);
            }
        }
        Ok(pieces.into_iter().map(|piece| self.finish(piece)).collect())
    }

    /// Composes one piece, on two threads where they are faster.
    fn compose_long(
        &self,
        generator: Generator<MAX_LAYERS, MAX_HIDDEN>,
        mut piece: Vec<Note>,
        progress: &Progress,
    ) -> Vec<Note> {
        let (mut onset, mut composed) = (0.0, 0.0);
        thread::scope(|scope| {
            let mut pair = Pair::new(scope, generator);
            for number in 1..=self.notes {
                let note = pair.next_note(&self.sampling);
                onset += f64::from(note.step);
                let share = (number as f64 / self.notes as f64).max(onset / self.seconds);
                composed = progress.goes_on(composed, share);
                if onset > self.seconds {
                    break;
                }
                piece.push(note);
            }
        });
        piece
    }

    /// Post-processing of a composed piece before it is written.
    fn finish(&self, mut piece: Vec<Note>) -> Vec<Note> {
        if let Some(first) = piece.first_mut().filter(|_| self.options.only_new) {
            first.step = 0.0; // a piece starts with its first note
        }
        let by = i16::from(self.options.transpose);
        for note in &mut piece {
            note.pitch = transposed(note.pitch, by);
        }
        piece
    }

    /// Writes a piece, and renders it if requested.
    fn write(&self, seed: u64, piece: Vec<Note>, progress: &Progress) -> anyhow::Result<Written> {
        let path = self.path(seed);
        let file = self.source.file.name();
        let file = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
        let provenance = format!(
            "{PROVENANCE}{}; model {file}, checksum {:08x}; seed {seed}; command: {}",
            env!("CARGO_PKG_VERSION"),
            self.source.model.checksum(),
            (self.recipe)(seed)
        );
        let expressive = self.source.model.is_expressive();
        let composed = ComposedPiece {
            notes: &piece,
            // The report's model was trained on right hands.
            hands: if expressive { self.options.source.hands() } else { Hands::Right },
            title: &format!("Pianola, seed {seed}"),
            provenance: &provenance,
        };
        let verb = verb(&path);
        write_whole(&path, &score_writer::write(&composed))
            .with_context(|| format!("cannot write {}", output::name(&path)))?;
        let wav = self.wav(seed);
        let audio_verb = wav.as_deref().map(output::verb);
        if let Some(wav) = wav {
            self.render(&piece, &wav, progress)?;
        }
        let (notes, seconds) = (piece.len(), length(&piece));
        Ok(Written { seed, path, audio: self.wav(seed), notes, seconds, verb, audio_verb })
    }

    /// Renders a piece to an audio file.
    fn render(&self, piece: &[Note], wav: &Path, progress: &Progress) -> anyhow::Result<()> {
        progress.renders();
        let timed = midi_file::to_absolute(piece);
        let mut performance = render::render(&timed, self.font.as_ref())?;
        // Each sample is rendered twice.
        let all = 2.0 * performance.samples as f64;
        let (rendered, shown) = (Cell::new(0), Cell::new(0.0));
        performance.progress = Box::new(move |samples| {
            rendered.set(rendered.get() + samples);
            shown.set(progress.goes_on(shown.get(), rendered.get() as f64 / all));
        });
        render::writer(wav)?(&performance, wav)
    }

    fn report(&self, written: &[Written]) -> String {
        let Some(&seed) = self.seeds.first() else { return String::new() };
        let first = self.path(seed);
        if let [Written { verb, audio_verb, notes, seconds, .. }] = written {
            let name = output::name(&first);
            let hear = match self.wav(seed) {
                Some(wav) => {
                    let replaced = if *audio_verb == Some("replaced") { " (replaced)" } else { "" };
                    format!("hear it in {}{replaced}", output::name(&wav))
                }
                None if output::takes_standard_output() => "play it with any MIDI player".into(),
                None => format!("hear it with any MIDI player{}", render_hint(&first)),
            };
            let length = clock(*seconds, 1.0, *seconds);
            return format!("{verb} {name}: {}, {length}; {hear}\n", count(*notes, "note"));
        }
        let folder = |path: Option<&Path>| match path.filter(|path| !path.as_os_str().is_empty()) {
            Some(folder) => folder.display().to_string(),
            None => "this folder".into(),
        };
        let replaced: usize = written.iter().map(Written::replaced).sum();
        let replaced = if replaced > 0 { format!(" ({replaced} replaced)") } else { String::new() };
        let audio = self.options.wav.as_deref();
        let audio =
            audio.map_or(String::new(), |wav| format!(", their audio to {}", wav.display()));
        format!("wrote {} pieces to {}{replaced}{audio}\n", written.len(), folder(first.parent()))
    }
}

/// The command that renders a piece; nothing if its path cannot be typed as it is printed.
fn render_hint(path: &Path) -> String {
    let printed = path.to_str().filter(|path| escape(path) == *path);
    let quoted = printed.and_then(|path| shlex::try_quote(path).ok());
    let hint = |file| format!(", or `{} render {file}`", program::command());
    quoted.map_or_else(String::new, hint)
}

/// Whether a path has the extension of a piece or of a sound file.
fn is_named_as_a_file(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["mid", "midi", "wav", "ogg"].iter().any(|known| extension == *known)
}

/// A pitch moved by some semitones, and then by octaves back onto the piano if it has left it.
fn transposed(pitch: u8, by: i16) -> u8 {
    if by == 0 {
        return pitch;
    }
    let piano = Sampling::default();
    let mut moved = i16::from(pitch) + by;
    while moved < i16::from(piano.lowest) {
        moved += 12;
    }
    while moved > i16::from(piano.highest) {
        moved -= 12;
    }
    moved as u8
}

/// Minimum notes for a piece on two threads: timing whether they are faster takes as long as a
/// hundred notes.
const LONG: u64 = 1_000;

/// Progress bar for the whole job: composing and rendering a piece are one part each.
struct Progress(ProgressBar);

/// Steps of the bar for each part.
const STEPS: f64 = 1000.0;

impl Progress {
    fn new(pieces: usize, audio: bool) -> Self {
        let parts = pieces * if audio { 2 } else { 1 };
        let bar = progress::bar("composing", parts as u64 * STEPS as u64);
        Self(bar)
    }

    /// Advances to a share of a part of which `shown` steps are shown; returns the steps shown from now on.
    fn goes_on(&self, shown: f64, share: f64) -> f64 {
        let steps = (share.min(1.0) * STEPS).floor().max(shown);
        self.0.inc((steps - shown) as u64);
        steps
    }

    fn renders(&self) {
        self.0.set_message("rendering");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposed_notes_stay_on_the_piano() {
        assert_eq!(transposed(60, 2), 62);
        assert_eq!(transposed(60, -48), 24);
        assert_eq!(transposed(22, -2), 32);
        assert_eq!(transposed(107, 3), 98);
        assert_eq!(transposed(5, 0), 5);
    }
}
