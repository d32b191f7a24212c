//! `pianola originality`: how much of some pieces stands in a corpus.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use pianola_host::corpus::Set;
use pianola_host::midi_file::Tracks;
use pianola_host::originality::{Index, Passage, Shared, WINDOWS};
use pianola_runtime::passage::PassageMatch;
use serde_json::{Value, json};

use crate::options::songs::{CorpusOptions, Piece, Places, read_pieces};

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
    // Where the notes of each file are, by its path.
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

    let index = Index::new(songs.iter().copied());
    let find = |piece| Found {
        piece,
        shared: PassageMatch::ALL.map(|identity| index.search(&piece.notes, identity)),
    };
    let place = |path: &Path, note: usize| Place::of(&places, path, note);
    // Each group with its name; the first one's pieces are listed.
    let mut groups = Vec::new();
    for (name, pieces) in [("pieces", &pieces), ("test set", &reference)] {
        if !pieces.is_empty() {
            groups.push((name, pieces.iter().map(find).collect::<Vec<_>>()));
        }
    }
    let searched = json!({
        "set": set,
        "songs": songs.len(),
        "notes": songs.iter().map(|song| song.notes.len()).sum::<usize>(),
    });
    if options.json {
        let mut report = json!({ "searched": searched });
        for (name, found) in &groups {
            let describe = |found: &Found| describe(found, &options.songs.corpus, place);
            let pieces = found.iter().map(describe).collect::<anyhow::Result<Vec<_>>>()?;
            let [transposed, exact] =
                PassageMatch::ALL.map(|identity| sum_to_json(found, identity));
            let all = json!({ "transposed": transposed, "exact": exact });
            report[name.replace(' ', "_")] = json!({ "all": all, "pieces": pieces });
        }
        return Ok(format!("{report:#}\n"));
    }
    let mut report =
        format!("searched: {set} set, {} songs, {} notes\n", searched["songs"], searched["notes"]);
    table(&mut report, &groups, |passage: &Passage| {
        place(&options.songs.corpus.join(passage.song), passage.song_at)
    })?;
    Ok(report)
}

/// Where in a file a note is.
struct Place {
    /// From 1.
    note: usize,
    seconds: f64,
    /// From 1; none if the file has no bars.
    bar: Option<u64>,
}

impl Place {
    /// Of a note, counted from 0, of a file.
    fn of(places: &HashMap<PathBuf, Places>, path: &Path, note: usize) -> anyhow::Result<Self> {
        let places = places.get(path).with_context(|| format!("lost {}", path.display()))?;
        let seconds = places.onsets.get(note).copied().unwrap_or(0.0);
        let bar = places.bars.as_ref().map(|bars| bars.at(seconds));
        Ok(Self { note: note + 1, seconds, bar })
    }

    fn to_json(&self) -> Value {
        json!({ "note": self.note, "seconds": self.seconds, "bar": self.bar })
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
fn describe(
    found: &Found,
    corpus: &Path,
    place: impl Fn(&Path, usize) -> anyhow::Result<Place>,
) -> anyhow::Result<Value> {
    let mut value = json!({ "file": found.piece.name, "notes": found.piece.notes.len() });
    for (identity, shared) in PassageMatch::ALL.into_iter().zip(&found.shared) {
        let longest = match &shared.longest {
            Some(longest) => {
                let mut there = place(&corpus.join(longest.song), longest.song_at)?.to_json();
                there["song"] = longest.song.into();
                let here = place(&found.piece.path, longest.at)?.to_json();
                json!({ "notes": longest.notes, "here": here, "there": there })
            }
            None => Value::Null,
        };
        value[identity.name()] = json!({ "windows": windows_to_json(shared), "longest": longest });
    }
    Ok(value)
}

/// The sum over pieces, as JSON.
fn sum_to_json(found: &[Found], identity: PassageMatch) -> Value {
    let all = sum(found, identity);
    json!({
        "windows": windows_to_json(&all),
        "longest": all.longest.map(|longest| longest.notes),
        "median_longest": median(found, identity),
    })
}

/// For each length of windows, how many there are, how many are found, and what share that is.
fn windows_to_json(shared: &Shared) -> Value {
    let shares = shared.shares();
    let parts = WINDOWS.iter().enumerate().map(|(i, window)| {
        let (windows, found) = (shared.windows[i], shared.found[i]);
        (window.to_string(), json!({ "windows": windows, "found": found, "share": shares[i] }))
    });
    Value::Object(parts.collect())
}
