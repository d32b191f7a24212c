//! Sound: notes into samples, and samples into files, block by block: an hour takes as much memory
//! as a minute.

pub mod audio;
mod limiter;
mod loudness;
pub mod soundfont;
pub mod strings;
pub mod tone;

/// Samples a second, of each side.
pub const RATE: u32 = 44_100;

/// Samples that are made at a time.
pub const BLOCK: usize = 4096;

/// Left and right.
pub type Sample = [f32; 2];

/// What makes sound, from its start on.
pub trait Source {
    /// Makes the next samples.
    fn play(&mut self, block: &mut [Sample]) -> anyhow::Result<()>;
}
