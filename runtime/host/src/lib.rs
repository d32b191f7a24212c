//! Host-side library around the [runtime](pianola_runtime): MIDI files, corpora, statistics,
//! originality, and packing float weights into model files.
//!
//! Boards need none of it, so it is a crate of its own: the runtime stays free of an allocator.
#![forbid(unsafe_code)]

pub mod bars;
pub mod corpus;
pub mod export;
pub mod files;
pub mod midi_file;
pub mod originality;
pub mod score_writer;
pub mod statistics;
pub mod text;

/// The README's example runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
