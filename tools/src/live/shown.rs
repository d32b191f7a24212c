//! Values of controls as text.

use pianola_runtime::{Control, Controls, polyphony};

use crate::options::named_scale::{NamedScale, PITCH_CLASSES};

/// The value of a control as text.
pub fn shown(control: Control, controls: &Controls) -> String {
    let sampling = &controls.sampling;
    let [pitch, time, velocity] =
        [sampling.pitch, sampling.time, sampling.velocity].map(|part| part.temperature);
    match control {
        Control::Temperature if pitch != time || pitch != velocity => "per part".into(),
        Control::Density => match sampling.density {
            Some(density) => format!("{density:.1} notes/s"),
            None => "the model's own".into(),
        },
        Control::Lowest => pitch_name(sampling.lowest),
        Control::Highest => pitch_name(sampling.highest),
        Control::Scale => NamedScale(sampling.scale).to_string(),
        Control::Polyphony => {
            polyphony(sampling).map_or("no limit".into(), |voices| voices.to_string())
        }
        Control::Transposition => match controls.transposition {
            0 => "none".into(),
            semitones => format!("{semitones:+}"),
        },
        temperature => format!("{:.2}", temperature.temperature(sampling)),
    }
}

/// The name of a pitch, such as C4 for 60.
pub fn pitch_name(pitch: u8) -> String {
    let class = PITCH_CLASSES[usize::from(pitch % 12)].to_uppercase();
    format!("{class}{}", i16::from(pitch) / 12 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_set_controls() {
        let set = |control: Control, value: u8| {
            let mut controls = Controls::default();
            control.set(&mut controls, value);
            shown(control, &controls)
        };
        assert_eq!(set(Control::Temperature, 64), "1.00");
        assert_eq!(set(Control::TimeTemperature, 127), "1.98");
        assert_eq!(set(Control::Density, 0), "the model's own");
        assert_eq!(set(Control::Density, 40), "5.0 notes/s");
        assert_eq!(set(Control::Lowest, 60), "C4");
        assert_eq!(set(Control::Highest, 66), "F#4");
        assert_eq!(set(Control::Scale, 19), "a-major, f#-minor");
        assert_eq!(set(Control::Polyphony, 0), "1");
        assert_eq!(set(Control::Polyphony, 127), "no limit");
        assert_eq!(
            (set(Control::Transposition, 64), set(Control::Transposition, 59)),
            ("none".into(), "-5".into())
        );
    }

    #[test]
    fn keys_step_controls() {
        let stepped = |control: Control, steps: i16| {
            let mut controls = Controls::default();
            control.step(&mut controls, steps);
            shown(control, &controls)
        };
        assert_eq!(stepped(Control::Temperature, -2), "0.90");
        assert_eq!(stepped(Control::PitchTemperature, 99), "2.00");
        assert_eq!(stepped(Control::Density, -1), "7.5 notes/s");
        assert_eq!(stepped(Control::Lowest, -1), "G#0");
        assert_eq!(stepped(Control::Scale, 1), "c-major, a-minor");
        assert_eq!(stepped(Control::Scale, 13), "c-pentatonic");
        assert_eq!(stepped(Control::Scale, -1), "every pitch");
        assert_eq!(stepped(Control::Polyphony, 1), "no limit");
        assert_eq!(stepped(Control::Polyphony, -1), "31");
        assert_eq!(stepped(Control::Transposition, 2), "+2");
    }
}
