//! Activations in the layout of the kernels.

use crate::kernels::{Integers, Kernel};
use crate::math::round;
use crate::model::format::Precision;
use crate::model::matrix::{Activations, ONE};

/// Values as activations for a matrix of some precision. `full` is the largest possible value.
#[inline(always)]
pub(crate) fn activations<'x, K: Kernel>(
    kernel: K,
    precision: Precision,
    values: &'x [f32],
    full: f32,
    quantized: &'x mut [i16],
) -> Activations<'x> {
    if precision == Precision::Float {
        return Activations::Float([values, &[]]);
    }
    let quantized = quantized.get_mut(..values.len()).unwrap_or_default();
    let total = quantize(values, ONE / full, quantized);
    arrange(kernel, precision, quantized);
    Activations::Int { integers: Integers { values: quantized, total }, scale: full / ONE }
}

/// Rounds values times `scale` to integers of at most 14 bits; returns their sum.
#[inline(always)]
pub(crate) fn quantize(values: &[f32], scale: f32, quantized: &mut [i16]) -> i32 {
    let mut total = 0i32;
    for (quantized, value) in quantized.iter_mut().zip(values) {
        *quantized = round(value * scale) as i16;
        total = total.wrapping_add(i32::from(*quantized));
    }
    total
}

/// Arranges activations as the kernel takes them.
#[inline(always)]
pub(crate) fn arrange<K: Kernel>(kernel: K, precision: Precision, values: &mut [i16]) {
    match precision {
        Precision::Float => {}
        Precision::Int8 => kernel.arrange_int8(values),
        Precision::Int4 => kernel.arrange_int4(values),
    }
}
