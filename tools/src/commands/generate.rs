//! `tools generate`: new music into `.mid` files.

use std::path::PathBuf;
use std::thread;

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pianola_host::files::write_whole;
use pianola_host::midi_file;
use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Note, Pair, Sampling, SamplingParams};
use rayon::prelude::*;

use crate::commands::render;
use crate::options::output::ensure_writable;
use crate::options::source::{Opened, Source};
use crate::picture::roll::clock;
use crate::sound::soundfont;

#[derive(Args)]
#[command(after_help = "\
Examples:
  tools generate
  tools generate --seconds 60 --scale d-minor --out piece.mid --wav piece.wav
  tools generate --prime piece.mid --prime-notes 32 --original 12 --out more.mid")]
pub struct Options {
    /// Notes to compose besides those of --prime, up to a million [default: 500, or as many as --seconds takes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_NOTES))]
    notes: Option<u64>,
    #[command(flatten)]
    source: Source,
    /// Pieces to compose, with the seeds SEED, SEED + 1 and so on.
    #[arg(long, default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=MAX_PIECES))]
    count: u64,
    /// File to write, or folder with --count [default: piece-SEED.mid here].
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// Also play the piece into a sound file, as `tools render` does.
    #[arg(long, value_name = "FILE.wav|FILE.ogg", conflicts_with = "count")]
    wav: Option<PathBuf>,
}

/// Most notes of a piece: a day of music.
const MAX_NOTES: u64 = 1_000_000;

/// Most pieces at once.
const MAX_PIECES: u64 = 100_000;

/// Most pieces composed together: their states still fit a core's own cache beside the weights.
const TOGETHER: usize = 16;

/// Most notes a second of music takes when only --seconds is given: no pianist is as fast.
const NOTES_PER_SECOND: f64 = 100.0;

pub fn run(options: &Options) -> anyhow::Result<String> {
    options.source.open(|source| make_up(options, source))
}

fn make_up(options: &Options, source: &Opened) -> anyhow::Result<String> {
    let sampling = options.source.controls.sampling()?;
    let seconds = options.source.seconds()?;
    let notes = match (options.notes, seconds) {
        (Some(notes), _) => notes,
        (None, Some(seconds)) => ((seconds * NOTES_PER_SECOND).ceil() as u64).min(MAX_NOTES),
        (None, None) => 500,
    };
    let seconds = seconds.unwrap_or(f64::INFINITY);
    let seed = options.source.seed();
    let name = |seed: u64| format!("piece-{seed}.mid");
    let path = |seed: u64| match (&options.out, options.count) {
        (Some(out), 1) if !out.is_dir() => out.clone(),
        (Some(out), _) => out.join(name(seed)),
        (None, _) => PathBuf::from(name(seed)),
    };
    let outputs: Vec<PathBuf> = (0..options.count)
        .map(|piece| path(seed.wrapping_add(piece)))
        .chain(options.wav.clone())
        .collect();
    outputs.iter().try_for_each(|output| options.source.ensure_apart(output))?;
    let sound = match &options.wav {
        Some(wav) => Some((wav, render::writer(wav)?)),
        None => None,
    };
    ensure!(
        options.wav.as_ref() != Some(&path(seed)),
        "--wav and --out name the same file: give them two"
    );
    if let (Some(out), 2..) = (&options.out, options.count) {
        let named = out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("mid"));
        let folder = out.is_dir() || !out.exists() && !named;
        ensure!(folder, "{}: --count writes a folder: let --out name one", out.display());
        std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    } else {
        let out = path(seed);
        let ending = ensure_writable(&out, &[])?;
        ensure!(
            matches!(ending.as_str(), "" | "mid" | "midi"),
            "cannot write {}: let its name end in .mid; --wav writes sound",
            out.display()
        );
    }

    let drawn = if source.model.is_expressive() {
        &[sampling.pitch, sampling.time, sampling.velocity][..]
    } else {
        &[sampling.pitch]
    };
    if options.count > 1 && drawn.iter().all(SamplingParams::is_greedy) {
        eprintln!("note: where nothing is left to chance, every seed makes the same piece");
    }
    let pieces: Vec<u64> = (0..options.count).map(|piece| seed.wrapping_add(piece)).collect();
    let bar = progress_bar(notes * options.count);
    // Each core composes some pieces together, so that they share each weight it fetches.
    let together = pieces.len().div_ceil(rayon::current_num_threads()).clamp(1, TOGETHER);
    let lengths: Vec<(usize, f64)> = pieces
        .par_chunks(together)
        .map(|seeds| {
            let generators = seeds
                .iter()
                .map(|&seed| {
                    let mut generator = source.generator(seed)?;
                    source.primer.iter().for_each(|note| generator.observe(note));
                    Ok(generator)
                })
                .collect::<anyhow::Result<Vec<_>>>()?;
            let music = compose(generators, &sampling, &source.primer, notes, seconds, &bar);
            let write = |(&seed, piece): (&u64, Vec<Note>)| {
                let path = path(seed);
                write_whole(&path, &midi_file::write(&piece))
                    .with_context(|| format!("cannot write {}", path.display()))?;
                if let Some((wav, write)) = &sound {
                    let timed = midi_file::to_absolute(&piece);
                    write(&render::render(&timed, soundfont::find().as_deref())?, wav)?;
                }
                Ok((piece.len(), length(&piece)))
            };
            seeds.iter().zip(music).map(write).collect::<anyhow::Result<Vec<_>>>()
        })
        .collect::<anyhow::Result<Vec<_>>>()?
        .concat();
    bar.finish_and_clear();

    let first = path(seed);
    if let [(notes, seconds)] = lengths[..] {
        let hear = match &options.wav {
            Some(wav) => format!("in {}", wav.display()),
            None => format!("with any MIDI player, or `tools render {}`", first.display()),
        };
        let length = clock(seconds, 1.0, seconds);
        let count = if notes == 1 { "note" } else { "notes" };
        Ok(format!("wrote {}: {notes} {count}, {length}; hear it {hear}\n", first.display()))
    } else {
        let folder = first.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or("this folder".into(), |folder| folder.display().to_string());
        Ok(format!("wrote {} pieces to {folder}\n", lengths.len()))
    }
}

