//! Activation functions as fixed sequences of IEEE single operations.
//!
//! The `tanh` and `exp` of two platforms differ in the last bits, and a note is drawn by comparing
//! such numbers: one bit can change the melody. Here every operation is an IEEE addition,
//! multiplication or division, which all targets round alike. Rust never fuses a multiplication and
//! an addition on its own.

/// Hyperbolic tangent, within 4e-7 of the exact value.
///
/// A ratio of an odd polynomial of degree 13 and an even one of degree 6, in the coefficients of
/// Eigen's `generic_fast_tanh_float`. Beyond ±7.9 the argument is clamped: the exact value is within
/// 3e-7 of ±1 there. NaN stays NaN.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    const LIMIT: f32 = 7.905_311;
    let x = if x > LIMIT { LIMIT } else { x };
    let x = if x < -LIMIT { -LIMIT } else { x };
    let x2 = x * x;
    let p = -2.760_768_5e-16;
    let p = p * x2 + 2.000_188e-13;
    let p = p * x2 + -8.604_672e-11;
    let p = p * x2 + 5.122_297_1e-8;
    let p = p * x2 + 1.485_722_4e-5;
    let p = p * x2 + 6.372_619_3e-4;
    let p = p * x2 + 4.893_524_6e-3;
    let q = 1.198_258_4e-6;
    let q = q * x2 + 1.185_347_1e-4;
    let q = q * x2 + 2.268_434_6e-3;
    let q = q * x2 + 4.893_525e-3;
    x * p / q
}

/// Logistic function 1 / (1 + e⁻ˣ), through [`tanh`].
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    0.5 * tanh(0.5 * x) + 0.5
}

/// Nearest integer for |x| < 2²², ties to even: adding 1.5 × 2²³ leaves no room for a fraction, and
/// the integer in the lowest bits. For larger numbers the integer is arbitrary; for NaN it differs
/// between machines.
#[inline(always)]
pub fn round(x: f32) -> i32 {
    (x + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as i32
}

/// [`round`] as a float.
#[inline(always)]
pub fn nearest(x: f32) -> f32 {
    (x + SHIFT) - SHIFT
}

const SHIFT: f32 = 12_582_912.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_and_sigmoid_are_close_to_the_exact_functions() {
        let arguments = (-200_000..=200_000).map(|i| i as f32 / 10_000.0);
        for x in arguments.step_by(if cfg!(miri) { 997 } else { 1 }) {
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - exact).abs() < 4e-7, "tanh({x})");
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - exact).abs() < 3e-7, "sigmoid({x})");
        }
    }

    #[test]
    fn extremes_stay_in_range() {
        for x in [f32::MAX, f32::INFINITY, 1e9] {
            assert!((tanh(x) - 1.0).abs() < 4e-7 && tanh(x) <= 1.0, "{}", tanh(x));
            assert!((tanh(-x) + 1.0).abs() < 4e-7 && tanh(-x) >= -1.0);
            assert!(sigmoid(x) <= 1.0 && sigmoid(-x) >= 0.0, "{}", sigmoid(-x));
        }
        assert!(tanh(f32::NAN).is_nan());
        assert_eq!(tanh(0.0), 0.0);
    }

    #[test]
    fn rounds_to_nearest_with_ties_to_even() {
        for (x, nearest) in [(0.5, 0), (1.5, 2), (-0.5, 0), (-1.5, -2), (8191.4, 8191), (-3.7, -4)]
        {
            assert_eq!(round(x), nearest, "{x}");
            assert_eq!(super::nearest(x), nearest as f32, "{x}");
        }
    }
}
