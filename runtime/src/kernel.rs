//! The inner loops, in plain Rust.
//!
//! A sum is kept as 16 partial sums, one for each row of the quad and each column modulo 4, and
//! folded at the end. For floats this *is* the definition of the order of summation; integer sums
//! are exact and wrap, so any order gives the same.

/// Adds the products of a quad's float weights with activations.
#[inline(always)]
pub(crate) fn accumulate_float(sums: &mut [f32; 16], weights: &[[[u8; 4]; 16]], values: &[f32]) {
    for (weights, values) in weights.iter().zip(values.as_chunks::<4>().0) {
        for lane in 0..16 {
            sums[lane] += f32::from_le_bytes(weights[lane]) * values[lane % 4];
        }
    }
}

/// Adds the products of a quad's 8-bit weights with activations.
#[inline(always)]
pub(crate) fn accumulate_int8(sums: &mut [i32; 16], weights: &[[u8; 16]], values: &[i16]) {
    for (weights, values) in weights.iter().zip(values.as_chunks::<4>().0) {
        for lane in 0..16 {
            let product = i32::from(weights[lane] as i8) * i32::from(values[lane % 4]);
            sums[lane] = sums[lane].wrapping_add(product);
        }
    }
}

/// Folds the partial sums of each row: columns (0 + 1) + (2 + 3).
#[inline(always)]
pub(crate) fn fold<T: Copy>(sums: [T; 16], add: impl Fn(T, T) -> T) -> [T; 4] {
    core::array::from_fn(|row| {
        let s = &sums[4 * row..];
        add(add(s[0], s[1]), add(s[2], s[3]))
    })
}
