//! Records a duet as a MIDI file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use pianola_host::files::write_whole;
use pianola_host::midi_file::{Instrument, Score, TimedNote, write_score};
use pianola_runtime::{Instant, Keys, Message, Micros};
use tempfile::Builder;

use crate::live::lock::lock;
use crate::live::played::{Performer, Played};

/// Notes of a session.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// By onset.
    notes: Vec<Played>,
    /// Indices of the notes that sound.
    sounding: Vec<usize>,
}

/// Maximum duration: a note whose release is lost is ended after it.
const LONGEST: Micros = Keys::LONGEST;

/// Maximum number of notes kept: a day of dense music, but no flood.
const MOST: usize = 1_000_000;

/// Held while a recording is saved, so that nothing ends the program meanwhile.
#[derive(Clone, Default)]
pub struct Saving(Arc<Mutex<()>>);

impl Saving {
    /// Saves under the lock.
    pub fn during<T>(&self, save: impl FnOnce() -> T) -> T {
        let _saving = lock(&self.0);
        save()
    }

    /// Waits until no save is in progress.
    pub fn wait(&self) {
        drop(lock(&self.0));
    }
}

impl Recording {
    /// Records a MIDI message of a performer, on any channel; times never go back.
    /// A pitch that still sounds is ended before it starts again.
    pub fn take(&mut self, performer: Performer, message: Message, now: Instant) {
        match message {
            Message::NoteOn { pitch, velocity, .. } => {
                self.end(performer, now, |note| note.pitch == pitch);
                if self.notes.len() < MOST {
                    self.sounding.push(self.notes.len());
                    self.notes.push(Played { performer, pitch, velocity, start: now, end: None });
                }
            }
            Message::NoteOff { pitch, .. } => self.end(performer, now, |note| note.pitch == pitch),
            _ if message.silences() => self.end(performer, now, |_| true),
            _ => {}
        }
    }

    /// The notes that start from `moment` on, as a separate recording.
    pub fn since_start(&self, moment: Instant) -> Self {
        let first = self.notes.partition_point(|note| note.start < moment);
        let notes = self.notes.get(first..).unwrap_or_default().to_vec();
        Self { notes, sounding: Vec::new() }
    }

    /// The notes that sound at some time after `moment`, including those still sounding.
    pub fn since(&self, moment: Instant) -> impl Iterator<Item = &Played> {
        // No note sounds for longer, so earlier ones are over.
        let first = self.notes.partition_point(|note| note.start + LONGEST < moment);
        let notes = self.notes.get(first..).unwrap_or_default();
        notes.iter().filter(move |note| note.end.is_none_or(|end| end > moment))
    }

    /// Writes the session to a `.mid` file, a track for each performer; it starts with its first note.
    /// Notes that still sound end now. Returns whether there was anything to write.
    pub fn write(&self, path: &Path, now: Instant) -> anyhow::Result<bool> {
        let Some(bytes) = self.bytes(now) else { return Ok(false) };
        write_whole(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(true)
    }

    /// As [`write`](Self::write), but a recording must not be lost: if the file cannot be written, the recording
    /// goes to a new file in the folder for temporary files, and the error names it.
    pub fn keep(&self, path: &Path, now: Instant) -> anyhow::Result<bool> {
        let Some(bytes) = self.bytes(now) else { return Ok(false) };
        let Err(error) = write_whole(path, &bytes) else { return Ok(true) };
        let cause = format!("cannot write {}: {error}", path.display());
        let folder = std::env::temp_dir();
        let other = keep_in(&folder, &bytes)
            .with_context(|| format!("{cause}, nor a file in {}", folder.display()))?;
        anyhow::bail!("{cause}; the recording is in {}", other.display())
    }

    /// The session as a `.mid` file, if there are notes.
    fn bytes(&self, now: Instant) -> Option<Vec<u8>> {
        let first = self.notes.first()?;
        let instrument = |performer: Performer, name: &str| {
            let played = self.notes.iter().filter(|note| note.performer == performer);
            let seconds = |moment: Instant| (moment - first.start).as_micros() as f64 / 1e6;
            let timed = played.map(|&Played { pitch, velocity, start, end, .. }| TimedNote {
                start: seconds(start),
                end: seconds(end.unwrap_or(now.min(start + LONGEST))),
                pitch,
                velocity,
            });
            Instrument { name: name.into(), notes: timed.collect() }
        };
        let mut instruments = vec![
            instrument(Performer::Person, "Person"),
            instrument(Performer::Pianola, "Pianola"),
        ];
        instruments.retain(|instrument| !instrument.notes.is_empty());
        Some(write_score(&Score { instruments, pedal: Vec::new() }))
    }

    /// Ends the sounding notes of a performer that match.
    fn end(&mut self, performer: Performer, now: Instant, meant: impl Fn(&Played) -> bool) {
        let notes = &mut self.notes;
        self.sounding.retain(|&index| {
            let ends =
                notes.get_mut(index).filter(|note| note.performer == performer && meant(note));
            ends.map(|note| note.end = Some(now.min(note.start + LONGEST))).is_none()
        });
    }
}

/// Writes a new `.mid` file of an unpredictable name, which follows no link, into a folder; returns its path.
fn keep_in(folder: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut file =
        Builder::new().prefix("pianola-recording-").suffix(".mid").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file.keep()?.1)
}

