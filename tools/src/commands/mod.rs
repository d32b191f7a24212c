//! The commands, one file each.

pub mod bench;
pub mod compare;
pub mod completions;
pub mod evaluate;
pub mod export;
pub mod filter;
pub mod flash;
pub mod generate;
pub mod inspect;
mod inspect_piece;
pub mod listener;
pub mod man;
pub mod originality;
pub mod play;
pub mod plot;
pub mod render;
