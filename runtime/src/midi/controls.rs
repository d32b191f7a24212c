//! What a player can change while music plays, and by which MIDI controllers: one table, for boards and
//! hosts alike.

use core::ops::RangeInclusive;

use crate::generate::{Sampling, SamplingParams};
use crate::note::{Note, Scale};

/// How notes are generated and played; may change between any two of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// How notes are drawn.
    pub sampling: Sampling,
    /// Semitones that sounding pitches are raised by, −24 to 24.
    pub transposition: i8,
}

impl Default for Controls {
    /// The model's own distribution, with the guards on.
    fn default() -> Self {
        let sampling = Sampling::default().with_guards();
        Self { sampling, transposition: 0 }
    }
}

impl Controls {
    /// The note to play: transposed, and moved by octaves into the range of MIDI if necessary.
    #[must_use]
    pub fn transpose(&self, note: &Note) -> Note {
        let mut pitch = i16::from(note.pitch) + i16::from(self.transposition);
        if pitch < 0 {
            pitch += 24;
        }
        if pitch > 127 {
            pitch -= 24;
        }
        Note { pitch: pitch as u8, ..*note }
    }
}

/// One of the controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Sampling temperature of all parts of a note.
    Temperature,
    /// Sampling temperature of pitches.
    PitchTemperature,
    /// Sampling temperature of steps and durations.
    TimeTemperature,
    /// Sampling temperature of velocities.
    VelocityTemperature,
    /// Target notes per second.
    Density,
    /// Lowest pitch.
    Lowest,
    /// Highest pitch.
    Highest,
    /// Scale to draw pitches from.
    Scale,
    /// Most pitches that sound at once.
    Polyphony,
    /// Semitones that sounding pitches are raised by.
    Transposition,
}

/// The keys of a piano, of which one at least can always be played.
const PIANO: RangeInclusive<u8> = 21..=108;

/// Pitches that the player sounds at once: a polyphony of this many is no limit.
const VOICES: i16 = 32;

/// The most semitones up or down.
const MOST_SEMITONES: i16 = 24;

impl Control {
    /// All controls.
    pub const ALL: [Self; 10] = [
        Self::Temperature,
        Self::PitchTemperature,
        Self::TimeTemperature,
        Self::VelocityTemperature,
        Self::Density,
        Self::Lowest,
        Self::Highest,
        Self::Scale,
        Self::Polyphony,
        Self::Transposition,
    ];

    /// Its name, as in a controller map.
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
            Self::Transposition => "transposition",
        }
    }

    /// Default number of its MIDI controller; a controller map may assign another.
    pub const fn number(self) -> u8 {
        match self {
            Self::Temperature => 20,
            Self::Density => 21,
            Self::Transposition => 22,
            Self::Scale => 23,
            Self::Lowest => 24,
            Self::Highest => 25,
            Self::Polyphony => 26,
            Self::PitchTemperature => 27,
            Self::TimeTemperature => 28,
            Self::VelocityTemperature => 29,
        }
    }

    /// The control of a MIDI controller's number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.number() == number)
    }

    /// Sets the control by the value of a controller, 0 to 127.
    ///
    /// - Temperatures: 64 is 1, 127 nearly 2, 0 greedy.
    /// - Density: an eighth of the value in notes per second; 0 is the model's own.
    /// - Lowest and highest: the pitch itself.
    /// - Scale: by its [number](Scale::numbered).
    /// - Polyphony: one voice per four values; the last four values are no limit.
    /// - Transposition: one semitone per value, 40 to 88; 64 is none.
    #[inline(never)] // boards have no flash for a copy at every call
    pub fn set(self, controls: &mut Controls, value: u8) {
        let sampling = &mut controls.sampling;
        match self {
            Self::Density => sampling.density = (value > 0).then(|| f32::from(value) / 8.0),
            Self::Lowest => set_lowest(sampling, value.into()),
            Self::Highest => set_highest(sampling, value.into()),
            Self::Scale => set_scale(sampling, Scale::numbered(value)),
            Self::Polyphony => set_voices(sampling, i16::from(value / 4) + 1),
            Self::Transposition => set_semitones(controls, i16::from(value) - 64),
            temperature => temperature.set_temperature(sampling, f32::from(value) / 64.0),
        }
    }

    /// Moves the control by `steps` small steps, down if negative. Scales are ordered by their numbers,
    /// without those that repeat the pitch classes of another.
    pub fn step(self, controls: &mut Controls, steps: i16) {
        let sampling = &mut controls.sampling;
        match self {
            Self::Density => {
                // Starts from about the model's own density.
                const OWN: f32 = 8.0;
                let from = sampling.density.unwrap_or(OWN);
                sampling.density = Some(stepped(from, 2.0, steps).clamp(0.5, 16.0));
            }
            Self::Lowest => set_lowest(sampling, i16::from(sampling.lowest).saturating_add(steps)),
            Self::Highest => {
                set_highest(sampling, i16::from(sampling.highest).saturating_add(steps));
            }
            Self::Scale => {
                let scales = (0..=12).chain(25..=36).map(Scale::numbered);
                let at = scales.clone().position(|scale| scale == sampling.scale).unwrap_or(0);
                let to = at.saturating_add_signed(steps.into()).min(scales.clone().count() - 1);
                set_scale(sampling, scales.clone().nth(to).unwrap_or(Scale::CHROMATIC));
            }
            Self::Polyphony => set_voices(sampling, voices(sampling).saturating_add(steps)),
            Self::Transposition => {
                set_semitones(controls, i16::from(controls.transposition).saturating_add(steps));
            }
            temperature => {
                let from = temperature.temperature(sampling);
                temperature.set_temperature(sampling, stepped(from, 20.0, steps).clamp(0.0, 2.0));
            }
        }
    }

    /// Copies the control's value from other controls, such as the initial ones.
    pub fn copy(self, controls: &mut Controls, from: &Controls) {
        let sampling = &mut controls.sampling;
        match self {
            Self::Temperature => {
                for part in
                    [Self::PitchTemperature, Self::TimeTemperature, Self::VelocityTemperature]
                {
                    part.copy(controls, from);
                }
            }
            Self::Density => sampling.density = from.sampling.density,
            Self::Lowest => set_lowest(sampling, from.sampling.lowest.into()),
            Self::Highest => set_highest(sampling, from.sampling.highest.into()),
            Self::Scale => set_scale(sampling, from.sampling.scale),
            Self::Polyphony => sampling.polyphony = from.sampling.polyphony,
            Self::Transposition => controls.transposition = from.transposition,
            temperature => {
                temperature.set_temperature(sampling, temperature.temperature(&from.sampling));
            }
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
        let of = move |part| self == part || self == Self::Temperature;
        parts.into_iter().filter(move |(_, part)| of(*part)).map(|(part, _)| part)
    }

    fn set_temperature(self, sampling: &mut Sampling, temperature: f32) {
        self.parts(sampling).for_each(|part| part.temperature = temperature);
    }

    /// The temperature of the first of the parts that this sets; 1 for a control that sets none.
    pub fn temperature(self, sampling: &Sampling) -> f32 {
        let mut copy = *sampling;
        self.parts(&mut copy).next().map_or(1.0, |part| part.temperature)
    }
}