/// The primer and what generators that have heard it make of it.
fn compose(
    mut generators: Vec<Generator<MAX_LAYERS, MAX_HIDDEN>>,
    sampling: &Sampling,
    primer: &[Note],
    notes: u64,
    seconds: f64,
    bar: &ProgressBar,
) -> Vec<Vec<Note>> {
    if let ([generator], LONG..) = (&generators[..], notes) {
        return vec![thread::scope(|scope| {
            let mut pair = Pair::new(scope, generator.clone());
            compose_one(|| pair.next_note(sampling), primer, notes, seconds, bar)
        })];
    }
    let count = generators.len();
    let mut pieces = vec![primer.to_vec(); count];
    let mut onsets = vec![0.0; count];
    // Which piece each generator plays: those that are over leave.
    let mut playing: Vec<usize> = (0..count).collect();
    let mut next = vec![Note { pitch: 0, velocity: 0, step: 0.0, duration: 0.0 }; count];
    for _ in 0..notes {
        if playing.is_empty() {
            break;
        }
        Generator::next_notes(&mut generators, sampling, &mut next);
        for place in (0..playing.len()).rev() {
            let (piece, note) = (playing[place], next[place]);
            onsets[piece] += f64::from(note.step);
            if onsets[piece] > seconds {
                generators.swap_remove(place);
                playing.swap_remove(place);
            } else {
                pieces[piece].push(note);
                bar.inc(1);
            }
        }
    }
    pieces
}

/// From so many notes on, one piece is worth two threads: to find out whether they are faster takes
/// as long as a hundred.
const LONG: u64 = 1_000;

/// The primer and the notes that follow it, one by one.
fn compose_one(
    mut next: impl FnMut() -> Note,
    primer: &[Note],
    notes: u64,
    seconds: f64,
    bar: &ProgressBar,
) -> Vec<Note> {
    let mut piece = primer.to_vec();
    let mut onset = 0.0;
    for _ in 0..notes {
        let note = next();
        onset += f64::from(note.step);
        if onset > seconds {
            break;
        }
        piece.push(note);
        bar.inc(1);
    }
    piece
}

/// Seconds until the last release.
fn length(piece: &[Note]) -> f64 {
    let mut onset = 0.0;
    piece.iter().fold(0.0, |end, note| {
        onset += f64::from(note.step);
        f64::max(end, onset + f64::from(note.duration))
    })
}

fn progress_bar(notes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} notes, {per_sec} ({eta} left)")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(notes).with_style(style)
}
