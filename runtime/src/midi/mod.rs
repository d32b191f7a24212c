//! From notes to MIDI messages and back.

mod keys;
mod parser;
mod player;

pub use keys::Keys;
pub use parser::MidiParser;
pub use player::{Message, Micros, Player};
