//! A piano tone by additive synthesis, for users without a SoundFont.
//!
//! A string's partials are a little sharp of the multiples of its frequency, because it is stiff;
//! a harder hammer excites more of them; and the higher they are, the sooner they decay.
//! The strings of one note are slightly detuned: one part of the sound decays fast,
//! the other beats with it and sustains.

use std::f32::consts::{PI, TAU};

use pianola_host::midi_file::TimedNote;
use rayon::prelude::*;

use crate::sound::strings::Strings;
use crate::sound::{RATE, Sample, Source};

/// Synthesizer of notes.
pub struct TonePlayer<'s> {
    /// Notes that have not started yet, by onset.
    notes: &'s [TimedNote],
    voices: Vec<Voice>,
    /// Samples played.
    now: usize,
}

impl<'s> TonePlayer<'s> {
    pub fn new(strings: &'s Strings) -> Self {
        Self { notes: &strings.0, voices: Vec::new(), now: 0 }
    }
}

impl Source for TonePlayer<'_> {
    fn play(&mut self, block: &mut [Sample]) -> anyhow::Result<()> {
        let sample = |seconds: f64| (seconds * f64::from(RATE)).round() as usize;
        let end = self.now + block.len();
        let begin = self.notes.partition_point(|note| sample(note.start) < end);
        let (begin, later) = self.notes.split_at(begin);
        self.notes = later;
        self.voices.extend(begin.iter().map(|note| {
            let start = sample(note.start);
            let held = sample(note.end).saturating_sub(start);
            Voice::new(note.pitch, note.velocity, start.saturating_sub(self.now), held)
        }));
        // Voices are summed in order, so that the sums are the same for any number of threads.
        let length = block.len();
        let tones: Vec<Vec<f32>> =
            self.voices.par_iter_mut().map(|voice| voice.next(length)).collect();
        block.fill([0.0; 2]);
        for (voice, tone) in self.voices.iter().zip(tones) {
            let [left, right] = voice.sides;
            for (sum, part) in block.iter_mut().zip(tone) {
                *sum = [sum[0] + left * part, sum[1] + right * part];
            }
        }
        self.voices.retain(|voice| !voice.is_over());
        self.now = end;
        Ok(())
    }
}

/// A decaying sine.
struct Partial {
    amplitude: f32,
    frequency: f32,
    /// Time constant of its decay.
    seconds: f32,
}

/// Partials softer than the first by this factor, 70 dB, are omitted.
const INAUDIBLE: f32 = 3e-4;

/// The partials of a note.
fn partials(pitch: u8, velocity: u8) -> Vec<Partial> {
    let pitch = f32::from(pitch);
    let force = f32::from(velocity.clamp(1, 127)) / 127.0;
    let fundamental = 440.0 * ((pitch - 69.0) / 12.0).exp2();
    let stiffness = (1e-4 * ((pitch - 40.0) / 10.0).exp2()).clamp(6e-5, 0.02);
    // A soft hammer damps vibrations faster than its contact time.
    let hardness = 200.0 + 1000.0 * force.powf(1.5) + 0.3 * fundamental;
    let seconds = 4.0 * ((21.0 - pitch) / 20.0).exp2();
    let highest = (0.45 * RATE as f32).min(16_000.0);

    let mut partials = Vec::new();
    for number in 1..=40u8 {
        let multiple = f32::from(number);
        let stretch = (1.0 + stiffness * multiple * multiple).sqrt();
        let frequency = multiple * fundamental * stretch;
        if frequency > highest {
            break;
        }
        // A string struck near an eighth of its length has almost no eighth partial.
        let struck = (PI * multiple * 0.12).sin() / (PI * 0.12).sin();
        let loudness = (-(frequency - fundamental) / hardness).exp() / multiple.sqrt();
        let amplitude = struck * loudness;
        let seconds = seconds / (1.0 + 0.15 * (multiple - 1.0));
        if amplitude.abs() > INAUDIBLE {
            let fast = Partial { amplitude: 0.7 * amplitude, frequency, seconds };
            let detuned = frequency * 1.0003;
            let slow =
                Partial { amplitude: 0.3 * amplitude, frequency: detuned, seconds: 3.0 * seconds };
            partials.extend([fast, slow]);
        }
    }
    // Normalizes the power, so that low and high notes are as loud as those between.
    let power: f32 = partials.iter().map(|partial| partial.amplitude * partial.amplitude).sum();
    let gain = 0.2 * force.powf(1.7) / power.sqrt().max(1e-6);
    partials.iter_mut().for_each(|partial| partial.amplitude *= gain);
    // Knock of the key and the hammer on the wood.
    for (frequency, seconds) in [(90.0, 0.05), (170.0, 0.04), (260.0, 0.03)] {
        partials.push(Partial { amplitude: 0.08 * gain, frequency, seconds });
    }
    // Partials that decay first come last, where they are soon dropped.
    partials.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    partials
}

