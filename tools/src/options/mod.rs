//! Options that commands share.

pub mod controls;
pub mod filter_file;
pub mod hands;
pub mod json;
pub mod model_file;
pub mod named_scale;
pub mod output;
pub mod primer;
pub mod recipe;
pub mod songs;
pub mod source;
pub mod time;
