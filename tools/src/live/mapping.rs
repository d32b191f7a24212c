//! Which MIDI controllers turn which knobs, and what else MIDI messages ask for.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use toml::Spanned;

use crate::live::knobs::Knob;

/// The numbers of controllers, on whatever channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping(BTreeMap<u8, Control>);

/// What a controller is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Knob(Knob),
    Panic,
}

/// What a MIDI message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A key is pressed: its pitch and velocity.
    Press(u8, u8),
    /// A key is released: its pitch.
    Release(u8),
    /// Turn a knob to a controller's value.
    Turn(Knob, u8),
    /// Start another piece.
    Start,
    /// Go on playing.
    Continue,
    /// Play no more.
    Stop,
    /// Silence everything, and play no more.
    Panic,
}

/// Controllers with which an instrument silences another.
const ALL_SOUND_OFF: u8 = 120;
const ALL_NOTES_OFF: u8 = 123;

impl Control {
    fn all() -> impl Iterator<Item = Self> {
        Knob::ALL.into_iter().map(Self::Knob).chain([Self::Panic])
    }

    fn name(self) -> &'static str {
        match self {
            Self::Knob(knob) => knob.name(),
            Self::Panic => "panic",
        }
    }
}

impl Default for Mapping {
    /// Temperature, density and scale have the numbers that boards know them by.
    fn default() -> Self {
        let number = |control| match control {
            Control::Knob(Knob::Temperature) => 20,
            Control::Knob(Knob::Density) => 21,
            Control::Knob(Knob::Scale) => 23,
            Control::Knob(Knob::Lowest) => 24,
            Control::Knob(Knob::Highest) => 25,
            Control::Knob(Knob::Polyphony) => 26,
            Control::Knob(Knob::PitchTemperature) => 27,
            Control::Knob(Knob::TimeTemperature) => 28,
            Control::Knob(Knob::VelocityTemperature) => 29,
            Control::Panic => ALL_SOUND_OFF,
        };
        Self(Control::all().map(|control| (number(control), control)).collect())
    }
}

