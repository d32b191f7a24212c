//! From notes to MIDI messages and back.

mod controls;
mod echo;
mod event;
mod keys;
mod message;
mod parser;
mod player;
mod time;
mod transport;

pub use controls::{Control, Controls, polyphony};
pub use echo::SentMessages;
pub use event::{Assignment, Channels, Event, TransportCommand};
pub use keys::Keys;
pub use message::{Bytes, Message, controller};
pub use parser::MidiParser;
pub use player::Player;
pub use time::{Instant, Micros};
pub use transport::{Transport, TransportState};
