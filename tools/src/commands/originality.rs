//! `pianola originality`: measures how much of each piece is copied from a corpus.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::ProgressBar;
use pianola_host::corpus::Set;
use pianola_host::midi_file::Tracks;
use pianola_host::originality::{Index, Passage, Shared, WINDOWS};
use pianola_host::text::count;
use pianola_runtime::passage::PassageMatch;
use serde::Serialize;

use crate::options::json;
use crate::options::songs::{CorpusOptions, Piece, Places, read_pieces};
use crate::progress;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola originality piece.mid --corpus songs
  pianola originality pieces --corpus songs --reference")]
pub struct Options {
    /// Pieces: .mid files or folders of them.
    #[arg(value_name = "FILE|DIR", required_unless_present = "reference")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    songs: CorpusOptions,
    /// Set to search.
    #[arg(long, default_value = "train", value_name = "train|validation|test")]
    set: Set,
    /// Tracks to read from each file: the first instrument, or all.
    #[arg(long, default_value = "all", value_name = "first|all")]
    tracks: Tracks,
    /// Also score the test set, as a baseline.
    #[arg(long, help_heading = "Output")]
    reference: bool,
    /// Print JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Matches of a piece, in the order of [`PassageMatch::ALL`].
struct Found<'a> {
    piece: &'a Piece,
    shared: [Shared<'a>; 2],
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    ensure!(
        !options.reference || options.set != Set::Test,
        "--reference measures the test set against another: give another --set"
    );
    // Positions of the notes of each file, by path.
    let mut places: HashMap<PathBuf, Places> = HashMap::new();
    let mut pieces = Vec::new();
    for (piece, place) in read_pieces(&options.files, options.tracks)? {
        places.insert(piece.path.clone(), place);
        pieces.push(piece);
    }
    let (corpus, split, of_songs) =
        options.songs.open_with(options.tracks, |file| Places::of(file, options.tracks))?;
    let paths = corpus.songs.iter().map(|song| options.songs.corpus.join(&song.name));
    places.extend(paths.zip(of_songs));
    let songs = options.songs.set((&corpus, &split), options.set)?;
    let set = options.set.name();
    let reference: Vec<_> = if options.reference {
        corpus.set(&split, Set::Test).map(|song| Piece::of(&options.songs.corpus, song)).collect()
    } else {
        Vec::new()
    };

    let index = progress::during("indexing the songs", || Index::new(songs.iter().copied()));
    let bar = progress::bar("searching", (pieces.len() + reference.len()) as u64);
    let place = |path: &Path, note: usize| Place::of(&places, path, note);
    // Groups by name; only the pieces of the first group are listed.
    let mut groups: Vec<(&str, Vec<Found>)> = Vec::new();
    for (name, pieces) in [("pieces", &pieces), ("test set", &reference)] {
        if !pieces.is_empty() {
            groups.push((name, pieces.iter().map(|piece| search(&index, piece, &bar)).collect()));
        }
    }
    bar.finish_and_clear();
    let searched = Searched {
        set,
        songs: songs.len(),
        notes: songs.iter().map(|song| song.notes.len()).sum(),
    };
    if options.json {
        let mut report = Report { searched, pieces: None, test_set: None };
        for (name, found) in &groups {
            let pieces = found.iter().map(|found| describe(found, &options.songs.corpus, place));
            let pieces = pieces.collect::<anyhow::Result<Vec<_>>>()?;
            let [transposed, exact] = PassageMatch::ALL.map(|identity| Sum::of(found, identity));
            let group = Some(Group { all: Sums { transposed, exact }, pieces });
            if *name == "pieces" { report.pieces = group } else { report.test_set = group }
        }
        return json::print(&report);
    }
    let Searched { songs, notes, .. } = searched;
    let (songs, notes) = (count(songs, "song"), count(notes, "note"));
    let mut report = format!("searched: {set} set, {songs}, {notes}\n");
    table(&mut report, &groups, |passage: &Passage| {
        place(&options.songs.corpus.join(passage.song), passage.song_at)
    })?;
    Ok(report)
}

/// The passages that a piece shares with the songs of an index.
fn search<'a>(index: &Index<'a>, piece: &'a Piece, bar: &ProgressBar) -> Found<'a> {
    let shared = PassageMatch::ALL.map(|identity| index.search(&piece.notes, identity));
    bar.inc(1);
    Found { piece, shared }
}

/// The report of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    searched: Searched<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<Group<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_set: Option<Group<'a>>,
}

#[derive(Serialize)]
struct Searched<'a> {
    set: &'a str,
    songs: usize,
    notes: usize,
}

#[derive(Serialize)]
struct Group<'a> {
    all: Sums,
    pieces: Vec<PieceJson<'a>>,
}

/// Sums over all pieces.
#[derive(Serialize)]
struct Sums {
    transposed: Sum,
    exact: Sum,
}

#[derive(Serialize)]
struct Sum {
    windows: Vec<Windows>,
    longest: Option<usize>,
    median_longest: usize,
}

/// Number of windows of a length, number found, and their share.
#[derive(Serialize)]
struct Windows {
    length: usize,
    windows: usize,
    found: usize,
    share: f64,
}

#[derive(Serialize)]
struct PieceJson<'a> {
    file: &'a str,
    notes: usize,
    transposed: FoundJson<'a>,
    exact: FoundJson<'a>,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    windows: Vec<Windows>,
    longest: Option<Longest<'a>>,
}

#[derive(Serialize)]
struct Longest<'a> {
    notes: usize,
    here: Place,
    there: There<'a>,
}

