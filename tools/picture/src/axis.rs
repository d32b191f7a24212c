//! Chart axes: a range of values with ticks at round numbers.

/// Scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    Linear,
    /// Logarithmic.
    Logarithmic,
}

/// A tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Its value.
    pub at: f64,
    /// Its label.
    pub name: String,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Lower limit.
    pub from: f64,
    /// Upper limit, above `from`.
    pub to: f64,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// Round values with labels.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// A linear axis that covers the given values, with about `ticks` ticks; it ends at ticks.
    pub fn linear(label: impl Into<String>, (from, to): (f64, f64), ticks: usize) -> Self {
        let step = round_step((to - from) / ticks.max(1) as f64);
        // Counted, so that rounding errors do not accumulate.
        let (first, last) = ((from / step + 1e-9).floor(), (to / step - 1e-9).ceil());
        let last = last.max(first + 1.0);
        let count = (last - first) as usize;
        let decimals = (-step.log10()).ceil().clamp(0.0, 9.0) as usize;
        let tick = |index: usize| {
            let at = (first + index as f64) * step;
            Tick { at, name: format!("{at:.decimals$}") }
        };
        let ticks = (0..=count).map(tick).collect();
        let (from, to) = (first * step, last * step);
        Self { label: label.into(), from, to, scale: Scale::Linear, ticks }
    }

    /// A logarithmic axis that covers the given positive values, with ticks at 1, 2 and 5 times
    /// powers of ten, or at powers of ten only where those would be too many.
    pub fn logarithmic(label: impl Into<String>, (from, to): (f64, f64)) -> Self {
        let from = from.max(1e-9);
        let to = to.max(from * 1.000_001);
        let (low, high) = (from.log10().floor() as i32, to.log10().ceil() as i32);
        let digits: &[f64] = if high - low > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = low..=high;
        let marks: Vec<(f64, i32)> = powers
            .flat_map(|power| digits.iter().map(move |digit| (digit * 10f64.powi(power), power)))
            .collect();
        let from = marks.iter().map(|mark| mark.0).rfind(|&at| at <= from * 1.000_1);
        let to = marks.iter().map(|mark| mark.0).find(|&at| at >= to * 0.999_9);
        let (from, to) = (from.unwrap_or(10f64.powi(low)), to.unwrap_or(10f64.powi(high + 1)));
        let inside = marks.into_iter().filter(|&(at, _)| (from..=to).contains(&at));
        let name = |power: i32| (-power).clamp(0, 9) as usize;
        let ticks =
            inside.map(|(at, power)| Tick { at, name: format!("{at:.*}", name(power)) }).collect();
        Self { label: label.into(), from, to, scale: Scale::Logarithmic, ticks }
    }

    /// Position of a value: 0 at the start of the axis and 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Logarithmic => {
                let value = value.max(f64::MIN_POSITIVE);
                (value / self.from).ln() / (self.to / self.from).ln()
            }
        }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below a number.
fn round_step(least: f64) -> f64 {
    if least.is_nan() || least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    steps.into_iter().find(|&step| step >= least * 0.999_999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.name.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            names(&Axis::linear("", (0.0, 0.083), 5)),
            ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]
        );
        assert_eq!(
            names(&Axis::linear("", (0.0, 68.0), 7)),
            ["0", "10", "20", "30", "40", "50", "60", "70"]
        );
        assert_eq!(names(&Axis::linear("", (3.1, 3.1), 5)).len(), 2);
        assert_eq!(
            names(&Axis::logarithmic("", (0.03, 0.4))),
            ["0.02", "0.05", "0.1", "0.2", "0.5"]
        );
        assert_eq!(
            names(&Axis::logarithmic("", (1e-4, 20.0))),
            ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"]
        );
    }

    #[test]
    fn an_axis_holds_its_values() {
        for (from, to) in [(0.0, 1.0), (-3.0, 11.0), (4.2, 4.3), (1e-7, 2e-7)] {
            for axis in [Axis::linear("", (from, to), 5), Axis::logarithmic("", (from, to))] {
                for value in [from.max(1e-9), to] {
                    let place = axis.place(value);
                    assert!((-1e-3..=1.001).contains(&place), "{axis:?}: {value} at {place}");
                }
            }
        }
    }
}
