//! Sound as samples, and as a file.

use std::io::Cursor;
#[cfg(feature = "ogg")]
use std::num::{NonZeroU8, NonZeroU32};
use std::path::Path;

use anyhow::Context;
use hound::{SampleFormat, WavSpec, WavWriter};
use pianola_host::files::write_whole;
#[cfg(feature = "ogg")]
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisEncoderBuilder};

/// Samples a second, of each side.
pub const RATE: u32 = 44_100;

/// The loudest sample of a file, 1 dB below the most it holds: players that resample need room.
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

    /// What makes the loudest moment as loud as a file's loudest sample, multiplied.
    fn gain(&self) -> f32 {
        let sides = self.samples.iter().flatten();
        let loudest = sides.fold(0.0, |loudest: f32, side| loudest.max(side.abs()));
        if loudest > 0.0 { PEAK / loudest } else { 0.0 }
    }

    /// Writes a WAV file of 16 bits, stereo. All of it is made louder or softer by the same factor,
    /// so that the loudest moment just fits.
    pub fn write_wav(&self, path: &Path) -> anyhow::Result<()> {
        let gain = self.gain() * f32::from(i16::MAX);
        let spec = WavSpec {
            channels: 2,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::with_capacity(4 * self.samples.len() + 44));
        let mut encode = || -> hound::Result<()> {
            let mut writer = WavWriter::new(&mut file, spec)?;
            for side in self.samples.iter().flatten() {
                writer.write_sample((side * gain).round() as i16)?;
            }
            writer.finalize()
        };
        let written = encode().map_err(anyhow::Error::new);
        let written = written.and_then(|()| Ok(write_whole(path, file.get_ref())?));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes an Ogg Vorbis file, less than a tenth of the WAV file, as loud.
    #[cfg(feature = "ogg")]
    pub fn write_ogg(&self, path: &Path) -> anyhow::Result<()> {
        let written = self.ogg().and_then(|file| Ok(write_whole(path, &file)?));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    #[cfg(feature = "ogg")]
    fn ogg(&self) -> anyhow::Result<Vec<u8>> {
        let rate = NonZeroU32::new(RATE).context("no samples a second")?;
        // The same sound makes the same file, so the stream's number is not drawn.
        let mut builder = VorbisEncoderBuilder::new_with_serial(
            rate,
            NonZeroU8::MIN.saturating_add(1),
            Vec::new(),
            1,
        );
        let quality = VorbisBitrateManagementStrategy::QualityVbr { target_quality: 0.6 };
        let mut encoder = builder.bitrate_management_strategy(quality).build()?;
        let gain = self.gain();
        for block in self.samples.chunks(OGG_BLOCK) {
            let side = |side: usize| -> Vec<f32> {
                block.iter().map(|sample| gain * sample[side]).collect()
            };
            encoder.encode_audio_block([side(0), side(1)])?;
        }
        Ok(encoder.finish()?)
    }
}

/// Samples that are encoded at a time.
#[cfg(feature = "ogg")]
const OGG_BLOCK: usize = 1024;

#[cfg(all(test, feature = "ogg"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::f32::consts::TAU;

    use vorbis_rs::VorbisDecoder;

    use super::*;

    #[test]
    fn an_ogg_file_sounds_as_it_should() {
        // Half a second of silence, then one of a tone on the left.
        let (silence, tone) = (RATE as usize / 2, RATE as usize);
        let sine = |index: usize| (TAU * 440.0 * index as f32 / RATE as f32).sin();
        let mut audio = Audio::silent(silence);
        audio.samples.extend((0..tone).map(|index| [0.3 * sine(index), 0.0]));
        let file = audio.ogg().unwrap();
        assert!(file == audio.ogg().unwrap(), "the same sound, another file");

        let mut decoder = VorbisDecoder::<&[u8]>::new(file.as_slice()).unwrap();
        assert_eq!((decoder.channels().get(), decoder.sampling_frequency().get()), (2, RATE));
        let mut sides = [Vec::new(), Vec::new()];
        while let Some(block) = decoder.decode_audio_block().unwrap() {
            for (side, samples) in sides.iter_mut().zip(block.samples()) {
                side.extend_from_slice(samples);
            }
        }
        let [left, right] = sides;
        assert_eq!((left.len(), right.len()), (silence + tone, silence + tone));
        let error = |side: &[f32], wanted: f32| {
            let from = silence.saturating_sub(1000);
            let wrong = side[from..].iter().enumerate().map(|(index, sample)| {
                let after = (from + index).checked_sub(silence);
                (sample - after.map_or(0.0, |index| wanted * sine(index))).powi(2)
            });
            (wrong.sum::<f32>() / (side.len() - from) as f32).sqrt()
        };
        assert!(error(&left, PEAK) < 0.02, "{}", error(&left, PEAK));
        assert!(error(&right, 0.0) < 0.02, "{}", error(&right, 0.0));
    }
}
