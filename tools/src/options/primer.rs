//! The primer of a piece, as options of the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use pianola_host::midi_file::{self, Endings, Tracks};
use pianola_runtime::vocabulary::Hands;
use pianola_runtime::{Model, Note};

use crate::options::songs::read_midi;
use crate::options::time::{self, clock};
use crate::program::say;

#[derive(Args)]
#[command(next_help_heading = "Music")]
pub struct Primer {
    /// Continue a .mid file from its end; with --hands right, its first instrument.
    #[arg(long, value_name = "FILE.mid")]
    prime: Option<PathBuf>,
    /// Use only the last N notes of --prime.
    #[arg(long, value_name = "N", requires = "prime",
          value_parser = clap::value_parser!(u64).range(1..))]
    prime_notes: Option<u64>,
    /// Use only the notes of --prime from this time after its first note on, in seconds or as 1:30.
    #[arg(long, value_name = "TIME", requires = "prime", value_parser = time::seconds)]
    prime_from: Option<f64>,
}

impl Primer {
    /// The path, if a primer is given.
    pub fn file(&self) -> Option<&PathBuf> {
        self.prime.as_ref()
    }

    /// The notes, as the model observes them; none without a file. Prints which notes they are.
    pub fn read(&self, model: &Model, hands: Hands) -> anyhow::Result<Vec<Note>> {
        let Some(path) = &self.prime else { return Ok(Vec::new()) };
        let both = model.is_expressive() && hands == Hands::Both;
        let tracks = if both { Tracks::All } else { Tracks::First };
        let file = read_midi(path)?;
        let view = |tracks| {
            let timed = file.notes(tracks, Endings::AsPlayed);
            timed.with_context(|| path.display().to_string())
        };
        let all = midi_file::to_relative(&view(tracks)?);
        if hands == Hands::Right && all.len() == view(Tracks::All)?.len() {
            say(&format!("note: {} has one instrument; all of it is used", path.display()));
        }
        let mut notes = self.part(&all).to_vec();
        anyhow::ensure!(!notes.is_empty(), "{}: no notes after --prime-from", path.display());
        if let Some(first) = notes.first_mut() {
            first.step = 0.0; // a piece starts with its first note
        }
        let notes: Vec<Note> = notes.into_iter().map(Note::playable).collect();
        let count = match (notes.len(), all.len()) {
            (1, 1) => "its only note".into(),
            (used, whole) if used == whole => format!("all {whole} notes"),
            (1, whole) => format!("the last of {whole} notes"),
            (used, whole) => format!("the last {used} of {whole} notes"),
        };
        let seconds = length(&notes);
        let length = clock(seconds, 1.0, seconds);
        say(&format!("continuing {}: {count}, {length}", path.display()));
        Ok(notes)
    }

    /// Selects the requested notes.
    fn part<'a>(&self, notes: &'a [Note]) -> &'a [Note] {
        let mut onset = 0.0;
        let before = notes.iter().take_while(|note| {
            onset += f64::from(note.step);
            self.prime_from.is_some_and(|from| onset < from)
        });
        let from = before.count();
        let last = self.prime_notes.map_or(notes.len(), |notes| notes as usize);
        let start = from.max(notes.len().saturating_sub(last));
        notes.get(start..).unwrap_or_default()
    }
}

/// Seconds from the first onset to the last release.
pub fn length(piece: &[Note]) -> f64 {
    let mut onset = 0.0;
    piece.iter().fold(0.0, |end, note| {
        onset += f64::from(note.step);
        f64::max(end, onset + f64::from(note.duration))
    })
}
