//! A knob that keeps still when nobody turns it.

/// Smooths what the converter measures and finds the position, 0 to 127, that this is.
pub struct Knob {
    /// Sixteen times the measured value, smoothed over sixteen measurements.
    smooth: u16,
    position: u8,
}

impl Knob {
    /// Of [`Self::smooth`], one position.
    const STEP: u16 = 16 * (4096 / 128);

    /// A knob of which this has been measured first: 0 to 4095.
    pub fn new(measured: u16) -> Self {
        let smooth = 16 * measured.min(4095);
        Self { smooth, position: Self::position_of(smooth) }
    }

    /// Takes in what has been measured, 0 to 4095.
    pub fn measure(&mut self, measured: u16) {
        self.smooth = self.smooth - self.smooth / 16 + measured.min(4095);
        // Noise, so smoothed, does not reach a quarter of a step beyond the border of the position.
        let middle = u16::from(self.position) * Self::STEP + Self::STEP / 2;
        if self.smooth.abs_diff(middle) > Self::STEP / 4 * 3 {
            self.position = Self::position_of(self.smooth);
        }
    }

    /// Where it stands, 0 to 127.
    pub fn position(&self) -> u8 {
        self.position
    }

    fn position_of(smooth: u16) -> u8 {
        (smooth / Self::STEP).min(127) as u8
    }
}
