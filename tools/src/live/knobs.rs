//! Live controls: what is turned while Pianola plays, by a MIDI controller or by keys of the computer.

use std::ops::RangeInclusive;

use pianola_runtime::{Sampling, SamplingParams, Scale};

use crate::options::named_scale::{NamedScale, PITCH_CLASSES};

/// One of the controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// Of all parts of a note.
    Temperature,
    PitchTemperature,
    TimeTemperature,
    VelocityTemperature,
    /// Notes a second that are aimed at.
    Density,
    /// Lowest pitch.
    Lowest,
    /// Highest pitch.
    Highest,
    Scale,
    /// Most pitches at once.
    Polyphony,
}

/// The keys of a piano, of which one at least can always be played.
const PIANO: RangeInclusive<u8> = 21..=108;

/// Pitches that the player sounds at once: as many as this are no limit.
const VOICES: i16 = 32;

impl Knob {
    pub const ALL: [Self; 9] = [
        Self::Temperature,
        Self::PitchTemperature,
        Self::TimeTemperature,
        Self::VelocityTemperature,
        Self::Density,
        Self::Lowest,
        Self::Highest,
        Self::Scale,
        Self::Polyphony,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::PitchTemperature => "pitch-temperature",
            Self::TimeTemperature => "time-temperature",
            Self::VelocityTemperature => "velocity-temperature",
            Self::Density => "density",
            Self::Lowest => "lowest",
            Self::Highest => "highest",
            Self::Scale => "scale",
            Self::Polyphony => "polyphony",
        }
    }

    /// Sets the control by the value of a controller, 0 to 127.
    ///
    /// Temperature and scale are as on boards: 64 is a temperature of 1, and scales have
    /// [numbers](Scale::numbered). The density is an eighth of the value in notes a second, and at 0 as
    /// the model means it. The lowest and highest pitch are the value itself; four values are one
    /// voice, and the last four are no limit.
    pub fn turn(self, sampling: &mut Sampling, value: u8) {
        match self {
            Self::Density => sampling.density = (value > 0).then(|| f32::from(value) / 8.0),
            Self::Lowest => set_lowest(sampling, value.into()),
            Self::Highest => set_highest(sampling, value.into()),
            Self::Scale => set_scale(sampling, Scale::numbered(value)),
            Self::Polyphony => set_voices(sampling, i16::from(value / 4) + 1),
            temperature => temperature.set_temperature(sampling, f32::from(value) / 64.0),
        }
    }

    /// Moves the control by so many small steps, up or, if negative, down.
    pub fn step(self, sampling: &mut Sampling, steps: i16) {
        match self {
            Self::Density => {
                // From what the model means, which is about as much.
                const MEANT: f32 = 8.0;
                let from = sampling.density.unwrap_or(MEANT);
                sampling.density = Some(stepped(from, 2.0, steps).clamp(0.5, 16.0));
            }
            Self::Lowest => set_lowest(sampling, i16::from(sampling.lowest).saturating_add(steps)),
            Self::Highest => {
                set_highest(sampling, i16::from(sampling.highest).saturating_add(steps));
            }
            Self::Scale => {
                let at = NamedScale::all().position(|scale| scale == sampling.scale).unwrap_or(0);
                let last = NamedScale::all().count() - 1;
                let to = at.saturating_add_signed(steps.into()).min(last);
                set_scale(sampling, NamedScale::all().nth(to).unwrap_or(Scale::CHROMATIC));
            }
            Self::Polyphony => set_voices(sampling, voices(sampling).saturating_add(steps)),
            temperature => {
                let from = temperature.temperature(sampling);
                temperature.set_temperature(sampling, stepped(from, 20.0, steps).clamp(0.0, 2.0));
            }
        }
    }

    /// Sets the control as it is elsewhere, such as at the start.
    pub fn copy(self, sampling: &mut Sampling, from: &Sampling) {
        match self {
            Self::Temperature => {
                for part in
                    [Self::PitchTemperature, Self::TimeTemperature, Self::VelocityTemperature]
                {
                    part.copy(sampling, from);
                }
            }
            Self::Density => sampling.density = from.density,
            Self::Lowest => set_lowest(sampling, from.lowest.into()),
            Self::Highest => set_highest(sampling, from.highest.into()),
            Self::Scale => set_scale(sampling, from.scale),
            Self::Polyphony => sampling.polyphony = from.polyphony,
            temperature => temperature.set_temperature(sampling, temperature.temperature(from)),
        }
    }

    /// How the control stands, in words.
    pub fn shown(self, sampling: &Sampling) -> String {
        let Sampling { pitch, time, velocity, .. } = sampling;
        match self {
            Self::Temperature
                if pitch.temperature != time.temperature
                    || pitch.temperature != velocity.temperature =>
            {
                "set apart".into()
            }
            Self::Density => match sampling.density {
                Some(density) => format!("{density:.1} notes/s"),
                None => "as the model means".into(),
            },
            Self::Lowest => pitch_name(sampling.lowest),
            Self::Highest => pitch_name(sampling.highest),
            Self::Scale => NamedScale(sampling.scale).to_string(),
            Self::Polyphony => match voices(sampling) {
                VOICES.. => "no limit".into(),
                voices => voices.to_string(),
            },
            temperature => format!("{:.2}", temperature.temperature(sampling)),
        }
    }

    /// The parts of a note whose temperature this is.
    fn parts(self, sampling: &mut Sampling) -> impl Iterator<Item = &mut SamplingParams> {
        let Sampling { pitch, time, velocity, .. } = sampling;
        let parts = [
            (pitch, Self::PitchTemperature),
            (time, Self::TimeTemperature),
            (velocity, Self::VelocityTemperature),
        ];
        let of = move |knob| self == knob || self == Self::Temperature;
        parts.into_iter().filter(move |(_, knob)| of(*knob)).map(|(part, _)| part)
    }

    fn set_temperature(self, sampling: &mut Sampling, temperature: f32) {
        self.parts(sampling).for_each(|part| part.temperature = temperature);
    }

    /// The temperature of the first of these parts.
    fn temperature(self, sampling: &Sampling) -> f32 {
        let mut copy = *sampling;
        self.parts(&mut copy).next().map_or(1.0, |part| part.temperature)
    }
}

