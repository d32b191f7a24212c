//! How notes are drawn, as options of the command line.

use anyhow::ensure;
use clap::Args;
use pianola_runtime::{Sampling, SamplingParams, Scale};

use crate::options::named_scale::{NamedScale, named_note};

#[derive(Args)]
// For a negative number, they say what is allowed.
#[command(next_help_heading = "Controls", allow_negative_numbers = true)]
pub struct Controls {
    /// Below 1 the likely becomes likelier, above 1 the unlikely; 0 takes the likeliest.
    #[arg(long, default_value_t = 1.0, value_name = "T")]
    temperature: f32,
    /// Temperature of pitches alone.
    #[arg(long, value_name = "T")]
    pitch_temperature: Option<f32>,
    /// Temperature of steps and durations alone.
    #[arg(long, value_name = "T")]
    time_temperature: Option<f32>,
    /// Temperature of velocities alone.
    #[arg(long, value_name = "T")]
    velocity_temperature: Option<f32>,
    /// Draw only among the N likeliest pitches; 0 for all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    top_k: u16,
    /// Draw only among the likeliest choices that have this much probability together.
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f32,
    /// --top-p of pitches alone.
    #[arg(long, value_name = "P")]
    pitch_top_p: Option<f32>,
    /// --top-p of steps and durations alone.
    #[arg(long, value_name = "P")]
    time_top_p: Option<f32>,
    /// --top-p of velocities alone.
    #[arg(long, value_name = "P")]
    velocity_top_p: Option<f32>,
    /// Notes a second to aim at, 0.1 to 100 [default: as the model means, held near the pace of most songs; melodies
    /// and pieces of limited polyphony may be slower].
    #[arg(long, value_name = "N")]
    density: Option<f32>,
    /// Lowest and highest pitch, such as 36 84 or C2 C6: middle C is 60 or C4.
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], value_parser = pitch)]
    register: Option<Vec<u8>>,
    /// Stay in a scale, such as c-major, f#-minor or bb-pentatonic.
    #[arg(long, value_name = "SCALE")]
    scale: Option<NamedScale>,
    /// Most pitches that sound at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    polyphony: Option<u8>,
    /// Let the music go round in circles.
    #[arg(long)]
    no_loop_guard: bool,
    /// Let the music stray: to one end of the keyboard, to a pace faster or slower than that of most songs, or
    /// for long to another loudness than at its start.
    #[arg(long)]
    no_drift_guard: bool,
}

/// Reads a MIDI pitch, by its number or its name.
fn pitch(text: &str) -> Result<u8, String> {
    let named = || {
        let name = text.to_lowercase();
        let (above, octave) = named_note(&name)?;
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
            _ => (0, 127),
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
        sampling.repetition_guard = !self.no_loop_guard;
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
