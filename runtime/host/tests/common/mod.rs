//! A small network with random weights.
#![allow(dead_code)] // each test file uses a part

use ndarray::ArrayD;
use pianola_host::export::pack;
use pianola_host::export::weights::{FloatWeights, HeadShapes, Shape};
use pianola_runtime::Precision;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

pub const SMALL: Shape = Shape::report(2, 32, 10, 21);

pub const EXPRESSIVE: Shape = Shape {
    layers: 2,
    hidden: 32,
    heads: HeadShapes::Expressive { embedding: [5, 10, 6, 3], hidden: [21, 32, 7, 16] },
};

/// Weights uniform in ±`size`.
pub fn random_weights(shape: Shape, size: f32, seed: u64) -> FloatWeights {
    let mut rng = Pcg32::new(seed, 1);
    let mut weight = || ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0) * size;
    let tensors = shape
        .tensors()
        .into_iter()
        .map(|(name, size)| {
            let tensor = ArrayD::from_shape_simple_fn(size, &mut weight);
            (name, tensor)
        })
        .collect();
    FloatWeights { shape, tensors, provenance: "random \"weights\" \\ for tests".into() }
}

pub fn small_model(precision: Precision) -> Vec<u8> {
    pack(&random_weights(SMALL, 0.3, 7), precision).unwrap().bytes
}

pub fn small_expressive_model(precision: Precision) -> Vec<u8> {
    pack(&random_weights(EXPRESSIVE, 0.3, 7), precision).unwrap().bytes
}
