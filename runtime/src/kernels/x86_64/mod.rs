//! AVX2, AVX-512, and AVX-512 with VNNI.
//!
//! A lane of 32 bits is a row. Without VNNI, weights are widened to 16 bits and pairs of columns
//! multiplied into their row's lane (`vpmaddwd`). With it, four columns are multiplied at once as
//! bytes (`vpdpbusd`), twice: with the high and with the low halves of the activations.

mod avx2;
mod avx512;
mod avx512_vnni;

pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
pub(crate) use avx512_vnni::Avx512Vnni;
