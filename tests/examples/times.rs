//! Prints the figures on timing in docs/results.md, docs/architecture.md and runtime/src/placing.rs: how often
//! times coincide with another note's end or with the pulse, in the training songs and in a model's pieces; how far
//! sets of training songs of the same size are from the test songs; and whether long pieces keep their statistics.
//! It takes about two minutes.

use std::path::Path;

use anyhow::{Context, ensure};
use pianola_host::corpus::{Corpus, Set, Song, shuffle};
use pianola_host::midi_file::Tracks;
use pianola_host::statistics::comparison::{EXCERPT, excerpts};
use pianola_host::statistics::evaluation::{Divergences, compose};
use pianola_runtime::Note;
use pianola_runtime::vocabulary::time_bin;
use pianola_runtime::{Model, Sampling};
use rand_pcg::Pcg32;

/// Times that differ by less are equal, in seconds: a file rounds onset and end to ticks, each separately.
const SAME: f32 = 1e-3;

/// Largest multiple of the step that a duration is compared with.
const MOST_STEPS: u8 = 16;

/// Number of excerpts and of pieces in a divergence.
const PIECES: u64 = 100;

/// Number of random sets of excerpts.
const DRAWS: usize = 50;

/// Number of thousands of notes of the songs that long pieces are compared with.
const LASTING: usize = 3;

/// Number of pieces of 20,000 notes.
const LONG: u64 = 40;

/// A share: `found` out of `of`.
#[derive(Clone, Copy, Default)]
struct Share {
    found: usize,
    of: usize,
}

impl Share {
    /// Counts a time if one of the others has the same bin; returns whether it did.
    fn count(&mut self, time: f32, others: impl Iterator<Item = f32>) -> bool {
        let mut others = others.filter(|&other| time_bin(other) == time_bin(time)).peekable();
        if others.peek().is_none() {
            return false;
        }
        self.of += 1;
        self.found += usize::from(others.any(|other| (other - time).abs() < SAME));
        true
    }

    fn percent(self) -> f64 {
        100.0 * self.found as f64 / self.of.max(1) as f64
    }
}

/// Coincidences of onsets and releases.
#[derive(Default)]
struct Coincidences {
    /// Number of steps above zero.
    steps: usize,
    /// Steps with an end in their bin: share exactly at that end.
    steps_at_ends: Share,
    /// Other steps with the previous step in their bin: share equal to it.
    steps_with_pulse: Share,
    /// The same for durations.
    durations_at_ends: Share,
    /// Other durations with a multiple of the step in their bin: share equal to that multiple.
    durations_with_pulse: Share,
}

impl Coincidences {
    fn of<'n>(pieces: impl Iterator<Item = &'n [Note]>) -> Self {
        let mut all = Self::default();
        for piece in pieces {
            let (mut ends, mut pulse) = ([0f32; 128], 0.0);
            for note in piece {
                let timed = |time| time_bin(time) > 0;
                let sounding = ends.iter().copied().filter(|&end| end > 0.0);
                if timed(note.step) {
                    all.steps += 1;
                    let _ = all.steps_at_ends.count(note.step, sounding)
                        || all.steps_with_pulse.count(note.step, [pulse].into_iter());
                    pulse = note.step;
                }
                ends.iter_mut().for_each(|end| *end -= note.step);
                if timed(note.duration) {
                    let sounding = ends.iter().copied().filter(|&end| end > 0.0);
                    let multiples = (1..=MOST_STEPS).map(|steps| pulse * f32::from(steps));
                    let _ = all.durations_at_ends.count(note.duration, sounding)
                        || all.durations_with_pulse.count(note.duration, multiples);
                }
                ends[usize::from(note.pitch)] = note.duration;
            }
        }
        all
    }

    fn print(&self, name: &str) {
        let with_end = 100.0 * self.steps_at_ends.of as f64 / self.steps.max(1) as f64;
        println!(
            "{name}: an end lies in the bin of {with_end:.0} % of all steps above 1/128 s, and {:.0} % of those \
             go to it; {:.0} % of durations with one; else with the pulse {:.0} % of steps and {:.0} % of durations",
            self.steps_at_ends.percent(),
            self.durations_at_ends.percent(),
            self.steps_with_pulse.percent(),
            self.durations_with_pulse.percent(),
        );
    }
}

