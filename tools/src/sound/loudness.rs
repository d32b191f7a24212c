//! Perceived loudness, as EBU R 128 measures it.

use anyhow::Context;
use ebur128::{EbuR128, Mode};

use crate::sound::{RATE, Sample};

/// Target loudness of all files, in LUFS: ReplayGain's reference. A piano's attacks are 15 to 20 dB
/// above it, so few of them reach the limiter.
pub const TARGET: f64 = -18.0;

/// Measures loudness, gated at 10 LU below the ungated loudness, so that pauses do not count.
pub struct Meter(EbuR128);

/// Gain of 60 dB that is applied before the measurement: instruments may be softer
/// than the absolute gate of EBU R 128, -70 LUFS.
const BOOST: f32 = 1000.0;
const BOOST_DECIBELS: f64 = 60.0;

impl Meter {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(EbuR128::new(2, RATE, Mode::I).context("cannot measure loudness")?))
    }

    pub fn measure(&mut self, block: &[Sample]) -> anyhow::Result<()> {
        let boosted: Vec<f32> = block.iter().flatten().map(|side| side * BOOST).collect();
        self.0.add_frames_f32(&boosted).context("cannot measure loudness")
    }

    /// The factor that brings the sound to [`TARGET`]; 1 for silence.
    pub fn gain(&self) -> anyhow::Result<f32> {
        let loudness = self.0.loudness_global().context("cannot measure loudness")?;
        let gain = 10f64.powf((TARGET - loudness + BOOST_DECIBELS) / 20.0) as f32;
        Ok(if gain.is_finite() { gain } else { 1.0 })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    #[test]
    fn a_sine_has_the_loudness_that_the_standard_gives_it() {
        // A sine of 1 kHz on both channels has a loudness in LUFS equal to its peak in dBFS.
        for peak in [0.5f32, 1e-5] {
            let mut meter = Meter::new().unwrap();
            let sine = |at: usize| [peak * (TAU * 997.0 * at as f32 / RATE as f32).sin(); 2];
            meter.measure(&(0..3 * RATE as usize).map(sine).collect::<Vec<_>>()).unwrap();
            let wanted = 10f32.powf(TARGET as f32 / 20.0);
            let reached = meter.gain().unwrap() * peak;
            assert!((reached / wanted - 1.0).abs() < 0.02, "{peak}: {reached} for {wanted}");
        }
    }

    #[test]
    fn silence_stays_silence() {
        let mut meter = Meter::new().unwrap();
        meter.measure(&vec![[0.0; 2]; 2 * RATE as usize]).unwrap();
        assert_eq!(meter.gain().unwrap(), 1.0);
    }
}
