//! Sound as samples, and as a WAV file.

use std::io::Cursor;
use std::path::Path;

use anyhow::Context;
use hound::{SampleFormat, WavSpec, WavWriter};
use pianola_runtime::files::write_whole;

/// Samples a second, of each side.
pub const RATE: u32 = 44_100;

/// The loudest sample of a file, 1 dB below what its format holds: players that resample need room.
const PEAK: f32 = 0.891;

/// Sound, as loud as it came out of an instrument.
pub struct Audio {
    /// Left and right.
    pub samples: Vec<[f32; 2]>,
}

impl Audio {
    /// Silence.
    pub fn silent(samples: usize) -> Self {
        Self { samples: vec![[0.0; 2]; samples] }
    }

    /// Seconds that it lasts.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(RATE)
    }

    /// Falls silent over its last samples, so that it does not end with a click.
    pub fn fade_out(&mut self, samples: usize) {
        let count = samples.min(self.samples.len());
        let last = self.samples.iter_mut().rev().take(count);
        for (index, sample) in last.enumerate() {
            let gain = index as f32 / count as f32;
            *sample = sample.map(|side| side * gain);
        }
    }

    /// Writes a WAV file of 16 bits, stereo. All of it is made louder or softer by the same factor,
    /// so that the loudest moment just fits.
    pub fn write_wav(&self, path: &Path) -> anyhow::Result<()> {
        let sides = || self.samples.iter().flatten();
        let loudest = sides().fold(0.0, |loudest: f32, side| loudest.max(side.abs()));
        let gain = if loudest > 0.0 { PEAK * f32::from(i16::MAX) / loudest } else { 0.0 };
        let spec = WavSpec {
            channels: 2,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::with_capacity(4 * self.samples.len() + 44));
        let mut encode = || -> hound::Result<()> {
            let mut writer = WavWriter::new(&mut file, spec)?;
            for side in sides() {
                writer.write_sample((side * gain).round() as i16)?;
            }
            writer.finalize()
        };
        let written = encode().map_err(anyhow::Error::new);
        let written = written.and_then(|()| Ok(write_whole(path, file.get_ref())?));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}
