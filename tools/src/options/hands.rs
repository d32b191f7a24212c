//! Whose notes to make up, as an option of the command line.

use clap::{Args, ValueEnum};
use pianola_runtime::vocabulary::Hands;

#[derive(Args)]
pub struct WhichHands {
    /// Whose notes to make up: a piece for both hands, or a melody for the right alone.
    #[arg(long, value_enum, default_value_t, help_heading = "Controls")]
    hands: Named,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Named {
    #[default]
    Both,
    Right,
}

impl WhichHands {
    /// What a model is told.
    pub fn told(&self) -> Hands {
        match self.hands {
            Named::Both => Hands::Both,
            Named::Right => Hands::Right,
        }
    }
}
