//! The notes that open a piece, as options of the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use pianola_host::midi_file::{self, Endings, Tracks};
use pianola_runtime::vocabulary::Hands;
use pianola_runtime::{Model, Note};

use crate::options::songs::read_midi;

#[derive(Args)]
pub struct Primer {
    /// Go on from the notes of a .mid file, which open the piece; where one hand is to play, those of the
    /// first instrument.
    #[arg(long, value_name = "FILE.mid")]
    prime: Option<PathBuf>,
    /// Notes to take from the start of that file.
    #[arg(long, default_value_t = 64, value_name = "N", requires = "prime",
          value_parser = clap::value_parser!(u64).range(1..))]
    prime_notes: u64,
}

impl Primer {
    /// The file, if one is given.
    pub fn file(&self) -> Option<&PathBuf> {
        self.prime.as_ref()
    }

    /// The notes, as the model hears them; none without a file.
    pub fn read(&self, model: &Model, hands: Hands) -> anyhow::Result<Vec<Note>> {
        let Some(path) = &self.prime else { return Ok(Vec::new()) };
        let both = model.is_expressive() && hands == Hands::Both;
        let tracks = if both { Tracks::All } else { Tracks::First };
        let file = read_midi(path)?;
        let name = || path.display().to_string();
        let view = |tracks| file.notes(tracks, Endings::AsPlayed).with_context(name);
        let notes = view(tracks)?;
        if hands == Hands::Right && notes.len() == view(Tracks::All)?.len() {
            eprintln!("note: {} has one instrument, which opens the melody whole", path.display());
        }
        let notes = midi_file::to_relative(&notes).into_iter().take(self.prime_notes as usize);
        Ok(notes.map(Note::playable).collect())
    }
}
