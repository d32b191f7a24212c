//! Pianola on a board: power it, and it plays from the model in its flash.
//!
//! The application knows its board only through [`Board`]; the same code runs on every board, real
//! or emulated, and in the tests on the host. Each board is a crate in a folder of its own.
#![no_std]
#![forbid(unsafe_code)]

mod app;
mod board;
mod fault;
mod port;

pub use app::run;
pub use board::{Board, Knobs};
pub use fault::blinks;
pub use port::apply;