#[derive(Serialize)]
struct There<'a> {
    song: &'a str,
    #[serde(flatten)]
    place: Place,
}

/// Position of a note in a file.
#[derive(Serialize)]
struct Place {
    /// Number of the note, from 1.
    note: usize,
    seconds: f64,
    /// Bar, from 1; none if the file has no bars.
    bar: Option<u64>,
}

impl Place {
    /// Position of note `note`, counted from 0, of a file.
    fn of(places: &HashMap<PathBuf, Places>, path: &Path, note: usize) -> anyhow::Result<Self> {
        let places = places.get(path).with_context(|| format!("lost {}", path.display()))?;
        let seconds = places.onsets.get(note).copied().unwrap_or(0.0);
        let bar = places.bars.as_ref().map(|bars| bars.at(seconds));
        Ok(Self { note: note + 1, seconds, bar })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let whole = self.seconds as u64;
        write!(f, "note {}, {}:{:02}", self.note, whole / 60, whole % 60)?;
        self.bar.map_or(Ok(()), |bar| write!(f, ", bar {bar}"))
    }
}

/// The sum over pieces.
fn sum<'a>(found: &[Found<'a>], identity: PassageMatch) -> Shared<'a> {
    found.iter().map(|found| found.shared[identity as usize]).collect()
}

/// Median of the longest passages of the pieces, in notes.
fn median(found: &[Found], identity: PassageMatch) -> usize {
    let mut notes: Vec<_> = found
        .iter()
        .map(|found| found.shared[identity as usize].longest.map_or(0, |longest| longest.notes))
        .collect();
    notes.sort_unstable();
    notes.get(notes.len() / 2).copied().unwrap_or(0)
}

/// A table of all pieces of the first group, and the sums of all groups.
fn table(
    report: &mut String,
    groups: &[(&str, Vec<Found>)],
    place: impl Fn(&Passage) -> anyhow::Result<Place>,
) -> anyhow::Result<()> {
    let names = groups.iter().flat_map(|(_, found)| found.iter().map(|f| f.piece.name.len()));
    let width = names.max().unwrap_or(0).max(20);
    let [a, b, c] = WINDOWS.map(|window| format!("{window} notes"));
    let shares = |shared: &Shared| {
        let cells = shared.shares().map(|share| format!("{:>8.2} %", 100.0 * share));
        cells.concat()
    };
    writeln!(report, "{:width$}{:>8}  {:12}{a:>10}{b:>10}{c:>10}  longest", "", "notes", "")?;
    for found in groups.first().iter().flat_map(|(_, found)| found) {
        let (mut name, mut notes) =
            (found.piece.name.as_str(), found.piece.notes.len().to_string());
        for (identity, shared) in PassageMatch::ALL.into_iter().zip(&found.shared) {
            write!(report, "{name:width$}{notes:>8}  {:12}{}", identity.name(), shares(shared))?;
            match &shared.longest {
                Some(longest) => writeln!(
                    report,
                    "  {} from note {}: {}, {}",
                    count(longest.notes, "note"),
                    longest.at + 1,
                    longest.song,
                    place(longest)?
                )?,
                None => writeln!(report, "  none")?,
            }
            (name, notes) = ("", String::new());
        }
    }
    for (group, found) in groups {
        let notes: usize = found.iter().map(|found| found.piece.notes.len()).sum();
        let (mut name, mut notes) =
            (format!("{group}: {}", count(found.len(), "file")), notes.to_string());
        for identity in PassageMatch::ALL {
            let all = sum(found, identity);
            write!(report, "{name:width$}{notes:>8}  {:12}{}", identity.name(), shares(&all))?;
            let longest = all.longest.map_or(0, |longest| longest.notes);
            let longest = count(longest, "note");
            writeln!(report, "  {longest}, median {}", median(found, identity))?;
            (name, notes) = (String::new(), String::new());
        }
    }
    Ok(())
}

/// Matches of a piece, as JSON.
fn describe<'a>(
    found: &Found<'a>,
    corpus: &Path,
    place: impl Fn(&Path, usize) -> anyhow::Result<Place>,
) -> anyhow::Result<PieceJson<'a>> {
    let of = |identity: PassageMatch| -> anyhow::Result<FoundJson<'a>> {
        let shared = &found.shared[identity as usize];
        let longest = shared.longest.map(|longest| {
            let song = longest.song;
            let there = There { song, place: place(&corpus.join(song), longest.song_at)? };
            let here = place(&found.piece.path, longest.at)?;
            anyhow::Ok(Longest { notes: longest.notes, here, there })
        });
        Ok(FoundJson { windows: windows(shared), longest: longest.transpose()? })
    };
    let [transposed, exact] = PassageMatch::ALL.map(of);
    Ok(PieceJson {
        file: &found.piece.name,
        notes: found.piece.notes.len(),
        transposed: transposed?,
        exact: exact?,
    })
}

impl Sum {
    fn of(found: &[Found], identity: PassageMatch) -> Self {
        let all = sum(found, identity);
        Self {
            windows: windows(&all),
            longest: all.longest.map(|longest| longest.notes),
            median_longest: median(found, identity),
        }
    }
}

fn windows(shared: &Shared) -> Vec<Windows> {
    let shares = shared.shares();
    let each = WINDOWS.iter().enumerate().map(|(i, &length)| Windows {
        length,
        windows: shared.windows[i],
        found: shared.found[i],
        share: shares[i],
    });
    each.collect()
}
