//! A player for SoundFonts.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use anyhow::{Context, anyhow, ensure};
use rustysynth::{SoundFont, Synthesizer, SynthesizerSettings};

use crate::sound::soundfont_check::{check_chunks, check_presets};
use crate::sound::strings::Strings;
use crate::sound::{RATE, Sample, Source};

/// Folders in which systems keep SoundFonts.
const FOLDERS: [&str; 5] = [
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/usr/local/share/sounds/sf2",
    "/opt/homebrew/share/soundfonts",
];

/// An installed SoundFont: the system's default, or else the first by name.
pub fn find() -> Option<PathBuf> {
    FOLDERS.iter().find_map(|folder| first(Path::new(folder)))
}

fn first(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let soundfont = |path: &PathBuf| {
        path.is_file() && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("sf2"))
    };
    let default = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        (!name.starts_with("default"), name)
    };
    files.filter(soundfont).min_by_key(default)
}

/// A SoundFont in memory, as large as its file.
pub struct LoadedFont {
    font: Arc<SoundFont>,
    path: PathBuf,
}

impl LoadedFont {
    /// Reads a SoundFont.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        // Before it is opened: opening a pipe would wait for who writes to it.
        let there = fs::metadata(path).with_context(|| format!("cannot open {}", name()))?;
        ensure!(there.is_file(), "cannot play {}: not a regular file", name());
        let file = File::open(path).with_context(|| format!("cannot open {}", name()))?;
        Self::read(BufReader::new(file), there.len(), path)
    }

    /// Reads a SoundFont of known size in bytes; `path` is for messages.
    pub fn read(mut file: impl Read + Seek, size: u64, path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let cannot = || format!("cannot play {}", name());
        check_chunks(&mut file, size).with_context(cannot)?;
        file.rewind().with_context(name)?;
        let font = without_panic(|| SoundFont::new(&mut file))
            .ok_or_else(|| damaged(path))?
            .with_context(|| format!("{} is no SoundFont that can be played", name()))?;
        check_presets(&font).with_context(cannot)?;
        Ok(Self { font: Arc::new(font), path: path.into() })
    }
}

fn damaged(path: &Path) -> anyhow::Error {
    anyhow!("{} is damaged: use another SoundFont", path.display())
}

/// A key press or release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    sample: usize,
    /// Releases come before presses.
    down: bool,
    pitch: u8,
    velocity: u8,
}

/// Plays notes with the first instrument of a SoundFont: in nearly all, a piano.
pub struct SoundFontPlayer<'f> {
    font: &'f LoadedFont,
    synthesizer: Synthesizer,
    /// From last to first.
    events: Vec<Event>,
    /// Samples played.
    now: usize,
}

impl<'f> SoundFontPlayer<'f> {
    pub fn new(font: &'f LoadedFont, strings: &Strings) -> anyhow::Result<Self> {
        let mut settings = SynthesizerSettings::new(RATE as i32);
        // With the pedal down, more voices sound than a synthesizer's usual 64.
        settings.maximum_polyphony = 256;
        let synthesizer = without_panic(|| Synthesizer::new(&font.font, &settings))
            .ok_or_else(|| damaged(&font.path))?
            .with_context(|| font.path.display().to_string())?;
        let sample = |seconds: f64| (seconds * f64::from(RATE)).round() as usize;
        let mut events: Vec<Event> = Vec::with_capacity(2 * strings.0.len());
        for note in &strings.0 {
            let (start, pitch) = (sample(note.start), note.pitch);
            let end = sample(note.end).max(start + 1);
            events.push(Event { sample: start, down: true, pitch, velocity: note.velocity });
            events.push(Event { sample: end, down: false, pitch, velocity: 0 });
        }
        events.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { font, synthesizer, events, now: 0 })
    }

    fn play_or_panic(&mut self, block: &mut [Sample]) {
        let (mut left, mut right) = (vec![0.0; block.len()], vec![0.0; block.len()]);
        let mut done = 0;
        loop {
            let next = self.events.last().map_or(usize::MAX, |event| event.sample - self.now);
            let until = next.clamp(done, block.len());
            self.synthesizer.render(&mut left[done..until], &mut right[done..until]);
            done = until;
            match self.events.pop_if(|event| event.sample - self.now < block.len()) {
                Some(Event { down: true, pitch, velocity, .. }) => {
                    self.synthesizer.note_on(0, i32::from(pitch), i32::from(velocity));
                }
                Some(Event { pitch, .. }) => self.synthesizer.note_off(0, i32::from(pitch)),
                None => break,
            }
        }
        for (sample, sides) in block.iter_mut().zip(left.into_iter().zip(right)) {
            *sample = sides.into();
        }
        self.now += block.len();
    }
}

impl Source for SoundFontPlayer<'_> {
    fn play(&mut self, block: &mut [Sample]) -> anyhow::Result<()> {
        let path = &self.font.path;
        without_panic(|| self.play_or_panic(block)).ok_or_else(|| damaged(path))
    }
}

/// Catches panics of `rustysynth` on damaged SoundFonts: they are refused like any other bad file,
/// without the panic's message.
fn without_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                hook(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    result.ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_gives_nothing() {
        assert_eq!(without_panic(|| 3), Some(3));
        assert_eq!(without_panic(|| [1, 2][std::hint::black_box(7)]), None);
    }

    #[test]
    fn the_systems_default_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let found = || {
            first(folder.path())
                .map(|path| path.strip_prefix(folder.path()).map(Path::to_path_buf).unwrap())
        };
        assert_eq!(found(), None);
        for (name, best) in [
            ("readme.txt", None),
            ("b.sf2", Some("b.sf2")),
            ("A.SF2", Some("A.SF2")),
            ("default-GM.sf2", Some("default-GM.sf2")),
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
            assert_eq!(found(), best.map(PathBuf::from));
        }
    }
}
