//! Replaces `system_port.rs` where no MIDI service is built in.

use std::io;

use crate::live::open_port::{Direction, Input, Output};

pub fn names(_: Direction) -> Vec<String> {
    Vec::new()
}

pub fn watch(_: Direction, _: &str) -> Box<dyn FnMut() -> bool + Send> {
    Box::new(|| false)
}

pub fn open_output(_: &str) -> io::Result<Box<dyn Output>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn open_input(_: &str) -> io::Result<Box<dyn Input>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn has_virtual() -> bool {
    false
}

pub fn open_virtual() -> io::Result<Box<dyn Output>> {
    Err(io::ErrorKind::Unsupported.into())
}
