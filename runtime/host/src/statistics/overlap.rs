//! Similarity of two distributions: the overlapped area of their densities.

/// Points at which densities are compared.
const GRID: usize = 2048;

/// Reach of kernels, and so of a density beyond the extremes, in bandwidths: the density further out
/// is below a millionth.
const REACH: f64 = 5.0;

/// Numbers this close count as equal: sums in another order may differ slightly.
const ROUNDING: f64 = 1e-9;

/// The area under both of two kernel density estimates, from 0 for disjoint distributions to 1 for
/// equal ones; `None` if either set is empty.
///
/// Kernels are Gaussian with Scott's bandwidth, the standard deviation times n^(-1/5), as in Yang
/// and Lerch's own code (`mgeval`). That code integrates from the smallest number to the largest
/// and so leaves out what the kernels spread beyond; here all of it counts, so equal sets overlap
/// by 1. Densities are taken on a grid, so that the time does not grow with the product of numbers
/// and points.
pub fn overlapped_area(a: &[f64], b: &[f64]) -> Option<f64> {
    let bandwidths = [bandwidth(a)?, bandwidth(b)?];
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (set, bandwidth) in [a, b].into_iter().zip(bandwidths) {
        for value in set {
            low = low.min(value - REACH * bandwidth);
            high = high.max(value + REACH * bandwidth);
        }
    }
    let width = (high - low) / (GRID - 1) as f64;
    let [a, b] = [(a, bandwidths[0]), (b, bandwidths[1])]
        .map(|(set, bandwidth)| density(set, low, width, bandwidth / width));
    Some(a.iter().zip(&b).map(|(a, b)| a.min(*b)).sum())
}

/// Scott's bandwidth, at least [`ROUNDING`].
fn bandwidth(set: &[f64]) -> Option<f64> {
    let count = set.len() as f64;
    let mean = set.iter().sum::<f64>() / count;
    let squares: f64 = set.iter().map(|value| (value - mean).powi(2)).sum();
    match set.len() {
        0 => None,
        1 => Some(ROUNDING),
        _ => Some(((squares / (count - 1.0)).sqrt() * count.powf(-0.2)).max(ROUNDING)),
    }
}

/// Mass at each point of the grid, 1 in all; the bandwidth is in points.
fn density(set: &[f64], low: f64, width: f64, bandwidth: f64) -> Vec<f64> {
    // Each number is split between its two neighbouring points, weighted by proximity.
    let mut masses = vec![0.0; GRID];
    for value in set {
        let place = (value - low) / width;
        let point = (place as usize).min(GRID - 2);
        let part = place - point as f64;
        masses[point] += 1.0 - part;
        masses[point + 1] += part;
    }
    // Kernels far narrower than a point are points.
    let reach = (REACH * bandwidth).ceil() as usize;
    let weight = |distance: usize| (-0.5 * (distance as f64 / bandwidth).powi(2)).exp();
    let kernel: Vec<f64> = match reach {
        0 | 1 => vec![1.0],
        _ => (0..=2 * reach).map(|place| weight(place.abs_diff(reach))).collect(),
    };
    let mut density = vec![0.0; GRID + kernel.len() - 1];
    for (point, mass) in masses.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
        for (density, weight) in density[point..].iter_mut().zip(&kernel) {
            *density += mass * weight;
        }
    }
    let mut density = density.split_off(kernel.len() / 2);
    density.truncate(GRID);
    let total: f64 = density.iter().sum();
    density.iter_mut().for_each(|mass| *mass /= total);
    density
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by its definition, without a grid of numbers: slow.
    fn by_definition(a: &[f64], b: &[f64]) -> f64 {
        let density = |set: &[f64], bandwidth: f64, at: f64| {
            let kernel = |value: &f64| (-0.5 * ((at - value) / bandwidth).powi(2)).exp();
            let scale = set.len() as f64 * bandwidth * std::f64::consts::TAU.sqrt();
            set.iter().map(kernel).sum::<f64>() / scale
        };
        let [h, k] = [a, b].map(|set| bandwidth(set).unwrap_or(f64::NAN));
        let low = a.iter().chain(b).copied().fold(f64::INFINITY, f64::min) - 8.0 * h.max(k);
        let high = a.iter().chain(b).copied().fold(f64::NEG_INFINITY, f64::max) + 8.0 * h.max(k);
        let step = (high - low) / 20_000.0;
        let at = |point: i32| low + (f64::from(point) + 0.5) * step;
        (0..20_000).map(|p| density(a, h, at(p)).min(density(b, k, at(p))) * step).sum()
    }

    #[test]
    fn two_pairs_of_kernels_overlap_as_in_a_table() {
        // Two numbers 1 apart deviate by sqrt(1/2), so each has a kernel of that times 2^(-1/5).
        let (a, b) = ([0.0, 1.0], [2.0, 3.0]);
        let h = bandwidth(&a).unwrap_or(f64::NAN);
        assert!((h - 0.615_572).abs() < 1e-6, "{h}");
        // The densities cross at 1.5, and beyond it lies of a: (Φ(-1.5 / h) + Φ(-0.5 / h)) / 2,
        // that is (0.00741 + 0.20832) / 2. As much of b lies below.
        let area = overlapped_area(&a, &b).unwrap_or(f64::NAN);
        assert!((area - 0.21573).abs() < 1e-4, "{area}");
        assert!((by_definition(&a, &b) - 0.21573).abs() < 1e-4);
    }

    #[test]
    fn extremes_are_0_1_or_nothing() {
        assert_eq!(overlapped_area(&[], &[1.0]), None);
        assert_eq!(overlapped_area(&[1.0], &[]), None);
        let area = |a, b| overlapped_area(a, b).unwrap_or(f64::NAN);
        assert!((area(&[1.0; 3], &[1.0; 5]) - 1.0).abs() < 1e-9);
        assert!((area(&[0.1 + 0.2; 3], &[0.3; 5]) - 1.0).abs() < 1e-6);
        assert_eq!(area(&[1.0; 3], &[2.0; 5]), 0.0);
        assert!(area(&[0.0, 1.0], &[1e6, 1e6 + 1.0]) < 1e-6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_area_is_a_share_whichever_way_round(
            a in proptest::collection::vec(-5f64..5.0, 2..60),
            b in proptest::collection::vec(-3f64..9.0, 2..60),
        ) {
            let area = overlapped_area(&a, &b).unwrap_or(f64::NAN);
            prop_assert!((0.0..=1.0 + 1e-9).contains(&area), "{}", area);
            prop_assert!((area - overlapped_area(&b, &a).unwrap_or(f64::NAN)).abs() < 1e-9);
            prop_assert!((overlapped_area(&a, &a).unwrap_or(f64::NAN) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn the_grid_costs_nothing(
            a in proptest::collection::vec(-5f64..5.0, 3..30),
            b in proptest::collection::vec(-3f64..9.0, 3..30),
        ) {
            let area = overlapped_area(&a, &b).unwrap_or(f64::NAN);
            prop_assert!((area - by_definition(&a, &b)).abs() < 2e-3, "{}", area);
        }
    }
}
