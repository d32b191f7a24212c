//! Pictures of music and of numbers: a canvas with text and colours, and charts drawn on it.
//!
//! A picture is a list of outlines, and SVG and PNG hold the same ones: they look alike on every
//! machine, whatever fonts are installed. `tools` and `trainer` draw all their pictures with this
//! crate.

#![deny(unsafe_code)]

pub mod axis;
pub mod canvas;
pub mod chart;
pub mod fonts;
pub mod palette;
