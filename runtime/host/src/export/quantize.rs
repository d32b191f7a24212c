//! Rounds float weights to integers times a scale.

use ndarray::ArrayView1;

use pianola_runtime::format::ZERO_POINT;

/// The integer range of quantized weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Integers {
    least: f32,
    most: f32,
    /// Number of scales tried for a row, evenly spaced from the one without clipping down to a third of it.
    tried: u8,
}

impl Integers {
    /// Eight bits, symmetric around zero.
    pub const BYTES: Self = Self { least: -127.0, most: 127.0, tried: 1 };
    /// Four bits.
    pub const NIBBLES: Self = Self { least: -8.0, most: 7.0, tried: 33 };

    /// The scale with the smallest sum of squared errors for a row.
    ///
    /// With few integers, clipping the few largest weights allows a finer grid for the others.
    pub fn scale(self, row: ArrayView1<f32>) -> f32 {
        let largest = row.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
        let whole = largest / self.most;
        let error = |scale: f32| -> f64 {
            row.iter().map(|&weight| self.error(weight, scale).powi(2)).sum()
        };
        let (mut best, mut least) = (whole, error(whole));
        for step in 1..self.tried {
            let scale = whole * (1.0 - f32::from(step) / 48.0);
            let error = error(scale);
            if error < least {
                (best, least) = (scale, error);
            }
        }
        best
    }

    /// The integer nearest to a weight.
    pub fn nearest(self, weight: f32, scale: f32) -> i8 {
        let value = if scale > 0.0 { (weight / scale).round_ties_even() } else { 0.0 };
        value.clamp(self.least, self.most) as i8
    }

    /// Rounding error of a weight.
    pub fn error(self, weight: f32, scale: f32) -> f64 {
        f64::from(weight) - f64::from(self.nearest(weight, scale)) * f64::from(scale)
    }
}

/// Eight columns of a row as a word of a [block](pianola_runtime::format).
pub(crate) fn word(columns: &[i8; 8]) -> u32 {
    columns.iter().enumerate().fold(0, |word, (column, &value)| {
        word | ((i32::from(value) + ZERO_POINT) as u32) << (16 * (column % 2) + 4 * (column / 2))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn loses_no_more_than_half_a_step_but_for_what_is_clipped(
            row in proptest::collection::vec(-3f32..3.0, 1..200)
        ) {
            let row = Array1::from(row);
            for integers in [Integers::BYTES, Integers::NIBBLES] {
                let scale = integers.scale(row.view());
                for &weight in &row {
                    let clipped = weight > integers.most * scale || weight < integers.least * scale;
                    let error = integers.error(weight, scale).abs();
                    prop_assert!(clipped || error <= 0.5001 * f64::from(scale), "{weight} {scale}");
                }
            }
        }
    }

    #[test]
    fn clipping_pays_where_one_weight_sticks_out() {
        let row =
            Array1::from_shape_fn(512, |i| if i == 7 { 4.0 } else { (i % 9) as f32 / 9.0 - 0.4 });
        assert!(Integers::NIBBLES.scale(row.view()) < 4.0 / 7.0);
        assert_eq!(Integers::BYTES.scale(Array1::zeros(4).view()), 0.0);
    }

    #[test]
    fn words_hold_pairs_of_columns_in_their_halves() {
        assert_eq!(word(&[-8, -7, -6, -5, -4, -3, -2, -1]), 0x7531_6420);
        assert_eq!(word(&[7, 0, 0, 0, 0, 0, 0, 7]), 0xf888_888f);
    }
}
