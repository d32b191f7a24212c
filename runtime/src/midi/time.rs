//! Points in time and durations, as two types that cannot be mixed up.
//!
//! Both are one 64-bit count of microseconds, as the timers of boards have it, and adding takes one
//! addition. [`core::time::Duration`] counts seconds and nanoseconds: comparing it with a timer takes
//! divisions, and its operators panic on overflow, which no board's note loop may. Here, differences saturate
//! at zero, and sums wrap after half a million years.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time on the caller's clock, in microseconds since that clock started.
///
/// ```
/// use pianola_runtime::{Instant, Micros};
/// let start = Instant::from_micros(500);
/// assert_eq!(start + Micros::from_millis(2) - start, Micros::from_micros(2_000));
/// assert_eq!(start - Instant::MAX, Micros::ZERO); // never negative
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// A duration, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u64);

impl Instant {
    /// The start of the clock.
    pub const START: Self = Self(0);

    /// Later than any other: never.
    pub const MAX: Self = Self(u64::MAX);

    /// A point in time, in microseconds since the clock started.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock started.
    pub const fn as_micros(self) -> u64 {
        self.0
    }
}

impl Micros {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// A duration in microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A duration in milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.wrapping_mul(1_000))
    }

    /// A duration in seconds; negative values and NaN give zero.
    pub const fn from_seconds(seconds: f32) -> Self {
        Self((seconds * 1e6) as u64)
    }

    /// In microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// In seconds.
    pub const fn as_seconds(self) -> f32 {
        self.0 as f32 / 1e6
    }
}

impl Add<Micros> for Instant {
    type Output = Self;

    fn add(self, length: Micros) -> Self {
        Self(self.0.wrapping_add(length.0))
    }
}

impl AddAssign<Micros> for Instant {
    fn add_assign(&mut self, length: Micros) {
        *self = *self + length;
    }
}

impl Sub<Micros> for Instant {
    type Output = Self;

    fn sub(self, length: Micros) -> Self {
        Self(self.0.saturating_sub(length.0))
    }
}

impl Sub for Instant {
    type Output = Micros;

    /// The time since an earlier point in time; zero since a later one.
    fn sub(self, earlier: Self) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Micros> for Duration {
    fn from(length: Micros) -> Self {
        Self::from_micros(length.0)
    }
}
