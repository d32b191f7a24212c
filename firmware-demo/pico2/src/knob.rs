//! A knob whose position does not jitter.

/// Smooths the converter's measurements and maps them to a position, 0 to 127.
pub struct Knob {
    /// Sixteen times the measured value, smoothed over sixteen measurements.
    smooth: u16,
    position: u8,
}

impl Knob {
    /// Width of one position, in units of [`Self::smooth`].
    const STEP: u16 = 16 * (4096 / 128);

    /// A knob with its first measurement, 0 to 4095.
    pub fn new(measured: u16) -> Self {
        let smooth = 16 * measured.min(4095);
        Self { smooth, position: Self::position_of(smooth) }
    }

    /// Adds a measurement, 0 to 4095.
    pub fn measure(&mut self, measured: u16) {
        self.smooth = self.smooth - self.smooth / 16 + measured.min(4095);
        // Smoothed noise does not reach a quarter of a step beyond the edge of the position.
        let middle = u16::from(self.position) * Self::STEP + Self::STEP / 2;
        if self.smooth.abs_diff(middle) > Self::STEP / 4 * 3 {
            self.position = Self::position_of(self.smooth);
        }
    }

    /// Position, 0 to 127.
    pub fn position(&self) -> u8 {
        self.position
    }

    fn position_of(smooth: u16) -> u8 {
        (smooth / Self::STEP).min(127) as u8
    }
}
