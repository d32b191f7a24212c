//! Pictures of pieces and of their measures.

mod legend;
pub mod measures_picture;
pub mod roll;
