//! `tools evaluate`: how well a model foretells real music, and how its own compares.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::ProgressBar;
use pianola_host::corpus::{self, Corpus, Set, Song, Split};
use pianola_host::midi_file::{self, TimedNote, Tracks};
use pianola_host::statistics::baselines::Baseline;
use pianola_host::statistics::comparison::Report;
use pianola_host::statistics::evaluation::{
    self, Divergences, Evaluation, Heard, LossByPart, LossSum, Nll, PIECE_NOTES, PIECES,
};
use pianola_runtime::vocabulary::{Hands, PARTS};
use pianola_runtime::{Model, Note, Sampling};
use rayon::prelude::*;
use serde::Serialize;

use crate::commands::flash::root;
use crate::options::controls::Controls;
use crate::options::json;
use crate::options::model_file::ModelFile;
use crate::options::output::{ensure_writable, write_picture};
use crate::options::songs::CorpusOptions;
use crate::picture::measures_picture;

#[derive(Args)]
#[command(after_help = "\
Examples:
  tools evaluate --model mine.safetensors --corpus songs
  tools evaluate --corpus songs --pieces 10 --temperature 0.8 --picture measures.svg")]
pub struct Options {
    /// Model file [default: the bundled one].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    songs: CorpusOptions,
    /// Which notes of each file to use: the first instrument's, or all [default: those that the kind
    /// of model knows].
    #[arg(long, value_name = "first|all")]
    tracks: Option<Tracks>,
    /// Songs to measure on.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Pieces to sample, of the expressive model; of two hundred and more, each hundred is also compared alone.
    #[arg(long, default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pieces: u64,
    /// Notes in each.
    #[arg(long, default_value_t = 1000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(PIECE_NOTES as u64..=1_000_000))]
    notes: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the histograms of sampled and real notes, into a .png or .svg file.
    #[arg(long, value_name = "FILE.png|FILE.svg")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    controls: Controls,
}

/// Segments, songs or pieces computed together.
const TOGETHER: usize = 16;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let sampling = options.controls.sampling()?;
    if let Some(picture) = &options.picture {
        ensure_writable(picture, &["png", "svg"])?;
    }
    let file = ModelFile::open(options.model.as_deref())?;
    let model = file.model()?;
    let known = if model.is_expressive() { Tracks::All } else { Tracks::First };
    let (corpus, split) = options.songs.open(options.tracks.unwrap_or(known))?;
    if options.model.is_none() && options.songs.split.is_none() {
        eprintln!(
            "note: the bundled model may have learned from these songs: of its own corpus, give the --split"
        );
    }
    if model.is_expressive() {
        return expressive_model(options, &sampling, &file, &model, (&corpus, &split));
    }
    ensure!(
        options.picture.is_none(),
        "--picture is for expressive models, and {} is the report's: leave it out",
        file.name()
    );
    let evaluation = report_model(&file, &model, &corpus, &split, options.set)?;
    if options.json { json::print(&evaluation) } else { Ok(evaluation.to_string()) }
}

