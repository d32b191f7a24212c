//! `pianola evaluate`: negative log-likelihood on held-out songs, and statistics of samples.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use pianola_host::corpus::{self, Corpus, Set, Song, Split};
use pianola_host::midi_file::{self, Endings, MidiFile, TimedNote, Tracks};
use pianola_host::statistics::baselines::Baseline;
use pianola_host::statistics::evaluation::{
    self, Divergences, Evaluation, LossByPart, LossSum, Nll, PIECE_NOTES, PIECES, ScoredSong,
};
use pianola_host::statistics::report::Report;
use pianola_host::text::count;
use pianola_runtime::vocabulary::{Hands, PARTS};
use pianola_runtime::{Model, Note, Sampling};
use rayon::prelude::*;
use serde::Serialize;

use crate::commands::compare;
use crate::commands::flash::root;
use crate::options::controls::Controls;
use crate::options::json;
use crate::options::model_file::ModelFile;
use crate::options::output::{self, ensure_writable, write_picture};
use crate::options::songs::CorpusOptions;
use crate::picture::measures_picture;
use crate::program::say;
use crate::progress;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola evaluate --model mine.safetensors --corpus songs
  pianola evaluate --corpus songs --pieces 10 --temperature 0.8 --picture measures.svg")]
pub struct Options {
    /// Model file [default: the bundled model].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    songs: CorpusOptions,
    /// Tracks to read from each file: the first instrument, or all [default: as the model was trained].
    #[arg(long, value_name = "first|all")]
    tracks: Option<Tracks>,
    /// Set to evaluate on.
    #[arg(long, default_value = "test", value_name = "train|validation|test")]
    set: Set,
    /// Pieces to sample; 200 or more are also compared in batches of 100.
    #[arg(long, default_value_t = 100, value_name = "N", help_heading = "Sampling",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pieces: u64,
    /// Notes in each piece.
    #[arg(long, default_value_t = 1000, value_name = "N", help_heading = "Sampling",
          value_parser = clap::value_parser!(u64).range(PIECE_NOTES as u64..=1_000_000))]
    notes: u64,
    /// Print JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Draw histograms of sampled and real notes into a .png or .svg file.
    #[arg(long, value_name = "FILE.png|FILE.svg", value_parser = output::path(), help_heading = "Output")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    controls: Controls,
}

/// Segments, songs or pieces in a batch.
const TOGETHER: usize = 16;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let sampling = options.controls.sampling()?;
    if let Some(picture) = &options.picture {
        ensure_writable(picture, &["png", "svg"])?;
    }
    let file = ModelFile::open(options.model.as_deref())?;
    let model = file.model()?;
    let known = if model.is_expressive() { Tracks::All } else { Tracks::First };
    let tracks = options.tracks.unwrap_or(known);
    let expressive = model.is_expressive();
    let (corpus, split, melodies) =
        options.songs.open_with(tracks, |file| expressive.then(|| Melody::of(file)))?;
    let melodies: Vec<Melody> = melodies.into_iter().flatten().collect();
    if options.model.is_none() && options.songs.split.is_none() {
        say(
            "note: the bundled model may have been trained on these songs: for its own corpus, give --split",
        );
    }
    if expressive {
        return expressive_model(options, &sampling, &file, &model, (&corpus, &split, &melodies));
    }
    ensure!(
        options.picture.is_none(),
        "--picture is for expressive models, and {} is the report's: leave it out",
        file.name()
    );
    let evaluation = report_model(&file, &model, &corpus, &split, options.set)?;
    if options.json { json::print(&evaluation) } else { Ok(evaluation.to_string()) }
}

