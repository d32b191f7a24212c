//! Sound: notes into samples, and samples into files.

pub mod audio;
pub mod soundfont;
pub mod strings;
pub mod tone;