/// What an expressive model foretells beside the baselines, and what it plays beside real songs.
fn expressive_model(
    options: &Options,
    sampling: &Sampling,
    file: &ModelFile,
    model: &Model,
    (corpus, split): (&Corpus, &Split),
) -> anyhow::Result<String> {
    let real = options.songs.set((corpus, split), options.set)?;
    let training: Vec<&Song> = corpus.set(split, Set::Train).collect();

    let both: Vec<Marked> = real
        .iter()
        .map(|song| Marked::read(&options.songs.corpus.join(&song.name), song))
        .collect::<anyhow::Result<_>>()?;
    let [all, melody_in_both] = nll(file, model, &both)?;
    let melodies = Corpus::read(&options.songs.corpus, Tracks::First)?;
    let segments: Vec<_> = corpus::segments(melodies.set(split, options.set)).collect();
    let melody: Vec<Marked> = melodies
        .set(split, options.set)
        .zip(&real)
        .map(|(melody, song)| {
            let whole = melody.notes.as_chunks::<{ corpus::SEGMENT }>().0.as_flattened();
            // As in training: one whose first instrument plays all of it has no right hand alone.
            let alone = melody.notes.len() < song.notes.len();
            Marked::all(whole, if alone { Hands::Right } else { Hands::Both })
        })
        .collect();
    let [melody_alone, _] = nll(file, model, &melody)?;
    let report_path = root().join("models/report-int8.safetensors");
    let report_pitch = if report_path.exists() {
        let file = ModelFile::open(Some(&report_path))?;
        Some(segments_loss(&file, &file.model()?, &segments)?.mean()[0])
    } else {
        None
    };
    let (ngram, unigram) = (Baseline::fit(&training), Baseline::unigram(&training));
    let rows = [
        ("model", all.mean()),
        ("back-off n-gram", ngram.nll(&real)),
        ("unigram", unigram.nll(&real)),
    ];
    let right_hand = [
        ("model, hearing both hands", Some(melody_in_both.mean()[1])),
        ("model, hearing it alone", Some(melody_alone.mean()[1])),
        ("the report's model, each 64 alone", report_pitch),
    ];

    let bar = ProgressBar::new(options.pieces);
    let seeds: Vec<u64> = (0..options.pieces).collect();
    let together = seeds.len().div_ceil(rayon::current_num_threads()).clamp(1, TOGETHER);
    let pieces = seeds
        .par_chunks(together)
        .map(|seeds| {
            let pieces = evaluation::compose(model, seeds, options.notes as usize, sampling);
            bar.inc(seeds.len() as u64);
            pieces.map_err(|error| file.refused(error))
        })
        .collect::<anyhow::Result<Vec<_>>>()?
        .concat();
    bar.finish_and_clear();
    let samples: Vec<&[Note]> = pieces.iter().map(Vec::as_slice).collect();
    let starts = samples.iter().take(PIECES as usize).flat_map(|piece| &piece[..PIECE_NOTES]);
    let starts: Vec<Note> = starts.copied().collect();
    let heard: Vec<Note> = real.iter().flat_map(|song| song.notes.iter().copied()).collect();
    let protocol = Divergences::between(&starts, &heard);
    let learned: Vec<Note> = training.iter().flat_map(|song| song.notes.iter().copied()).collect();
    let ceiling = Divergences::between(&learned, &heard);
    let whole: Vec<&Song> = corpus.songs.iter().collect();
    let report = Report::of(&samples, &real, &training, &whole);
    if let Some(path) = &options.picture {
        let real: Vec<&[Note]> = real.iter().map(|song| song.notes.as_slice()).collect();
        write_picture(path, &measures_picture::draw(&samples, &real)?, "Sampled and real notes")?;
    }

    if options.json {
        let [model, back_off_ngram, unigram] = rows.map(|(_, nats)| LossByPart::new(&PARTS, &nats));
        let [both_hands, right_hand, report_model] = right_hand.map(|(_, nats)| nats);
        return json::print(&ExpressiveReport {
            model: file.name(),
            songs: real.len(),
            notes: all.notes,
            nats_per_note: NatsPerNote { model, back_off_ngram, unigram },
            right_hand_pitch: RightHandPitch { both_hands, right_hand, report_model },
            jsd_of_starts: protocol,
            jsd_of_training_songs: ceiling,
            samples: report,
        });
    }
    let mut text = format!("{}: {} songs, {} notes\n\n", file.name(), real.len(), all.notes);
    let _ = write!(text, "{:34}{:>10}", "nats per note", "total");
    let _ = writeln!(text, "{}", PARTS.map(|part| format!("{part:>10}")).concat());
    for (name, nats) in rows {
        let total: f64 = nats.iter().sum();
        let parts = nats.map(|nats| format!("{nats:>10.4}")).concat();
        let _ = writeln!(text, "{name:34}{total:>10.4}{parts}");
    }
    let _ = writeln!(text, "\npitch of the right hand, {} notes", melody_alone.notes);
    for (name, nats) in right_hand {
        let _ = writeln!(text, "{name:34}{:>10}", nats.map_or("-".into(), |n| format!("{n:.4}")));
    }
    let _ =
        writeln!(text, "\nfirst {PIECE_NOTES} notes of up to {PIECES} sampled pieces\n{protocol}");
    let _ = writeln!(text, "all notes of the training songs\n{ceiling}");
    let _ = writeln!(text, "{} sampled pieces of {} notes\n{report}", pieces.len(), options.notes);
    Ok(text)
}

/// What `--json` prints of an expressive model.
#[derive(Serialize)]
struct ExpressiveReport<'a> {
    model: &'a str,
    songs: usize,
    notes: usize,
    nats_per_note: NatsPerNote,
    right_hand_pitch: RightHandPitch,
    jsd_of_starts: Divergences,
    jsd_of_training_songs: Divergences,
    samples: Report,
}

