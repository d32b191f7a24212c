//! What the player of the board can change, and by which MIDI messages.

use pianola_runtime::{Note, Sampling, Scale};

/// How notes are made up and played; may change between any two of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// How freely pitches are drawn, and from which scale.
    pub sampling: Sampling,
    /// Notes per second, relative to what the model means: 0.25 to 2.
    pub density: f32,
    /// Semitones that sounding pitches are raised by.
    pub transposition: i8,
}

impl Default for Controls {
    fn default() -> Self {
        let sampling = Sampling::default().with_guards();
        Self { sampling, density: 1.0, transposition: 0 }
    }
}

/// What a MIDI message asks for, beyond a change of [`Controls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Start another piece.
    Start,
    /// Go on playing.
    Continue,
    /// Play no more.
    Stop,
    /// Silence everything, and play no more.
    Panic,
    /// A key is pressed: its pitch and velocity.
    Press(u8, u8),
    /// A key is released.
    Release(u8),
}

impl Controls {
    /// Controller of the temperature: 64 is 1, 127 nearly 2.
    pub const TEMPERATURE: u8 = 20;
    /// Controller of the density: 64 is what the model means, 127 nearly twice, 16 a quarter.
    pub const DENSITY: u8 = 21;
    /// Controller of the transposition: 64 is none, each step a semitone, up to two octaves.
    pub const TRANSPOSITION: u8 = 22;
    /// Controller of the scale, by its [number](Scale::numbered).
    pub const SCALE: u8 = 23;

    /// Takes in a message, of any channel: changes these controls, or returns what else it asks for.
    pub fn take(&mut self, [status, first, second]: [u8; 3]) -> Option<Event> {
        match status {
            0x90..=0x9f if second > 0 => Some(Event::Press(first, second)),
            0x80..=0x9f => Some(Event::Release(first)),
            0xb0..=0xbf => self.turn(first, second),
            // Real time: start, continue, stop, system reset.
            0xfa => Some(Event::Start),
            0xfb => Some(Event::Continue),
            0xfc => Some(Event::Stop),
            0xff => Some(Event::Panic),
            _ => None,
        }
    }

    fn turn(&mut self, controller: u8, value: u8) -> Option<Event> {
        match controller {
            Self::TEMPERATURE => {
                let temperature = f32::from(value) / 64.0;
                let Sampling { pitch, time, velocity, .. } = &mut self.sampling;
                for freedom in [pitch, time, velocity] {
                    freedom.temperature = temperature;
                }
            }
            Self::DENSITY => self.density = f32::from(value.max(16)) / 64.0,
            Self::TRANSPOSITION => {
                self.transposition = (value.clamp(40, 88) as i8).wrapping_sub(64);
            }
            Self::SCALE => self.sampling.scale = Scale::numbered(value),
            // All sound off, all notes off.
            120 | 123 => return Some(Event::Panic),
            _ => {}
        }
        None
    }

    /// Sets the temperature as its controller does.
    pub fn set_temperature(&mut self, value: u8) {
        self.turn(Self::TEMPERATURE, value);
    }

    /// Sets the density as its controller does.
    pub fn set_density(&mut self, value: u8) {
        self.turn(Self::DENSITY, value);
    }

    /// A note as it is to sound: its times by the density, its pitch transposed, into the octave
    /// that MIDI has it in.
    #[must_use]
    pub fn shape(&self, note: &Note) -> Note {
        let mut pitch = i16::from(note.pitch) + i16::from(self.transposition);
        if pitch < 0 {
            pitch += 24;
        }
        if pitch > 127 {
            pitch -= 24;
        }
        let (step, duration) = (note.step / self.density, note.duration / self.density);
        Note { pitch: pitch as u8, step, duration, ..*note }
    }
}