/// A number some steps on, `per_unit` of which are 1, and on a whole step.
fn stepped(from: f32, per_unit: f32, steps: i16) -> f32 {
    ((from * per_unit).round() + f32::from(steps)) / per_unit
}

fn set_lowest(sampling: &mut Sampling, to: i16) {
    let playable = |pitch: &u8| sampling.scale.contains(*pitch) && *pitch <= sampling.highest;
    let most = PIANO.rev().find(playable).unwrap_or(0);
    sampling.lowest = to.clamp(0, most.into()) as u8;
}

fn set_highest(sampling: &mut Sampling, to: i16) {
    let playable = |pitch: &u8| sampling.scale.contains(*pitch) && *pitch >= sampling.lowest;
    let least = PIANO.clone().find(playable).unwrap_or(127);
    sampling.highest = to.clamp(least.into(), 127) as u8;
}

/// Sets the scale; a register that has none of its pitches widens until it has one.
fn set_scale(sampling: &mut Sampling, scale: Scale) {
    sampling.scale = scale;
    let Sampling { lowest, highest, .. } = sampling;
    while !PIANO.clone().any(|pitch| (*lowest..=*highest).contains(&pitch) && scale.contains(pitch))
        && (*lowest > 0 || *highest < 127)
    {
        (*lowest, *highest) = (lowest.saturating_sub(1), highest.saturating_add(1).min(127));
    }
}

fn voices(sampling: &Sampling) -> i16 {
    sampling.polyphony.map_or(VOICES, |most| i16::from(most).min(VOICES))
}

fn set_voices(sampling: &mut Sampling, voices: i16) {
    sampling.polyphony = (voices < VOICES).then_some(voices.max(1) as u8);
}