/// Negative log-likelihoods of the model and of the baselines.
#[derive(Serialize)]
struct NatsPerNote {
    model: LossByPart,
    back_off_ngram: LossByPart,
    unigram: LossByPart,
}

/// Nats per pitch of the right hand, by what the model observes; and the report's model.
#[derive(Serialize)]
struct RightHandPitch {
    both_hands: Option<f64>,
    right_hand: Option<f64>,
    report_model: Option<f64>,
}

/// A song with marks for the notes of its first instrument.
struct Marked {
    notes: Vec<Note>,
    hands: Hands,
    marks: Vec<bool>,
}

impl Marked {
    fn all(notes: &[Note], hands: Hands) -> Self {
        Self { notes: notes.to_vec(), hands, marks: vec![true; notes.len()] }
    }

    /// Marks the notes of a song that its file's first instrument plays.
    fn read(path: &Path, song: &Song) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", name()))?;
        let read = |tracks| midi_file::read(&bytes, tracks).with_context(name);
        let key = |note: &TimedNote| (note.start.to_bits(), note.end.to_bits(), note.pitch);
        // As many as there are in whole segments, which the report's model is measured on.
        let first = read(Tracks::First)?;
        let whole = first.len() / corpus::SEGMENT * corpus::SEGMENT;
        let first: HashSet<_> = first.iter().take(whole).map(key).collect();
        let all = read(Tracks::All)?;
        if all.len() != song.notes.len() {
            return Ok(Self::all(&song.notes, Hands::Right)); // the first instrument is all that was asked for
        }
        let marks = all.iter().map(|note| first.contains(&key(note))).collect();
        Ok(Self { notes: song.notes.clone(), hands: Hands::Both, marks })
    }
}

/// How well an expressive model foretells songs: all notes, and those that are marked.
fn nll(file: &ModelFile, model: &Model, songs: &[Marked]) -> anyhow::Result<[Nll; 2]> {
    // Songs of like lengths stay together longest; the longest start first.
    let mut songs: Vec<Heard> = songs
        .iter()
        .map(|Marked { notes, hands, marks }| Heard { notes, hands: *hands, marks })
        .collect();
    songs.sort_by_key(|song| std::cmp::Reverse(song.notes.len()));
    let bar = ProgressBar::new(songs.len() as u64);
    let sums = songs
        .par_chunks(TOGETHER)
        .map(|songs| {
            bar.inc(songs.len() as u64);
            Nll::of_songs(model, songs).map_err(|error| file.refused(error))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let zero = [Nll::default(); 2];
    Ok(sums.into_iter().fold(zero, |[all, some], [a, b]| [all.plus(a), some.plus(b)]))
}

/// How well the report's model foretells segments.
fn segments_loss(
    file: &ModelFile,
    model: &Model,
    segments: &[&[Note; corpus::SEGMENT]],
) -> anyhow::Result<LossSum> {
    let bar = ProgressBar::new(segments.len() as u64);
    let sums = segments
        .par_chunks(TOGETHER)
        .map(|segments| {
            bar.inc(segments.len() as u64);
            LossSum::of_segments(model, segments)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file.refused(error))?;
    bar.finish_and_clear();
    Ok(sums.into_iter().flatten().fold(LossSum::default(), LossSum::plus))
}

/// The report's measures, for its model.
fn report_model(
    file: &ModelFile,
    model: &Model,
    corpus: &Corpus,
    split: &Split,
    set: Set,
) -> anyhow::Result<Evaluation> {
    let songs: Vec<_> = corpus.set(split, set).collect();
    let segments: Vec<_> = corpus::segments(songs.iter().copied()).collect();
    ensure!(
        !segments.is_empty(),
        "no song of the {} set has the {} notes of a segment: give another --set",
        set.name(),
        corpus::SEGMENT
    );

    let loss = segments_loss(file, model, &segments)?;
    let sampled = evaluation::sample_pieces(model, 0..evaluation::PIECES)
        .map_err(|error| file.refused(error))?;
    Ok(Evaluation {
        model: file.name().into(),
        segments: segments.len(),
        notes: loss.notes,
        loss: loss.mean(),
        divergences: Divergences::between(&sampled, segments.iter().copied().flatten()),
    })
}
