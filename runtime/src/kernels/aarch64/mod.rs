//! NEON, and NEON with dot products.
//!
//! A lane of 32 bits is a row. Without dot products, the load deinterleaves the columns of a block;
//! each is widened to 16 bits and multiplied with its activation (`smlal`). With them, four columns
//! are multiplied at once as bytes (`sdot`), twice: with the high and with the low halves of the
//! activations.

mod dotprod;
mod neon;

pub(crate) use dotprod::NeonDotprod;
pub(crate) use neon::Neon;
