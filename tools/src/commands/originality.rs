//! `tools originality`: how much of some pieces stands in a corpus.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::bars::Bars;
use pianola_host::corpus::Set;
use pianola_host::midi_file::{self, Tracks};
use pianola_host::originality::{Index, Passage, Shared, WINDOWS};
use pianola_runtime::passage::PassageMatch;
use serde::Serialize;

use crate::options::json;
use crate::options::songs::{CorpusOptions, Piece, read_pieces};

#[derive(Args)]
#[command(after_help = "\
Examples:
  tools originality piece.mid --corpus songs
  tools originality pieces --corpus songs --reference")]
pub struct Options {
    /// Pieces to look at: .mid files, and folders of them.
    #[arg(value_name = "FILE|DIR", required_unless_present = "reference")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    songs: CorpusOptions,
    /// Songs of the corpus to search.
    #[arg(long, default_value = "train", value_name = "train|validation|test")]
    set: Set,
    /// Which notes of each file to use: the first instrument's, or all.
    #[arg(long, default_value = "all", value_name = "first|all")]
    tracks: Tracks,
    /// Measure the songs of the test set too: what real music of the same kind shares.
    #[arg(long)]
    reference: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found of a piece, in the order of [`PassageMatch::ALL`].
struct Found<'a> {
    piece: &'a Piece,
    shared: [Shared<'a>; 2],
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    ensure!(
        !options.reference || options.set != Set::Test,
        "--reference measures the test set against another: give another --set"
    );
    let pieces = read_pieces(&options.files, options.tracks)?;
    let (corpus, split) = options.songs.open(options.tracks)?;
    let songs = options.songs.set((&corpus, &split), options.set)?;
    let set = options.set.name();
    let reference: Vec<_> = if options.reference {
        corpus.set(&split, Set::Test).map(|song| Piece::of(&options.songs.corpus, song)).collect()
    } else {
        Vec::new()
    };

    let index = Index::new(songs.iter().copied());
    let find = |piece| Found {
        piece,
        shared: PassageMatch::ALL.map(|identity| index.search(&piece.notes, identity)),
    };
    let place = |path: &Path, note: usize| Place::read(path, options.tracks, note);
    // Each group with its name; the first one's pieces are listed.
    let mut groups = Vec::new();
    for (name, pieces) in [("pieces", &pieces), ("test set", &reference)] {
        if !pieces.is_empty() {
            groups.push((name, pieces.iter().map(find).collect::<Vec<_>>()));
        }
    }
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
    let mut report = format!("searched: {set} set, {songs} songs, {notes} notes\n");
    table(&mut report, &groups, |passage: &Passage| {
        place(&options.songs.corpus.join(passage.song), passage.song_at)
    })?;
    Ok(report)
}

/// What `--json` prints.
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

/// The sums over pieces.
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

/// How many windows of a length there are, how many are found, and what share that is.
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

/// Where in a file a note is.
#[derive(Serialize)]
struct Place {
    /// From 1.
    note: usize,
    seconds: f64,
    /// From 1; none if the file has no bars.
    bar: Option<u64>,
}

impl Place {
    /// Looks a note, counted from 0, up in its file.
    fn read(path: &Path, tracks: Tracks, note: usize) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", name()))?;
        let notes = midi_file::read(&bytes, tracks).with_context(name)?;
        let seconds = notes.get(note).map_or(0.0, |note| note.start);
        let bars = Bars::read(&bytes).with_context(name)?;
        Ok(Self { note: note + 1, seconds, bar: bars.map(|bars| bars.at(seconds)) })
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

/// The median of the longest passages of pieces, in notes.
fn median(found: &[Found], identity: PassageMatch) -> usize {
    let mut notes: Vec<_> = found
        .iter()
        .map(|found| found.shared[identity as usize].longest.map_or(0, |longest| longest.notes))
        .collect();
    notes.sort_unstable();
    notes.get(notes.len() / 2).copied().unwrap_or(0)
}

/// A table of all pieces of the first group, and of the sums of all groups.
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
                    "  {} notes from note {}: {}, {}",
                    longest.notes,
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
        let (mut name, mut notes) = (format!("{group}: {} files", found.len()), notes.to_string());
        for identity in PassageMatch::ALL {
            let all = sum(found, identity);
            write!(report, "{name:width$}{notes:>8}  {:12}{}", identity.name(), shares(&all))?;
            let longest = all.longest.map_or(0, |longest| longest.notes);
            writeln!(report, "  {longest} notes, median {}", median(found, identity))?;
            (name, notes) = (String::new(), String::new());
        }
    }
    Ok(())
}

/// What was found of a piece, as JSON.
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