/// Negative log-likelihoods of an expressive model and of the baselines, and its samples beside real songs.
fn expressive_model(
    options: &Options,
    sampling: &Sampling,
    file: &ModelFile,
    model: &Model,
    (corpus, split, melodies): (&Corpus, &Split, &[Melody]),
) -> anyhow::Result<String> {
    let real = options.songs.set((corpus, split), options.set)?;
    let training: Vec<&Song> = corpus.set(split, Set::Train).collect();
    let melodies: Vec<&Melody> =
        corpus.places(split, options.set).map(|place| &melodies[place]).collect();
    let both: Vec<Marked> =
        real.iter().zip(&melodies).map(|(song, melody)| melody.marked_in(song)).collect();
    let [all, melody_in_both] = nll("evaluating", file, model, &both)?;
    let right_hand = right_hand(file, model, &real, &melodies)?;
    let nats = |nats: [f64; 4]| LossByPart::new(&PARTS, &nats);
    let baseline = |step, fit: fn(&[&Song]) -> Baseline| {
        let measure = || nats(fit(&training).nll(&real));
        (!training.is_empty()).then(|| progress::during(step, measure))
    };
    let back_off_ngram = baseline("fitting the back-off n-gram", Baseline::fit);
    let unigram = baseline("fitting the unigram", Baseline::unigram);

    let pieces = sample(options, sampling, file, model)?;
    let samples: Vec<&[Note]> = pieces.iter().map(Vec::as_slice).collect();
    let starts = samples.iter().take(PIECES as usize).flat_map(|piece| &piece[..PIECE_NOTES]);
    let notes = |songs: &[&Song]| -> Vec<Note> {
        songs.iter().flat_map(|song| song.notes.iter().copied()).collect()
    };
    let held_out = notes(&real);
    let (jsd_of_starts, jsd_of_training_songs) = progress::during("measuring divergences", || {
        let of_training = || Divergences::between(&notes(&training), &held_out);
        (Divergences::between(starts, &held_out), (!training.is_empty()).then(of_training))
    });
    let whole: Vec<&Song> = corpus.songs.iter().collect();
    let report = ExpressiveReport {
        model: file.name(),
        songs: real.len(),
        notes: all.notes,
        nats_per_note: NatsPerNote { model: nats(all.mean()), back_off_ngram, unigram },
        right_hand_pitch: right_hand.map(|alone| RightHandPitch {
            notes: alone.notes,
            both_hands: melody_in_both.mean()[1],
            right_hand: alone.pitch,
            report_model: alone.of_report,
        }),
        jsd_of_starts,
        jsd_of_training_songs,
        pieces: pieces.len(),
        piece_notes: options.notes as usize,
        samples: compare::report(&samples, [&real, &training, &whole]),
    };
    if let Some(path) = &options.picture {
        let real: Vec<&[Note]> = real.iter().map(|song| song.notes.as_slice()).collect();
        let picture = progress::during("drawing", || measures_picture::draw(&samples, &real))?;
        let verb = write_picture(path, &picture, "Sampled and real notes")?;
        say(&format!("{verb} {}", output::name(path)));
    }
    if options.json { json::print(&report) } else { Ok(report.to_string()) }
}

/// Samples the pieces of the seeds from 0 on.
fn sample(
    options: &Options,
    sampling: &Sampling,
    file: &ModelFile,
    model: &Model,
) -> anyhow::Result<Vec<Vec<Note>>> {
    let bar = progress::bar("sampling", options.pieces);
    let seeds: Vec<u64> = (0..options.pieces).collect();
    let together = seeds.len().div_ceil(rayon::current_num_threads()).clamp(1, TOGETHER);
    let pieces = seeds.par_chunks(together).map(|seeds| {
        let pieces = evaluation::compose(model, seeds, options.notes as usize, sampling);
        bar.inc(seeds.len() as u64);
        pieces.map_err(|error| file.refused(error))
    });
    let pieces = pieces.collect::<anyhow::Result<Vec<_>>>()?.concat();
    bar.finish_and_clear();
    Ok(pieces)
}

/// Negative log-likelihood of the pitches of right hands, in nats per note.
struct RightHand {
    notes: usize,
    /// By the model, conditioned on the right hand only.
    pitch: f64,
    /// By the report's model, each segment alone; none if its file is missing.
    of_report: Option<f64>,
}