#[cfg(test)]
mod tests {
    use pianola_host::midi_file::read_score;
    use proptest::prelude::*;

    use super::*;

    const PERFORMERS: [Performer; 2] = [Performer::Person, Performer::Pianola];

    /// A recording, written and read again.
    fn read_back(recording: &Recording, now: Instant) -> anyhow::Result<Score> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("session.mid");
        recording.write(&path, now)?;
        Ok(read_score(&std::fs::read(path)?)?)
    }

    /// A note in milliseconds.
    fn note((start, end): (u64, u64), pitch: u8, velocity: u8) -> TimedNote {
        TimedNote { start: start as f64 / 1e3, end: end as f64 / 1e3, pitch, velocity }
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn on(pitch: u8, velocity: u8) -> Message {
        Message::note_on(pitch, velocity)
    }

    #[test]
    fn each_performer_has_a_track_and_each_note_an_end() -> anyhow::Result<()> {
        let mut recording = Recording::default();
        let second = |count: u64| at(count * 1_000_000);
        recording.take(Performer::Person, on(60, 80), second(3));
        recording.take(Performer::Pianola, on(60, 90), second(4));
        recording.take(Performer::Person, on(60, 70).on_channel(5), second(5)); // struck again
        recording.take(Performer::Person, Message::note_off(60), second(6));
        recording.take(Performer::Person, Message::note_off(60), second(7)); // ends nothing
        recording.take(Performer::Person, on(64, 50), second(8)); // its release is lost
        recording.take(Performer::Pianola, Message::control(123, 0), second(9));
        recording.take(Performer::Pianola, on(48, 60), second(28)); // it sounds at the end
        let score = read_back(&recording, second(30))?;
        let [person, pianola] = &score.instruments[..] else { panic!("{score:?}") };
        assert_eq!((person.name.as_str(), pianola.name.as_str()), ("Person", "Pianola"));
        let first = [note((0, 2000), 60, 80), note((2000, 3000), 60, 70)];
        assert_eq!(person.notes, [&first[..], &[note((5000, 20_000), 64, 50)]].concat());
        assert_eq!(pianola.notes, [note((1000, 6000), 60, 90), note((25_000, 27_000), 48, 60)]);
        Ok(())
    }

    #[test]
    fn without_notes_nothing_is_written() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("session.mid");
        let mut recording = Recording::default();
        recording.take(Performer::Person, Message::control(64, 127), at(0));
        assert!(!recording.write(&path, at(5))? && !path.exists());
        recording.take(Performer::Person, on(60, 80), at(0));
        assert!(recording.write(&path, at(5))? && path.exists());
        assert!(recording.write(&folder.path().join("none/session.mid"), at(5)).is_err());
        Ok(())
    }

    #[test]
    fn what_is_over_is_not_shown() {
        let mut recording = Recording::default();
        recording.take(Performer::Person, on(60, 80), at(0));
        recording.take(Performer::Person, on(64, 80), at(1_000_000));
        recording.take(Performer::Person, Message::note_off(60), at(2_000_000));
        let since = |moment| recording.since(at(moment)).map(|note| note.pitch).collect::<Vec<_>>();
        assert_eq!(since(1_999_999), [60, 64]);
        assert_eq!(since(2_000_000), [64]);
        assert!(since(17_000_000).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_recorded_is_what_is_read_back(
            played in proptest::collection::vec(
                // (performer, pitch, velocity, or 0 for the end, microseconds since the one before)
                (0..2usize, 60..64u8, prop_oneof![Just(0), 1..=127u8], 2_000..900_000u64),
                0..60,
            )
        ) {
            let (mut recording, mut now) = (Recording::default(), 5_000_000);
            let mut events = Vec::new();
            for (performer, pitch, velocity, step) in played {
                now += step;
                let message = match velocity {
                    0 => Message::note_off(pitch),
                    _ => on(pitch, velocity),
                };
                recording.take(PERFORMERS[performer], message, at(now));
                events.push((performer, pitch, velocity, now));
            }
            now += 2_000;
            let Some(&(.., first)) = events.iter().find(|(_, _, velocity, _)| *velocity > 0) else {
                return Ok(());
            };
            let score = read_back(&recording, at(now)).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let read: Vec<&TimedNote> =
                score.instruments.iter().flat_map(|instrument| &instrument.notes).collect();

            // Each note ends with the next event of its performer and pitch.
            let mut expected = Vec::new();
            for performer in 0..2 {
                for (index, &(by, pitch, velocity, start)) in events.iter().enumerate() {
                    if by == performer && velocity > 0 {
                        let same = |event: &&(usize, u8, u8, u64)| event.0 == by && event.1 == pitch;
                        let next = events[index + 1..].iter().find(same);
                        let end = next.map_or(now, |event| event.3).min(start + LONGEST.as_micros());
                        expected.push((start - first, end - first, pitch, velocity));
                    }
                }
            }
            prop_assert_eq!(read.len(), expected.len());
            for (read, (start, end, pitch, velocity)) in read.into_iter().zip(expected) {
                prop_assert_eq!((read.pitch, read.velocity), (pitch, velocity));
                prop_assert!((read.start - start as f64 / 1e6).abs() <= 0.000_501);
                prop_assert!((read.end - end as f64 / 1e6).abs() <= 0.000_501);
            }
        }
    }
}
