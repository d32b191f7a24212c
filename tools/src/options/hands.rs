//! The hands to compose for, as an option of the command line.

use clap::{Args, ValueEnum};
use pianola_runtime::vocabulary::Hands;

#[derive(Args)]
pub struct WhichHands {
    /// Hands to compose for; right gives a melody.
    #[arg(long, value_enum, default_value_t, help_heading = "Music")]
    hands: Named,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Named {
    #[default]
    Both,
    Right,
}

impl WhichHands {
    /// The hands as a model's condition.
    pub fn get(&self) -> Hands {
        match self.hands {
            Named::Both => Hands::Both,
            Named::Right => Hands::Right,
        }
    }
}
