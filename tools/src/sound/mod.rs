//! Audio: notes to samples, and samples to files, block by block: an hour takes as much memory
//! as a minute.

pub mod audio;
mod limiter;
mod loudness;
pub mod soundfont;
mod soundfont_check;
pub mod strings;
pub mod tone;

/// Sample rate of each channel, in Hz.
pub const RATE: u32 = 44_100;

/// Samples per block.
pub const BLOCK: usize = 4096;

/// Left and right.
pub type Sample = [f32; 2];

/// A synthesizer, read from its start on.
pub trait Source {
    /// Renders the next samples.
    fn play(&mut self, block: &mut [Sample]) -> anyhow::Result<()>;
}