/// Divergences of steps and durations in bins of 10 ms.
fn fine<'n>(some: impl Iterator<Item = &'n Note> + Clone, real: &'n [Note]) -> [f64; 2] {
    let divergences = Divergences::between(some, real).by_binning();
    divergences.get("fine").map_or([f64::NAN; 2], |fine| [fine.step, fine.duration])
}

fn print_means(name: &str, passages: &[&[Note]]) {
    let notes: Vec<&Note> = passages.iter().copied().flatten().collect();
    let mean = |value: fn(&Note) -> f32| {
        notes.iter().map(|note| f64::from(value(note))).sum::<f64>() / notes.len() as f64
    };
    println!(
        "{name}: mean pitch {:.1}, {:.1} notes a second, velocity {:.0}",
        mean(|note| f32::from(note.pitch)),
        1.0 / mean(|note| note.step),
        mean(|note| f32::from(note.velocity)),
    );
}

/// Prints the means over each piece's thousand notes number `thousand`, counted from 1.
fn print_thousand(name: &str, pieces: &[&[Note]], thousand: usize) {
    let passages: Vec<&[Note]> =
        pieces.iter().filter_map(|piece| piece.chunks_exact(EXCERPT).nth(thousand - 1)).collect();
    print_means(&format!("{name}, thousand number {thousand}"), &passages);
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, split] = arguments.as_slice() else {
        anyhow::bail!("usage: times MODEL.safetensors FOLDER SPLIT.tsv");
    };
    let bytes = std::fs::read(model).with_context(|| format!("cannot read {model}"))?;
    let model = Model::from_bytes(&bytes)?;
    let (corpus, split, _) =
        Corpus::open(Path::new(folder), Tracks::All, Some(Path::new(split)), 0)?;
    let songs = |set| corpus.set(&split, set).map(|song: &Song| song.notes.as_slice());
    let seeds: Vec<u64> = (0..PIECES).collect();
    let sampling = Sampling::default().with_guards();
    let pieces = compose(&model, &seeds, EXCERPT, &sampling)?;
    Coincidences::of(songs(Set::Train)).print("training songs");
    Coincidences::of(pieces.iter().map(Vec::as_slice)).print("the model's pieces");

    let real: Vec<Note> = songs(Set::Test).flatten().copied().collect();
    let whole: Vec<&[Note]> = songs(Set::Train)
        .flat_map(|song| excerpts(song, EXCERPT))
        .filter(|excerpt| excerpt.len() == EXCERPT)
        .collect();
    ensure!(whole.len() >= seeds.len(), "{folder}: too few training songs");
    let (mut drawn, mut rng) = (whole, Pcg32::new(0, 0));
    let draw = |_| {
        shuffle(&mut drawn, &mut rng);
        fine(drawn[..seeds.len()].iter().copied().flatten(), &real)
    };
    let draws: Vec<[f64; 2]> = (0..DRAWS).map(draw).collect();
    for (part, name) in ["steps", "durations"].into_iter().enumerate() {
        let of = |fold: fn(f64, f64) -> f64, start| draws.iter().map(|d| d[part]).fold(start, fold);
        println!(
            "{name} of {DRAWS} times {PIECES} excerpts of training songs, bins of 10 ms, from the test songs: \
             {:.4}, from {:.4} to {:.4}",
            of(|a, b| a + b, 0.0) / draws.len() as f64,
            of(f64::min, f64::INFINITY),
            of(f64::max, 0.0),
        );
    }

    print_means("test songs", &songs(Set::Test).collect::<Vec<_>>());
    // The same songs each time: only long songs have later thousands, and those are fast from the start.
    let lasting: Vec<&[Note]> =
        songs(Set::Train).filter(|song| song.len() >= LASTING * EXCERPT).collect();
    let name = format!("{} training songs", lasting.len());
    for thousand in 1..=LASTING {
        print_thousand(&name, &lasting, thousand);
    }
    let long = compose(&model, &(0..LONG).collect::<Vec<u64>>(), 20 * EXCERPT, &sampling)?;
    let long: Vec<&[Note]> = long.iter().map(Vec::as_slice).collect();
    for thousand in [1, 2, 5, 10, 20] {
        print_thousand(&format!("{LONG} pieces"), &long, thousand);
    }
    Ok(())
}
