//! Sampling controls, as options of the command line.

use anyhow::ensure;
use clap::Args;
use pianola_runtime::{Sampling, SamplingParams, Scale};

use crate::options::named_scale::{NamedScale, Spelling};

#[derive(Args)]
// A negative number is parsed, so that the error states the range.
#[command(next_help_heading = "Sampling", allow_negative_numbers = true)]
pub struct Controls {
    /// Sampling temperature: below 1 more conservative, above 1 more random, 0 greedy.
    #[arg(long, default_value_t = 1.0, value_name = "T")]
    temperature: f32,
    /// Temperature of pitches [default: --temperature].
    #[arg(long, value_name = "T")]
    pitch_temperature: Option<f32>,
    /// Temperature of inter-onset intervals and durations [default: --temperature].
    #[arg(long, value_name = "T")]
    time_temperature: Option<f32>,
    /// Temperature of velocities [default: --temperature].
    #[arg(long, value_name = "T")]
    velocity_temperature: Option<f32>,
    /// Top-k sampling of pitches; 0 for no limit.
    #[arg(long, default_value_t = 0, value_name = "N")]
    top_k: u16,
    /// Nucleus (top-p) sampling: keep the likeliest values up to this probability mass; 1 for all.
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f32,
    /// Top-p of pitches [default: --top-p].
    #[arg(long, value_name = "P")]
    pitch_top_p: Option<f32>,
    /// Top-p of inter-onset intervals and durations [default: --top-p].
    #[arg(long, value_name = "P")]
    time_top_p: Option<f32>,
    /// Top-p of velocities [default: --top-p].
    #[arg(long, value_name = "P")]
    velocity_top_p: Option<f32>,
    /// Target notes per second, 0.1 to 100 [default: the model's own].
    #[arg(long, value_name = "N", help_heading = "Music")]
    density: Option<f32>,
    /// Lowest and highest pitch, such as 36 84 or C2 C6; middle C is 60 or C4 [default: 21 108, a piano].
    #[arg(long, num_args = 2, help_heading = "Music", value_names = ["LOW", "HIGH"], value_parser = pitch)]
    register: Option<Vec<u8>>,
    /// Scale: a root and a mode, such as dm or f#-minor; modes are major, minor, harmonic-minor,
    /// melodic-minor, dorian and the other church modes, pentatonic and blues; German and French names too.
    #[arg(long, value_name = "SCALE", help_heading = "Music")]
    scale: Option<NamedScale>,
    /// Maximum number of notes that sound at once; a note is cut off when the next one needs its voice.
    #[arg(long, value_name = "N", help_heading = "Music", value_parser = clap::value_parser!(u8).range(1..))]
    polyphony: Option<u8>,
    /// Disable the repetition guard, which breaks loops of repeated pitches.
    #[arg(long, alias = "no-loop-guard")]
    no_repetition_guard: bool,
    /// Disable the drift guard, which keeps register, pace and loudness in their usual range.
    #[arg(long)]
    no_drift_guard: bool,
}

/// Parses a MIDI pitch: a number or a name.
fn pitch(text: &str) -> Result<u8, String> {
    let named = || {
        let name = text.to_lowercase();
        let (above, octave) = Spelling::English.note(&name)?;
        let octave: i32 = octave.parse().ok().filter(|octave| (-1..10).contains(octave))?;
        u8::try_from(12 * (octave + 1) + above).ok()
    };
    let pitch = text.parse().ok().or_else(named).filter(|pitch| *pitch < 128);
    pitch.ok_or_else(|| "pitches are numbers from 0 to 127, or names: middle C is 60 or C4".into())
}

impl Controls {
    pub fn sampling(&self) -> anyhow::Result<Sampling> {
        let freedom = |part: &str, temperature: Option<f32>, top_p: Option<f32>| {
            let named = |apart: bool| if apart { format!("--{part}-") } else { "--".into() };
            let name = named(temperature.is_some());
            let temperature = temperature.unwrap_or(self.temperature);
            let right = temperature >= 0.0 && temperature.is_finite();
            ensure!(right, "{name}temperature must be a number from 0");
            let name = named(top_p.is_some());
            let top_p = top_p.unwrap_or(self.top_p);
            ensure!(top_p > 0.0 && top_p <= 1.0, "{name}top-p must be above 0, up to 1");
            Ok(SamplingParams::with_temperature(temperature).with_top_p(top_p))
        };
        let sensible = self.density.is_none_or(|density| (0.1..=100.0).contains(&density));
        ensure!(sensible, "--density must be from 0.1 to 100 notes a second");
        let (lowest, highest) = match self.register.as_deref() {
            Some(&[lowest, highest]) => (lowest, highest),
            _ => (Sampling::default().lowest, Sampling::default().highest),
        };
        ensure!(lowest <= highest, "--register {lowest} {highest}: the lowest pitch comes first");
        let scale = self.scale.map_or(Scale::CHROMATIC, |NamedScale(scale)| scale);
        let mut sampling = Sampling::default().with_scale(scale).with_register(lowest, highest);
        sampling.pitch = freedom("pitch", self.pitch_temperature, self.pitch_top_p)?;
        sampling.pitch.top_k = (self.top_k > 0).then_some(self.top_k);
        sampling.time = freedom("time", self.time_temperature, self.time_top_p)?;
        sampling.velocity = freedom("velocity", self.velocity_temperature, self.velocity_top_p)?;
        sampling.polyphony = self.polyphony;
        sampling.density = self.density;
        sampling.repetition_guard = !self.no_repetition_guard;
        sampling.drift_guard = !self.no_drift_guard;
        let some = (lowest..=highest).any(|pitch| sampling.scale.contains(pitch));
        ensure!(some, "--register {lowest} {highest} leaves no pitch of --scale: widen it");
        Ok(sampling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitches_are_read_by_number_and_by_name() {
        for (text, number) in [
            ("0", 0),
            ("60", 60),
            ("127", 127),
            ("c4", 60),
            ("C4", 60),
            ("Bb3", 58),
            ("bb3", 58),
            ("B3", 59),
            ("cb4", 59),
            ("F#5", 78),
            ("c-1", 0),
            ("G9", 127),
        ] {
            assert_eq!(pitch(text), Ok(number), "{text}");
        }
        for wrong in
            ["", "-1", "128", "c", "h4", "c##4", "cb-1", "g#9", "c10", "c99999999999", "ü4"]
        {
            assert!(pitch(wrong).is_err(), "{wrong}");
        }
    }
}