impl Mapping {
    /// Reads a mapping from a TOML file of lines such as `temperature = 20`. A control that it leaves
    /// out has no controller.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Self::parse(&text).map_err(|(span, cause)| {
            let before = text.get(..span.start).unwrap_or(&text);
            anyhow!("{name}, line {}: {cause:#}", before.matches('\n').count() + 1)
        })
    }

    /// Reads a mapping; what is wrong has a place.
    fn parse(text: &str) -> Result<Self, (Range<usize>, anyhow::Error)> {
        let lines: BTreeMap<Spanned<String>, Spanned<i64>> =
            toml::from_str(text).map_err(|error| {
                let cause = anyhow!("{}: lines read like `temperature = 20`", error.message());
                (error.span().unwrap_or_default(), cause)
            })?;
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by_key(|(name, _)| name.span().start);
        let mut mapping = Self(BTreeMap::new());
        for (name, number) in lines {
            let span = name.span();
            mapping.add(name.get_ref(), *number.get_ref()).map_err(|cause| (span, cause))?;
        }
        Ok(mapping)
    }

    fn add(&mut self, name: &str, number: i64) -> anyhow::Result<()> {
        let Some(control) = Control::all().find(|control| control.name() == name) else {
            let names: Vec<&str> = Control::all().map(Control::name).collect();
            bail!("no control is called {name}: there are {}", names.join(", "));
        };
        let Some(number) = u8::try_from(number).ok().filter(|&number| number < 128) else {
            bail!("{name} = {number} is no controller: they have numbers from 0 to 127");
        };
        if let Some(other) = self.0.insert(number, control) {
            bail!("{name} and {} both have {number}: give each a number of its own", other.name());
        }
        Ok(())
    }

    /// What a message of three bytes asks for, on whatever channel.
    pub fn request(&self, [status, first, second]: [u8; 3]) -> Option<Request> {
        match status {
            0x90..=0x9f if second > 0 => Some(Request::Press(first, second)),
            0x80..=0x9f => Some(Request::Release(first)),
            0xb0..=0xbf => match self.0.get(&first) {
                Some(Control::Knob(knob)) => Some(Request::Turn(*knob, second)),
                Some(Control::Panic) => Some(Request::Panic),
                None if matches!(first, ALL_SOUND_OFF | ALL_NOTES_OFF) => Some(Request::Panic),
                None => None,
            },
            // Real time: start, continue, stop, system reset.
            0xfa => Some(Request::Start),
            0xfb => Some(Request::Continue),
            0xfc => Some(Request::Stop),
            0xff => Some(Request::Panic),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_default() -> anyhow::Result<()> {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/controls.toml");
        assert_eq!(Mapping::read(Path::new(example))?, Mapping::default());
        assert_eq!(Mapping::default().0.len(), Control::all().count());
        Ok(())
    }

    #[test]
    fn boards_know_the_same_controllers() {
        let mapping = Mapping::default();
        let turned = |number| mapping.request([0xb5, number, 64]);
        assert_eq!(turned(20), Some(Request::Turn(Knob::Temperature, 64)));
        assert_eq!(turned(21), Some(Request::Turn(Knob::Density, 64)));
        assert_eq!(turned(23), Some(Request::Turn(Knob::Scale, 64)));
        assert_eq!((turned(120), turned(123)), (Some(Request::Panic), Some(Request::Panic)));
        assert_eq!(turned(64), None);
    }

    #[test]
    fn messages_ask_for_something() {
        let mapping = Mapping::default();
        let cases = [
            ([0x93, 60, 80], Some(Request::Press(60, 80))),
            ([0x90, 60, 0], Some(Request::Release(60))),
            ([0x81, 60, 64], Some(Request::Release(60))),
            ([0xfa, 0, 0], Some(Request::Start)),
            ([0xfb, 0, 0], Some(Request::Continue)),
            ([0xfc, 0, 0], Some(Request::Stop)),
            ([0xff, 0, 0], Some(Request::Panic)),
            ([0xf8, 0, 0], None),
            ([0xe0, 0, 64], None),
        ];
        for (message, request) in cases {
            assert_eq!(mapping.request(message), request, "{message:02x?}");
        }
    }

    #[test]
    fn a_file_says_all_there_is() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("controls.toml");
        fs::write(&path, "# Mine.\ndensity = 123\npanic = 1 # the wheel\n")?;
        let mapping = Mapping::read(&path)?;
        let turned = |number| mapping.request([0xb0, number, 9]);
        assert_eq!(turned(123), Some(Request::Turn(Knob::Density, 9)));
        assert_eq!((turned(1), turned(120)), (Some(Request::Panic), Some(Request::Panic)));
        assert_eq!((turned(20), turned(21)), (None, None));
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("controls.toml");
        let cases = [
            ("\n\ntempo = 3\n", "line 3: no control is called tempo: there are temperature,"),
            ("scale = 1\ndensity = 128\n", "line 2: density = 128 is no controller: they have"),
            ("density = -1\n", "line 1: density = -1 is no controller"),
            ("scale = 1\n\ndensity = 1\n", "line 3: density and scale both have 1: give each"),
            ("scale = 1\nscale = 2\n", "line 2: duplicate key: lines read like"),
            ("scale = \"high\"\n", "line 1: invalid type: string \"high\", expected i64: lines"),
            ("[knobs]\nscale = 1\n", "line 1: invalid type: map, expected i64: lines read like"),
            ("scale = 1\nscale\n", "line 2: "),
        ];
        for (text, expected) in cases {
            fs::write(&path, text)?;
            let error =
                Mapping::read(&path).map_or_else(|error| format!("{error:#}"), |_| "".into());
            assert!(error.contains(&format!("controls.toml, {expected}")), "{text:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        fs::write(&path, b"scale = \xff")?;
        assert!(Mapping::read(&path).is_err_and(|error| format!("{error:#}").contains("UTF-8")));
        assert!(Mapping::read(folder.path()).is_err());
        Ok(())
    }
}
