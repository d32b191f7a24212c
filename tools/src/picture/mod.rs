//! Pictures of pieces and of their statistics.

mod legend;
pub mod measures_picture;
pub mod roll;
