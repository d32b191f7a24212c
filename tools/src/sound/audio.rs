//! Audio files: normalized to one loudness, and written while they are rendered.

use std::io::{self, Write};
#[cfg(feature = "ogg")]
use std::num::{NonZeroU8, NonZeroU32};
use std::path::Path;

use anyhow::Context;
use pianola_host::files::write_whole_with;
#[cfg(feature = "ogg")]
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisEncoder, VorbisEncoderBuilder};

use crate::sound::limiter::Limiter;
use crate::sound::loudness::Meter;
use crate::sound::soundfont::{LoadedFont, SoundFontPlayer};
use crate::sound::strings::Strings;
use crate::sound::tone::TonePlayer;
use crate::sound::{BLOCK, RATE, Sample, Source};

/// Samples of the fade-out at a file's end, to avoid a click.
const FADE: usize = RATE as usize / 4;

/// Notes and their synthesizer. The audio is rendered twice: first to measure it, then to write it.
///
/// Takes memory for the notes, what sounds at a time, and a SoundFont; none for its length.
pub struct Performance<'f> {
    pub strings: Strings,
    /// The plain tone if there is none.
    pub soundfont: Option<&'f LoadedFont>,
    /// Samples until its end.
    pub samples: usize,
    /// Called with the number of samples after each block; each sample counts twice.
    pub progress: Box<dyn Fn(usize) + 'f>,
}