/// Number of sines per bank (SIMD lanes).
const LANES: usize = 8;

/// Samples per call of a bank.
const CHUNK: usize = 128;

/// A bank of sines, each a complex number that is rotated and scaled from sample to sample.
#[derive(Clone, Copy)]
struct Bank {
    real: [f32; LANES],
    imaginary: [f32; LANES],
    turn_real: [f32; LANES],
    turn_imaginary: [f32; LANES],
}

impl Bank {
    fn new(partials: &[Partial]) -> Self {
        let none = [0.0; LANES];
        let mut bank = Self { real: none, imaginary: none, turn_real: none, turn_imaginary: none };
        for (lane, partial) in partials.iter().enumerate() {
            let shrink = (-1.0 / (partial.seconds * RATE as f32)).exp();
            let (sine, cosine) = (TAU * partial.frequency / RATE as f32).sin_cos();
            bank.real[lane] = partial.amplitude;
            bank.turn_real[lane] = shrink * cosine;
            bank.turn_imaginary[lane] = shrink * sine;
        }
        bank
    }

    /// Adds the next samples, each lane's to its own sum.
    fn play(&mut self, sums: &mut [[f32; LANES]]) {
        // Copied, so that they stay in registers.
        let Self { mut real, mut imaginary, turn_real, turn_imaginary } = *self;
        for sums in sums {
            for lane in 0..LANES {
                let (cosine, sine) = (turn_real[lane], turn_imaginary[lane]);
                let next = real[lane] * cosine - imaginary[lane] * sine;
                imaginary[lane] = real[lane] * sine + imaginary[lane] * cosine;
                real[lane] = next;
                // Each sine starts at zero, as a string does.
                sums[lane] += imaginary[lane];
            }
        }
        (self.real, self.imaginary) = (real, imaginary);
    }

    /// Shortens the decay of all sines.
    fn dampen(&mut self, shrink: f32) {
        let turns = self.turn_real.iter_mut().chain(&mut self.turn_imaginary);
        turns.for_each(|turn| *turn *= shrink);
    }

    fn is_silent(&self) -> bool {
        let size = |lane: usize| self.real[lane].abs().max(self.imaginary[lane].abs());
        (0..LANES).all(|lane| size(lane) < 1e-5)
    }
}

/// From this pitch on, strings have no dampers.
const UNDAMPED: u8 = 89;

/// A sounding string.
struct Voice {
    banks: Vec<Bank>,
    pitch: u8,
    /// Gain on the left and on the right.
    sides: [f32; 2],
    /// Samples until its onset.
    wait: usize,
    /// Samples since its onset.
    age: usize,
    /// Samples until its key is released.
    held: usize,
    damped: bool,
    /// Contact time of the hammer, in samples: some milliseconds, shorter for a hard one.
    contact: f32,
}

impl Voice {
    fn new(pitch: u8, velocity: u8, wait: usize, held: usize) -> Self {
        // Panning from the player's seat: low notes on the left.
        let angle = PI / 4.0 * (1.0 + 0.6 * (f32::from(pitch) - 64.0) / 64.0);
        let (right, left) = angle.sin_cos();
        Self {
            banks: partials(pitch, velocity).chunks(LANES).map(Bank::new).collect(),
            pitch,
            sides: [left, right],
            wait,
            age: 0,
            held,
            damped: false,
            contact: RATE as f32 * (0.003 - 0.002 * f32::from(velocity.min(127)) / 127.0),
        }
    }

    /// Whether it has decayed.
    fn is_over(&self) -> bool {
        self.banks.is_empty()
    }

    /// Renders the next samples; fewer if it decays before.
    fn next(&mut self, length: usize) -> Vec<f32> {
        let wait = self.wait.min(length);
        self.wait -= wait;
        let mut samples = vec![0.0; wait];
        samples.reserve_exact(length - wait);
        while samples.len() < length && !self.banks.is_empty() {
            if self.age >= self.held && !self.damped && self.pitch < UNDAMPED {
                self.dampen();
            }
            let mut count = CHUNK.min(length - samples.len());
            if self.age < self.held {
                count = count.min(self.held - self.age);
            }
            let mut sums = [[0.0; LANES]; CHUNK];
            self.banks.iter_mut().for_each(|bank| bank.play(&mut sums[..count]));
            for (age, sums) in (self.age..).zip(&sums[..count]) {
                let sum: f32 = sums.iter().sum();
                let part = age as f32 / self.contact;
                samples.push(if part < 1.0 { sum * (0.5 - 0.5 * (PI * part).cos()) } else { sum });
            }
            self.age += count;
            while self.banks.last().is_some_and(Bank::is_silent) {
                self.banks.pop();
            }
        }
        samples
    }

