//! The split of a corpus into training, validation and test sets.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::str::FromStr;

use rand_pcg::Pcg32;

use crate::files::read_bounded;

use super::{Corpus, CorpusError, UnknownName, shuffle};

/// Largest split file that is read, in bytes: a line for each of a million files.
const MAX_BYTES: u64 = 256 << 20;

/// The three sets of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// Songs for training.
    Train,
    /// Songs for choices such as early stopping.
    Validation,
    /// Held-out songs for reported results only.
    Test,
}

impl Set {
    /// All sets.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name used in split files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl FromStr for Set {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let named = Self::ALL.into_iter().find(|set| set.name() == name);
        named.ok_or(UnknownName("train, validation or test"))
    }
}

/// Which song belongs to which set.
#[derive(Clone, Debug)]
pub struct Split {
    /// (name, set), in the order in which a set's songs are used.
    pub songs: Vec<(String, Set)>,
}

impl Split {
    /// Splits songs at random, 60 % to train, 20 % to validation and 20 % to test.
    ///
    /// The same names and seed give the same split. Songs that are the same music go to one set; of
    /// a corpus without such songs, the sets have exactly these shares.
    pub fn random(corpus: &Corpus, seed: u64) -> Self {
        let count = corpus.songs.len();
        let mut order: Vec<usize> = (0..count).collect();
        shuffle(&mut order, &mut Pcg32::new(seed, SPLIT_STREAM));
        let mut group_of = vec![None; count];
        for group in &corpus.duplicates {
            for &song in &group.songs {
                group_of[song] = Some(group);
            }
        }
        let train = count * 6 / 10;
        let validation = count * 2 / 10;
        let mut songs = Vec::with_capacity(count);
        let mut placed = vec![false; count];
        for song in order {
            let alone = [song];
            let together = group_of[song].map_or(&alone[..], |group| &group.songs);
            let set = match songs.len() {
                before if before < train => Set::Train,
                before if before < train + validation => Set::Validation,
                _ => Set::Test,
            };
            for &song in together {
                if !std::mem::replace(&mut placed[song], true) {
                    songs.push((corpus.songs[song].name.clone(), set));
                }
            }
        }
        Self { songs }
    }

    /// Reads a split file: tab-separated with a header line that names at least the columns
    /// `split` (or `set`) and `file`.
    ///
    /// # Errors
    /// [`CorpusError`] if the file cannot be read or names an unknown set.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let io = |cause| CorpusError::Io { path: path.into(), cause };
        let bytes = read_bounded(path, MAX_BYTES).map_err(io)?;
        let text = String::from_utf8(bytes).map_err(|error| io(io::Error::other(error)))?;
        // Spreadsheets write a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let bad = |line: usize, what: String| CorpusError::BadSplit {
            path: path.into(),
            line: line + 1,
            what,
        };
        let mut lines = text.lines().enumerate();
        let columns: Vec<_> = lines.next().map_or("", |(_, line)| line).split('\t').collect();
        let column = |names: [&str; 2]| {
            columns.iter().position(|column| names.contains(column)).ok_or_else(|| {
                bad(0, format!("no column `{}` in the tab-separated header", names[0]))
            })
        };
        let (set_column, file_column) = (column(["split", "set"])?, column(["file", "name"])?);
        let (mut songs, mut seen) = (Vec::new(), BTreeSet::new());
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            let cells: Vec<_> = text.split('\t').collect();
            let (Some(set), Some(file)) = (cells.get(set_column), cells.get(file_column)) else {
                return Err(bad(line, "too few columns".into()));
            };
            let set = set.parse().map_err(|error| bad(line, format!("`{set}`: {error}")))?;
            if !seen.insert(*file) {
                return Err(bad(line, format!("`{file}` is listed twice")));
            }
            songs.push((file.to_string(), set));
        }
        Ok(Self { songs })
    }

    /// The names in the split that the corpus does not have.
    pub fn missing<'a>(&'a self, corpus: &'a Corpus) -> impl Iterator<Item = &'a str> {
        self.songs.iter().map(|(name, _)| name.as_str()).filter(|name| {
            corpus.songs.binary_search_by(|song| song.name.as_str().cmp(name)).is_err()
        })
    }
}

/// PCG stream of the split, apart from those that draw notes.
const SPLIT_STREAM: u64 = 0x5911;
