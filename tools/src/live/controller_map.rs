//! A map from MIDI controllers to controls, read from a file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use pianola_host::files::read_bounded;
use pianola_host::text::escape;
use pianola_runtime::{Assignment, Control, Event, Message, controller};
use toml::Spanned;

/// Largest controller map that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What the numbers of controllers stand for, on whatever channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerMap(BTreeMap<u8, Assignment>);

/// All functions of controllers.
fn all() -> impl Iterator<Item = Assignment> {
    Control::ALL.into_iter().map(Assignment::Control).chain([Assignment::Panic])
}

fn name(assignment: Assignment) -> &'static str {
    match assignment {
        Assignment::Control(control) => control.name(),
        Assignment::Panic => "panic",
    }
}

impl Default for ControllerMap {
    /// Names of the functions, numbered as on the boards.
    fn default() -> Self {
        let assigned =
            (0..128).filter_map(|number| Some((number, Assignment::default_of(number)?)));
        Self(assigned.collect())
    }
}

impl ControllerMap {
    /// Reads a map from a TOML file of lines such as `temperature = 20`. A control that is not in the
    /// file has no controller.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = read_bounded(path, LARGEST).with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8(text)
            .with_context(|| format!("cannot read {name}: not UTF-8 text"))?;
        Self::parse(&text).map_err(|(span, cause)| {
            let before = text.get(..span.start).unwrap_or(&text);
            anyhow!("{name}, line {}: {cause:#}", before.matches('\n').count() + 1)
        })
    }

    /// Parses a map; errors state their position.
    pub fn parse(text: &str) -> Result<Self, (Range<usize>, anyhow::Error)> {
        let lines: BTreeMap<Spanned<String>, Spanned<i64>> =
            toml::from_str(text).map_err(|error| {
                let cause = escape(error.message());
                let cause = anyhow!("{cause}: lines read like `temperature = 20`");
                (error.span().unwrap_or_default(), cause)
            })?;
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by_key(|(name, _)| name.span().start);
        let mut map = Self(BTreeMap::new());
        for (name, number) in lines {
            let span = name.span();
            map.add(name.get_ref(), *number.get_ref()).map_err(|cause| (span, cause))?;
        }
        // Instruments send these to silence one another, unless the file assigns them.
        for number in [controller::ALL_SOUND_OFF, controller::ALL_NOTES_OFF] {
            map.0.entry(number).or_insert(Assignment::Panic);
        }
        Ok(map)
    }

    fn add(&mut self, wanted: &str, number: i64) -> anyhow::Result<()> {
        let Some(assignment) = all().find(|assignment| name(*assignment) == wanted) else {
            let names: Vec<&str> = all().map(name).collect();
            bail!("no control is called {}: there are {}", escape(wanted), names.join(", "));
        };
        let Some(number) = u8::try_from(number).ok().filter(|&number| number < 128) else {
            bail!("{wanted} = {number} is no controller: they have numbers from 0 to 127");
        };
        if let Some(other) = self.0.insert(number, assignment) {
            bail!("{wanted} and {} both have {number}: give each a number of its own", name(other));
        }
        Ok(())
    }

    /// The event of a message, if any.
    pub fn event(&self, message: Message) -> Option<Event> {
        Event::of(message, |number| self.0.get(&number).copied())
    }
}

#[cfg(test)]
mod tests {
    use pianola_runtime::{Controls, TransportCommand};

    use std::fs;

    use super::*;

    const PANIC: Option<Event> = Some(Event::Transport(TransportCommand::Panic));

    #[test]
    fn the_example_is_the_default() -> anyhow::Result<()> {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/controls.toml");
        assert_eq!(ControllerMap::read(Path::new(example))?, ControllerMap::default());
        assert_eq!(ControllerMap::default().0.len(), all().count() + 1);
        Ok(())
    }

    #[test]
    fn a_file_says_all_there_is() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("controls.toml");
        fs::write(&path, "# Mine.\ndensity = 123\npanic = 1 # the wheel\n")?;
        let map = ControllerMap::read(&path)?;
        let event = |number| map.event(Message::control(number, 9));
        assert_eq!(event(123), Some(Event::Set(Control::Density, 9)));
        assert_eq!((event(1), event(120)), (PANIC, PANIC));
        assert_eq!((event(20), event(21)), (None, None));
        Ok(())
    }

    /// Hosts and boards agree, each through its own code: every controller, every value.
    #[test]
    fn boards_and_hosts_set_the_same_controls() {
        let map = ControllerMap::default();
        for number in 0..128 {
            let [mut host, mut board] = [Controls::default(); 2];
            for value in (0..128).chain([64, 0, 100]) {
                let message = Message::control(number, value);
                let event = map.event(message);
                if let Some(Event::Set(control, value)) = event {
                    control.set(&mut host, value);
                }
                let at_the_board = pianola_firmware::apply(message, &mut board);
                assert_eq!(host, board, "controller {number}, value {value}");
                let other = event.filter(|event| !matches!(event, Event::Set(..)));
                assert_eq!(other, at_the_board, "controller {number}, value {value}");
            }
        }
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
            (
                "\"te\\nmpo\\u001b\" = 3\n",
                "line 1: no control is called te\\nmpo\\u001b: there are",
            ),
        ];
        for (text, expected) in cases {
            fs::write(&path, text)?;
            let error =
                ControllerMap::read(&path).map_or_else(|error| format!("{error:#}"), |_| "".into());
            assert!(error.contains(&format!("controls.toml, {expected}")), "{text:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        fs::write(&path, b"scale = \xff")?;
        let error = ControllerMap::read(&path);
        assert!(error.is_err_and(|error| format!("{error:#}").contains("UTF-8")));
        assert!(ControllerMap::read(folder.path()).is_err());
        Ok(())
    }
}