/// A pitch as people write it, such as C4 for 60.
pub fn pitch_name(pitch: u8) -> String {
    let class = PITCH_CLASSES[usize::from(pitch % 12)].to_uppercase();
    format!("{class}{}", i16::from(pitch) / 12 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controllers_turn_the_knobs() {
        let shown = |knob: Knob, value: u8| {
            let mut sampling = Sampling::default();
            knob.turn(&mut sampling, value);
            knob.shown(&sampling)
        };
        assert_eq!(shown(Knob::Temperature, 64), "1.00");
        assert_eq!(shown(Knob::TimeTemperature, 127), "1.98");
        assert_eq!(shown(Knob::Density, 0), "as the model means");
        assert_eq!(shown(Knob::Density, 40), "5.0 notes/s");
        assert_eq!(shown(Knob::Lowest, 60), "C4");
        assert_eq!(shown(Knob::Highest, 66), "F#4");
        assert_eq!(shown(Knob::Scale, 19), "a-major, f#-minor");
        assert_eq!(shown(Knob::Polyphony, 0), "1");
        assert_eq!(shown(Knob::Polyphony, 127), "no limit");
    }

    #[test]
    fn keys_step_the_knobs() {
        let shown = |knob: Knob, steps: i16| {
            let mut sampling = Sampling::default();
            knob.step(&mut sampling, steps);
            knob.shown(&sampling)
        };
        assert_eq!(shown(Knob::Temperature, -2), "0.90");
        assert_eq!(shown(Knob::PitchTemperature, 99), "2.00");
        assert_eq!(shown(Knob::Density, -1), "7.5 notes/s");
        assert_eq!(shown(Knob::Lowest, 21), "A0");
        assert_eq!(shown(Knob::Scale, 1), "c-major, a-minor");
        assert_eq!(shown(Knob::Scale, 13), "c-pentatonic");
        assert_eq!(shown(Knob::Scale, -1), "every pitch");
        assert_eq!(shown(Knob::Polyphony, 1), "no limit");
        assert_eq!(shown(Knob::Polyphony, -1), "31");
    }

    #[test]
    fn the_temperature_is_that_of_all_parts_until_one_is_set_apart() {
        let mut sampling = Sampling::default();
        Knob::Temperature.turn(&mut sampling, 32);
        assert_eq!(sampling, Sampling::with_temperature(0.5));
        Knob::VelocityTemperature.step(&mut sampling, 1);
        assert_eq!(sampling.velocity.temperature, 0.55);
        assert_eq!(Knob::Temperature.shown(&sampling), "set apart");
        Knob::Temperature.copy(&mut sampling, &Sampling::default());
        assert_eq!(sampling, Sampling::default());
    }

    #[test]
    fn the_ends_of_the_register_stop_at_each_other() {
        let mut sampling = Sampling::default().with_scale(Scale::major(0));
        Knob::Highest.turn(&mut sampling, 61);
        Knob::Lowest.turn(&mut sampling, 100);
        assert_eq!((sampling.lowest, sampling.highest), (60, 61));
        Knob::Scale.turn(&mut sampling, 32); // g-pentatonic, which has neither
        assert_eq!((sampling.lowest, sampling.highest), (59, 62));
    }

    proptest! {
        #[test]
        fn a_pitch_is_always_left(
            turns in proptest::collection::vec((0..9usize, any::<bool>(), 0..=127u8), 0..40)
        ) {
            let mut sampling = Sampling::default();
            for (knob, by_controller, value) in turns {
                if by_controller {
                    Knob::ALL[knob].turn(&mut sampling, value);
                } else {
                    Knob::ALL[knob].step(&mut sampling, i16::from(value) - 64);
                }
                let Sampling { scale, lowest, highest, .. } = sampling;
                let mut left = (lowest..=highest).filter(|pitch| PIANO.contains(pitch));
                prop_assert!(left.any(|pitch| scale.contains(pitch)));
            }
        }
    }
}