/// Scores the right hands of songs alone; none if no song has another hand, since all notes are scored
/// already then.
fn right_hand(
    file: &ModelFile,
    model: &Model,
    real: &[&Song],
    melodies: &[&Melody],
) -> anyhow::Result<Option<RightHand>> {
    let alone = |(melody, song): (&&Melody, &&Song)| melody.notes.len() < song.notes.len();
    if !melodies.iter().zip(real).any(alone) {
        return Ok(None);
    }
    let songs = melodies.iter().zip(real);
    let melody: Vec<Marked> = songs
        .map(|(melody, song)| {
            let whole = melody.whole_segments().as_flattened();
            // As in training: a song played entirely by its first instrument has no right hand alone.
            Marked::all(whole, if alone((melody, song)) { Hands::Right } else { Hands::Both })
        })
        .collect();
    let [all, _] = nll("evaluating the right hand", file, model, &melody)?;
    let report_path = root().join("models/report-int8.safetensors");
    let of_report = if report_path.exists() {
        let segments: Vec<_> = melodies.iter().flat_map(|melody| melody.whole_segments()).collect();
        let file = ModelFile::open(Some(&report_path))?;
        Some(segments_loss(&file, &file.model()?, &segments)?.mean()[0])
    } else {
        None
    };
    Ok(Some(RightHand { notes: all.notes, pitch: all.mean()[1], of_report }))
}

/// Report on an expressive model; `--json` has these keys.
#[derive(Serialize)]
struct ExpressiveReport<'a> {
    model: &'a str,
    songs: usize,
    notes: usize,
    nats_per_note: NatsPerNote,
    /// None if no song has a second instrument.
    right_hand_pitch: Option<RightHandPitch>,
    jsd_of_starts: Divergences,
    /// None without training songs.
    jsd_of_training_songs: Option<Divergences>,
    pieces: usize,
    piece_notes: usize,
    samples: Report,
}

/// Negative log-likelihoods of the model and, if there are training songs, of the baselines.
#[derive(Serialize)]
struct NatsPerNote {
    model: LossByPart,
    back_off_ngram: Option<LossByPart>,
    unigram: Option<LossByPart>,
}

/// Nats per pitch of the right hand, by the notes that the model observes; and the report's model.
#[derive(Serialize)]
struct RightHandPitch {
    notes: usize,
    both_hands: f64,
    right_hand: f64,
    /// None if its file is missing.
    report_model: Option<f64>,
}

impl fmt::Display for ExpressiveReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (songs, notes) = (count(self.songs, "song"), count(self.notes, "note"));
        writeln!(f, "{}: {songs}, {notes}\n", self.model)?;
        write!(f, "{:34}{:>10}", "nats per note", "total")?;
        writeln!(f, "{}", PARTS.map(|part| format!("{part:>10}")).concat())?;
        let NatsPerNote { model, back_off_ngram, unigram } = &self.nats_per_note;
        let baselines = [("back-off n-gram", back_off_ngram), ("unigram", unigram)];
        let baselines = baselines.iter().filter_map(|&(name, nats)| Some((name, nats.as_ref()?)));
        for (name, nats) in [("model", model)].into_iter().chain(baselines) {
            let parts = PARTS.map(|part| format!("{:>10.4}", nats.parts[part])).concat();
            writeln!(f, "{name:34}{:>10.4}{parts}", nats.total)?;
        }
        if unigram.is_none() {
            writeln!(f, "the baselines cannot be measured: there are no training songs")?;
        }
        writeln!(f)?;
        match &self.right_hand_pitch {
            Some(pitch) => write!(f, "{pitch}")?,
            None => {
                writeln!(f, "the right hand cannot be measured: no song has a second instrument")?;
            }
        }
        writeln!(f, "\nfirst {PIECE_NOTES} notes of up to {PIECES} sampled pieces")?;
        writeln!(f, "{}", self.jsd_of_starts)?;
        if let Some(training) = &self.jsd_of_training_songs {
            writeln!(f, "all notes of the training songs\n{training}")?;
        }
        writeln!(
            f,
            "{} of {}\n{}",
            count(self.pieces, "sampled piece"),
            count(self.piece_notes, "note"),
            self.samples
        )
    }
}

impl fmt::Display for RightHandPitch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "pitch of the right hand, {}", count(self.notes, "note"))?;
        let rows = [
            ("model, on both hands", Some(self.both_hands)),
            ("model, on the right hand alone", Some(self.right_hand)),
            ("report's model, 64-note segments", self.report_model),
        ];
        for (name, nats) in rows {
            let nats = nats.map_or("-".into(), |nats| format!("{nats:.4}"));
            writeln!(f, "{name:34}{nats:>10}")?;
        }
        Ok(())
    }
}