    fn dampen(&mut self) {
        // Long strings are damped more slowly.
        let seconds = 0.08 * ((60.0 - f32::from(self.pitch)) / 36.0).exp2();
        let shrink = (-1.0 / (seconds * RATE as f32)).exp();
        self.banks.iter_mut().for_each(|bank| bank.dampen(shrink));
        self.damped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: usize = RATE as usize;

    /// A note whose key is held for some samples, until it has decayed or up to a maximum of samples.
    fn tone(pitch: u8, velocity: u8, held: usize, most: usize) -> Vec<f32> {
        Voice::new(pitch, velocity, 0, held).next(most)
    }

    #[test]
    fn blocks_of_any_length_sound_alike() {
        let note = |pitch, start| TimedNote { start, end: start + 0.3, pitch, velocity: 80 };
        let strings = Strings(vec![note(60, 0.05), note(64, 0.05), note(96, 0.41)]);
        let play = |length: usize| {
            let mut player = TonePlayer::new(&strings);
            let mut samples = vec![[0.0; 2]; SECOND];
            samples.chunks_mut(length).for_each(|block| assert!(player.play(block).is_ok()));
            samples
        };
        let (short, long) = (play(100), play(SECOND));
        let difference =
            short.iter().flatten().zip(long.iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(difference.fold(0.0, f32::max) < 1e-4);
        let start = (0.05 * RATE as f32) as usize;
        assert!(long[..start].iter().all(|sample| *sample == [0.0; 2]));
        assert!(long[start + 200..][..200].iter().any(|sample| sample[0].abs() > 1e-3));
    }

    /// Root mean square.
    fn loudness(samples: &[f32]) -> f32 {
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    }

    /// Amplitude at a frequency, by a Fourier sum.
    fn amount(samples: &[f32], frequency: f32) -> f32 {
        let turn = TAU * frequency / RATE as f32;
        let sum = samples.iter().enumerate().fold((0.0, 0.0), |(cosine, sine), (index, sample)| {
            let angle = turn * index as f32;
            (cosine + sample * angle.cos(), sine + sample * angle.sin())
        });
        f32::hypot(sum.0, sum.1) / samples.len() as f32
    }

    #[test]
    fn a_note_has_its_frequency() {
        let tone = tone(69, 80, SECOND, SECOND);
        let fundamental = amount(&tone[..SECOND / 2], 440.0);
        for other in [415.3, 466.2, 330.0, 550.0] {
            assert!(fundamental > 20.0 * amount(&tone[..SECOND / 2], other), "{other} Hz");
        }
    }

    #[test]
    fn louder_notes_are_louder_and_brighter() {
        let [soft, loud] = [30, 110].map(|velocity| tone(60, velocity, SECOND, SECOND));
        assert!(loudness(&loud) > 3.0 * loudness(&soft));
        let overtones = |tone: &[f32]| amount(tone, 5.0 * 261.6 * 1.005) / amount(tone, 261.6);
        assert!(overtones(&loud[..4096]) > 2.0 * overtones(&soft[..4096]));
    }

    #[test]
    fn low_notes_last_and_released_ones_do_not() {
        let lasts = |pitch, held| tone(pitch, 80, held, 20 * SECOND).len() as f32 / RATE as f32;
        let left = |pitch| {
            let tone = tone(pitch, 80, 2 * SECOND, 2 * SECOND);
            loudness(&tone[SECOND..]) / loudness(&tone[..SECOND])
        };
        assert!(left(36) > 1.3 * left(60) && left(60) > 1.3 * left(84));
        let released = lasts(60, SECOND / 2);
        assert!((0.6..1.7).contains(&released), "{released} s");
        assert!(lasts(100, SECOND / 20) > 0.5, "the highest strings have no dampers");
        assert!(tone(60, 80, 0, 100).len() == 100);
    }

    #[test]
    fn every_note_is_finite_and_about_as_loud() {
        for pitch in 0..=127 {
            let tone = tone(pitch, 80, SECOND, SECOND);
            let start = loudness(&tone[..SECOND / 20]);
            assert!((0.005..0.2).contains(&start), "{pitch}: {start}");
            assert!(tone.iter().all(|sample| sample.abs() < 1.0), "{pitch}");
        }
    }
}
