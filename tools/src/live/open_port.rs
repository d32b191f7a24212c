//! Open MIDI ports of any kind.

use std::io;

/// Destination of messages.
pub trait Output: Send {
    /// Sends as many of a message's bytes as fit without blocking. An error means that
    /// the port is lost.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// Source of messages.
pub trait Input: Send {
    /// Blocks until some bytes arrive. An error means that the port is lost.
    fn receive(&mut self) -> io::Result<Vec<u8>>;
}

/// Direction of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Output,
    Input,
}
