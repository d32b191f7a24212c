//! Pictures, as SVG or as PNG.

pub mod canvas;
pub mod measures_picture;
pub mod palette;
pub mod roll;