/// A song with a mark on each note of its first instrument.
struct Marked {
    notes: Vec<Note>,
    hands: Hands,
    marks: Vec<bool>,
}

impl Marked {
    fn all(notes: &[Note], hands: Hands) -> Self {
        Self { notes: notes.to_vec(), hands, marks: vec![true; notes.len()] }
    }
}

/// The notes of the first instrument of a song's file.
struct Melody {
    notes: Vec<Note>,
    /// For all notes of the file: whether they belong to the whole segments of the melody, on which the
    /// report's model is evaluated.
    marks: Vec<bool>,
}

impl Melody {
    fn of(file: &MidiFile) -> Self {
        let notes = |tracks| file.notes(tracks, Endings::NoteOffs).unwrap_or_default();
        let key = |note: &TimedNote| (note.start.to_bits(), note.end.to_bits(), note.pitch);
        let first = notes(Tracks::First);
        let whole = first.len() / corpus::SEGMENT * corpus::SEGMENT;
        let keys: HashSet<_> = first.iter().take(whole).map(key).collect();
        let marks = notes(Tracks::All).iter().map(|note| keys.contains(&key(note))).collect();
        Self { notes: midi_file::to_relative(&first), marks }
    }

    fn whole_segments(&self) -> &[[Note; corpus::SEGMENT]] {
        self.notes.as_chunks().0
    }

    /// Marks the notes of a song that belong to its melody.
    fn marked_in(&self, song: &Song) -> Marked {
        if self.marks.len() != song.notes.len() {
            return Marked::all(&song.notes, Hands::Right); // only the first instrument was read
        }
        Marked { notes: song.notes.clone(), hands: Hands::Both, marks: self.marks.clone() }
    }
}

/// Negative log-likelihood of songs under an expressive model: of all notes, and of the marked ones. `step` is
/// the progress bar's label.
fn nll(
    step: &'static str,
    file: &ModelFile,
    model: &Model,
    songs: &[Marked],
) -> anyhow::Result<[Nll; 2]> {
    // Longest first: a batch holds songs of similar length, and the slowest batches start first.
    let mut songs: Vec<ScoredSong> = songs
        .iter()
        .map(|Marked { notes, hands, marks }| ScoredSong { notes, hands: *hands, marks })
        .collect();
    songs.sort_by_key(|song| std::cmp::Reverse(song.notes.len()));
    let bar = progress::bar(step, songs.len() as u64);
    let sums = songs
        .par_chunks(TOGETHER)
        .map(|songs| {
            let nll = Nll::of_songs(model, songs).map_err(|error| file.refused(error));
            bar.inc(songs.len() as u64);
            nll
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let zero = [Nll::default(); 2];
    Ok(sums.into_iter().fold(zero, |[all, some], [a, b]| [all.plus(a), some.plus(b)]))
}

/// The loss of the report's model on segments.
fn segments_loss(
    file: &ModelFile,
    model: &Model,
    segments: &[&[Note; corpus::SEGMENT]],
) -> anyhow::Result<LossSum> {
    let bar = progress::bar("evaluating", segments.len() as u64);
    let sums = segments
        .par_chunks(TOGETHER)
        .map(|segments| {
            let loss = LossSum::of_segments(model, segments);
            bar.inc(segments.len() as u64);
            loss
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file.refused(error))?;
    bar.finish_and_clear();
    Ok(sums.into_iter().flatten().fold(LossSum::default(), LossSum::plus))
}

/// Statistics for the report's model.
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
    let sampled =
        progress::during("sampling", || evaluation::sample_pieces(model, 0..evaluation::PIECES))
            .map_err(|error| file.refused(error))?;
    let real = segments.iter().copied().flatten();
    let divergences =
        progress::during("measuring divergences", || Divergences::between(&sampled, real));
    Ok(Evaluation {
        model: file.name().into(),
        segments: segments.len(),
        notes: loss.notes,
        loss: loss.mean(),
        divergences,
    })
}