/// Most pitches that sound at once, if there is a limit.
pub fn polyphony(sampling: &Sampling) -> Option<u8> {
    u8::try_from(voices(sampling)).ok().filter(|&voices| i16::from(voices) < VOICES)
}

/// A number moved by `steps` steps of 1 / `per_unit`, rounded to a whole step.
fn stepped(from: f32, per_unit: f32, steps: i16) -> f32 {
    (libm::roundf(from * per_unit) + f32::from(steps)) / per_unit
}

fn set_semitones(controls: &mut Controls, to: i16) {
    controls.transposition = to.clamp(-MOST_SEMITONES, MOST_SEMITONES) as i8;
}

fn set_lowest(sampling: &mut Sampling, to: i16) {
    let playable = |pitch: &u8| sampling.scale.contains(*pitch) && *pitch <= sampling.highest;
    let most = PIANO.rev().find(playable).unwrap_or(0);
    sampling.lowest = to.max(0).min(most.into()) as u8;
}

fn set_highest(sampling: &mut Sampling, to: i16) {
    let playable = |pitch: &u8| sampling.scale.contains(*pitch) && *pitch >= sampling.lowest;
    let least = PIANO.clone().find(playable).unwrap_or(127);
    sampling.highest = to.min(127).max(least.into()) as u8;
}

/// Sets the scale; a register without any of its pitches is widened until it has one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_temperature_is_that_of_all_parts_until_one_is_set() {
        let mut controls = Controls::default();
        let initial = controls;
        Control::Temperature.set(&mut controls, 32);
        assert_eq!(controls.sampling.pitch.temperature, 0.5);
        Control::VelocityTemperature.step(&mut controls, 1);
        assert_eq!(controls.sampling.velocity.temperature, 0.55);
        Control::Temperature.copy(&mut controls, &initial);
        assert_eq!(controls, initial);
    }

    #[test]
    fn the_ends_of_the_register_stop_at_each_other() {
        let mut controls = Controls::default();
        controls.sampling.scale = Scale::major(0);
        Control::Highest.set(&mut controls, 61);
        Control::Lowest.set(&mut controls, 100);
        assert_eq!((controls.sampling.lowest, controls.sampling.highest), (60, 61));
        Control::Scale.set(&mut controls, 32); // g-pentatonic, which has neither
        assert_eq!((controls.sampling.lowest, controls.sampling.highest), (59, 62));
    }

    #[test]
    fn transposed_pitches_stay_on_the_keyboard_of_midi() {
        let note = Note { pitch: 120, velocity: 80, step: 0.0, duration: 1.0 };
        let mut controls = Controls::default();
        let mut sounding = |value| {
            Control::Transposition.set(&mut controls, value);
            (controls.transposition, controls.transpose(&note).pitch)
        };
        let heard = [0, 40, 64, 69, 76, 127].map(&mut sounding);
        let expected = [(-24, 96), (-24, 96), (0, 120), (5, 125), (12, 108), (24, 120)];
        assert_eq!(heard, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

        #[test]
        fn a_pitch_is_always_left(
            changes in proptest::collection::vec((0..10usize, any::<bool>(), 0..=127u8), 0..40)
        ) {
            let mut controls = Controls::default();
            for (control, by_controller, value) in changes {
                if by_controller {
                    Control::ALL[control].set(&mut controls, value);
                } else {
                    Control::ALL[control].step(&mut controls, i16::from(value) - 64);
                }
                let Sampling { scale, lowest, highest, .. } = controls.sampling;
                let mut left = (lowest..=highest).filter(|pitch| PIANO.contains(pitch));
                prop_assert!(left.any(|pitch| scale.contains(pitch)));
            }
        }
    }
}