impl Performance<'_> {
    /// Seconds that it lasts.
    pub fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(RATE)
    }

    /// Renders all samples, and passes them on block by block.
    fn play(&self, mut take: impl FnMut(&[Sample]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut source: Box<dyn Source> = match self.soundfont {
            Some(font) => Box::new(SoundFontPlayer::new(font, &self.strings)?),
            None => Box::new(TonePlayer::new(&self.strings)),
        };
        let mut block = [[0.0; 2]; BLOCK];
        let mut done = 0;
        while done < self.samples {
            let block = &mut block[..BLOCK.min(self.samples - done)];
            source.play(block)?;
            for (at, sample) in (done..).zip(block.iter_mut()) {
                let left = self.samples - 1 - at;
                if left < FADE {
                    *sample = sample.map(|side| side * left as f32 / FADE as f32);
                }
            }
            take(block)?;
            done += block.len();
            (self.progress)(block.len());
        }
        Ok(())
    }

    /// The same, normalized to the target loudness and limited.
    fn play_levelled(
        &self,
        mut take: impl FnMut(&[Sample]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut meter = Meter::new()?;
        self.play(|block| meter.measure(block))?;
        let gain = meter.gain()?;
        let mut limiter = Limiter::new();
        let (mut louder, mut out) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        self.play(|block| {
            louder.clear();
            louder.extend(block.iter().map(|sample| sample.map(|side| side * gain)));
            out.clear();
            limiter.limit(&louder, &mut out);
            take(&out)
        })?;
        out.clear();
        limiter.finish(&mut out);
        take(&out)
    }

    /// Writes a WAV file: 16 bits, stereo.
    pub fn write_wav(&self, path: &Path) -> anyhow::Result<()> {
        write_file(path, |file| {
            file.write_all(&wav_header(self.samples)?)?;
            let mut bytes = Vec::with_capacity(4 * BLOCK);
            self.play_levelled(|block| {
                bytes.clear();
                for side in block.iter().flatten() {
                    let level = (side * f32::from(i16::MAX)).round() as i16;
                    bytes.extend(level.to_le_bytes());
                }
                Ok(file.write_all(&bytes)?)
            })
        })
    }

    /// Writes an Ogg Vorbis file, less than a tenth of the size of the WAV file.
    #[cfg(feature = "ogg")]
    pub fn write_ogg(&self, path: &Path) -> anyhow::Result<()> {
        write_file(path, |file| {
            let mut encoder = ogg_encoder(file)?;
            self.play_levelled(|block| encode(&mut encoder, block))?;
            encoder.finish().map_err(io::Error::other)?;
            Ok(())
        })
    }
}

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // A synthesizer that refuses its SoundFont is no failure of the output.
    let mut refused = None;
    let written = write_whole_with(path, |file| {
        let mut file = io::BufWriter::new(file);
        write(&mut file).map_err(|error| {
            error.downcast::<io::Error>().unwrap_or_else(|error| {
                refused = Some(error);
                io::Error::other("not rendered")
            })
        })?;
        file.flush()
    });
    match refused {
        Some(error) => Err(error),
        None => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// The header of a WAV file of known length in samples, so that it can be written to a pipe.
fn wav_header(samples: usize) -> anyhow::Result<Vec<u8>> {
    const SIDES: u16 = 2;
    const BYTES: u16 = 2;
    let frame = SIDES * BYTES;
    let data = samples.checked_mul(usize::from(frame)).and_then(|bytes| u32::try_from(bytes).ok());
    let data = data.filter(|&bytes| bytes < u32::MAX - 36).context("too long for a WAV file")?;
    let word = |word: u16| word.to_le_bytes().to_vec();
    let long = |long: u32| long.to_le_bytes().to_vec();
    let (pcm, bits) = (1, 8 * BYTES);
    Ok([
        b"RIFF".to_vec(),
        long(36 + data),
        b"WAVEfmt ".to_vec(),
        [long(16), word(pcm), word(SIDES), long(RATE)].concat(),
        [long(RATE * u32::from(frame)), word(frame), word(bits)].concat(),
        b"data".to_vec(),
        long(data),
    ]
    .concat())
}

#[cfg(feature = "ogg")]
fn ogg_encoder<W: Write>(file: W) -> anyhow::Result<VorbisEncoder<W>> {
    let rate = NonZeroU32::new(RATE).context("no samples a second")?;
    let sides = NonZeroU8::MIN.saturating_add(1);
    // The stream's serial number is not random, so that the same audio gives the same file.
    let mut builder = VorbisEncoderBuilder::new_with_serial(rate, sides, file, 1);
    let quality = VorbisBitrateManagementStrategy::QualityVbr { target_quality: 0.6 };
    Ok(builder.bitrate_management_strategy(quality).build()?)
}

/// Samples per block of the encoder.
#[cfg(feature = "ogg")]
const OGG_BLOCK: usize = 1024;

#[cfg(feature = "ogg")]
fn encode<W: Write>(encoder: &mut VorbisEncoder<W>, block: &[Sample]) -> anyhow::Result<()> {
    for block in block.chunks(OGG_BLOCK) {
        let side = |side: usize| -> Vec<f32> { block.iter().map(|sample| sample[side]).collect() };
        encoder.encode_audio_block([side(0), side(1)]).map_err(io::Error::other)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_header_is_read_by_others() {
        let mut file = wav_header(3).unwrap();
        file.extend([1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
        let wav = hound::WavReader::new(file.as_slice()).unwrap();
        let spec = wav.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, RATE, 16));
        let samples: Vec<i16> = wav.into_samples().map(Result::unwrap).collect();
        assert_eq!(samples, [1, 2, 3, 4, 5, 6]);
        assert!(wav_header(1 << 30).is_err());
    }

    #[cfg(feature = "ogg")]
    #[test]
    fn an_ogg_file_sounds_as_it_should() {
        use std::f32::consts::TAU;

        // Half a second of silence, then a second of a tone on the left.
        let (silence, tone) = (RATE as usize / 2, RATE as usize);
        let sine = |at: usize| (TAU * 440.0 * at as f32 / RATE as f32).sin();
        let mut samples = vec![[0.0; 2]; silence];
        samples.extend((0..tone).map(|at| [0.8 * sine(at), 0.0]));
        let encoded = || {
            let mut encoder = ogg_encoder(Vec::new()).unwrap();
            samples.chunks(BLOCK).for_each(|block| encode(&mut encoder, block).unwrap());
            encoder.finish().unwrap()
        };
        let file = encoded();
        assert!(file == encoded(), "the same sound, another file");

        let mut decoder = vorbis_rs::VorbisDecoder::<&[u8]>::new(file.as_slice()).unwrap();
        assert_eq!((decoder.channels().get(), decoder.sampling_frequency().get()), (2, RATE));
        let mut sides = [Vec::new(), Vec::new()];
        while let Some(block) = decoder.decode_audio_block().unwrap() {
            for (side, samples) in sides.iter_mut().zip(block.samples()) {
                side.extend_from_slice(samples);
            }
        }
        for (side, decoded) in sides.iter().enumerate() {
            assert_eq!(decoded.len(), samples.len());
            let wrong =
                decoded.iter().zip(&samples).map(|(out, sides)| (out - sides[side]).powi(2));
            let error = (wrong.sum::<f32>() / samples.len() as f32).sqrt();
            assert!(error < 0.02, "{error}");
        }
    }
}
