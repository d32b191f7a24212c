//! Notes in, timed MIDI messages out, in fixed buffers.
//!
//! The player knows no clock and no port: its caller says what time it is and takes the messages
//! that are due. What a port has no room for simply stays here.

use heapless::Deque;

use crate::note::Note;

/// Microseconds on the caller's clock.
pub type Micros = u64;

/// A MIDI message of three bytes, on channel 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message(pub [u8; 3]);

impl Message {
    fn note_on(pitch: u8, velocity: u8) -> Self {
        Self([0x90, pitch, velocity])
    }

    fn note_off(pitch: u8) -> Self {
        Self([0x80, pitch, 64])
    }

    fn control(number: u8, value: u8) -> Self {
        Self([0xb0, number, value])
    }

    /// The pitch that this starts, if it is a note-on.
    pub fn started(&self) -> Option<u8> {
        (self.0[0] == 0x90).then_some(self.0[1])
    }

    /// The pitch that this ends, if it is a note-off.
    pub fn ended(&self) -> Option<u8> {
        (self.0[0] == 0x80).then_some(self.0[1])
    }
}

/// Plays notes: from the order in which a model makes them up to MIDI messages, each at its time.
///
/// - At most `AHEAD` notes wait for their time, and at most `VOICES` sound.
/// - A note whose pitch sounds already ends that first.
/// - A note for which there is no voice ends the one that would have ended soonest.
/// - A note that the port was stalled for delays all that follow: nothing catches up in a burst.
/// - Where notes are made up more slowly than the music goes, the music slows down: all times are
///   stretched until notes come early enough again, so that chords and rhythms stay what they are.
/// - Ends are never dropped or delayed: what has started is ended, whatever happens.
///
/// ```
/// use pianola_runtime::{Note, Player};
/// let mut player: Player = Player::new(0);
/// while player.next(0).is_some() {} // it first silences what another has left sounding
/// player.push(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 }, 0);
/// let start = player.due().unwrap();
/// assert_eq!(player.next(start).unwrap().0, [0x90, 60, 80]);
/// assert_eq!(player.next(start), None);
/// assert_eq!(player.next(start + 500_000).unwrap().0, [0x80, 60, 64]);
/// ```
#[derive(Clone, Debug)]
pub struct Player<const AHEAD: usize = 32, const VOICES: usize = 32> {
    /// Notes to start, in the order of their onsets.
    upcoming: Deque<Upcoming, AHEAD>,
    /// Pitches that sound, and when each is to end.
    voices: [Option<Voice>; VOICES],
    /// Onset of the last note taken.
    onset: Micros,
    /// How far the silencing of everything has come.
    silence: Option<Silence>,
    /// How long ahead of their time notes are wanted.
    look_ahead: Micros,
    /// What times are stretched by, from 1.
    stretch: f32,
}

#[derive(Clone, Copy, Debug)]
struct Upcoming {
    onset: Micros,
    duration: Micros,
    pitch: u8,
    velocity: u8,
}

#[derive(Clone, Copy, Debug)]
struct Voice {
    pitch: u8,
    end: Micros,
}

/// What is yet to be sent so that nothing sounds.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// Controller 120, all sound off.
    AllSoundOff,
    /// Controller 123, all notes off.
    AllNotesOff,
    /// A note-off for this and every higher pitch: not every instrument knows those controllers.
    From(u8),
}

impl<const AHEAD: usize, const VOICES: usize> Player<AHEAD, VOICES> {
    /// Notes are wanted so long ahead of their time: a step that takes long then makes none late.
    pub const LOOK_AHEAD: Micros = 1_000_000;

    /// The same once a note has come late: enough for the chords of a board that takes a quarter of
    /// a second for each note.
    const LONG_LOOK_AHEAD: Micros = 4_000_000;

    /// Times are stretched by no more.
    const LONGEST_STRETCH: f32 = 8.0;

    /// From the first note taken to its earliest onset, so that a few are made up before.
    pub const LEAD: Micros = 300_000;

    /// A note that comes or starts later than this delays those that follow.
    pub const LATE: Micros = 10_000;

    /// A player that first silences whatever may sound: it may have been reset in the middle of a
    /// piece, or its instrument been plugged in while a note was held.
    pub fn new(now: Micros) -> Self {
        let mut player = Self {
            upcoming: Deque::new(),
            voices: [None; VOICES],
            onset: 0,
            silence: None,
            look_ahead: Self::LOOK_AHEAD,
            stretch: 1.0,
        };
        player.panic(now);
        player
    }

    /// Whether it is time to take another note.
    pub fn wants_note(&self, now: Micros) -> bool {
        !self.upcoming.is_full() && self.onset < now + self.look_ahead
    }

    /// Takes a note, whose step counts from the onset of the note taken before. Returns whether
    /// there was room for it.
    pub fn push(&mut self, note: &Note, now: Micros) -> bool {
        let note = note.playable();
        self.keep_up(note.step, now);
        let micros = |seconds: f32| (seconds * self.stretch * 1e6) as Micros;
        let onset = (self.onset + micros(note.step)).max(now);
        let upcoming = Upcoming {
            onset,
            duration: micros(note.duration),
            pitch: note.pitch.min(127),
            velocity: note.velocity.clamp(1, 127),
        };
        let taken = self.upcoming.push_back(upcoming).is_ok();
        if taken {
            self.onset = onset;
        }
        taken
    }

    /// Sets the stretch by how far ahead of its time the next note comes.
    fn keep_up(&mut self, step: f32, now: Micros) {
        let due = self.onset + (step * self.stretch * 1e6) as Micros;
        let late = now > due + Self::LATE;
        if late {
            self.look_ahead = Self::LONG_LOOK_AHEAD;
        }
        if self.look_ahead == Self::LOOK_AHEAD {
            return;
        }
        let ahead = self.onset.saturating_sub(now);
        // Short of notes, time goes slower by as much; it changes slowly, lest rhythms bend.
        let wanted = self.look_ahead as f32 / ahead.max(1) as f32;
        let wanted = wanted.clamp(1.0, Self::LONGEST_STRETCH);
        self.stretch += (wanted - self.stretch) * 0.04;
        if self.stretch < 1.01 {
            (self.look_ahead, self.stretch) = (Self::LOOK_AHEAD, 1.0);
        }
    }

    /// When the next message is due; `None` if there is none to come.
    pub fn due(&self) -> Option<Micros> {
        if self.silence.is_some() {
            return Some(0);
        }
        let ends = self.voices.iter().flatten().map(|voice| voice.end).min();
        let start = self.upcoming.front().map(|note| note.onset);
        match (ends, start) {
            (Some(end), Some(start)) => Some(end.min(start)),
            (end, start) => end.or(start),
        }
    }

    /// The next message if it is due. Ask again until there is none: of messages due together, ends
    /// come before starts.
    pub fn next(&mut self, now: Micros) -> Option<Message> {
        if let Some(message) = self.next_silencing() {
            return Some(message);
        }
        let start = self.upcoming.front().map_or(Micros::MAX, |note| note.onset);
        let soonest = self.soonest();
        if let Some(Voice { pitch, end }) = soonest.and_then(|index| self.voice(index))
            && end <= now
            && end <= start
        {
            return self.end(pitch);
        }
        if start > now {
            return None;
        }
        let late = now - start;
        if late > Self::LATE {
            self.delay(late);
        }
        let note = *self.upcoming.front()?;
        if self.voices.iter().flatten().any(|voice| voice.pitch == note.pitch) {
            return self.end(note.pitch);
        }
        let Some(free) = self.voices.iter_mut().find(|voice| voice.is_none()) else {
            let pitch = self.voice(soonest?)?.pitch;
            return self.end(pitch);
        };
        *free = Some(Voice { pitch: note.pitch, end: note.onset + note.duration });
        self.upcoming.pop_front();
        Some(Message::note_on(note.pitch, note.velocity))
    }

    /// Forgets the notes that wait; those that sound go on. The step of the note that follows counts
    /// from `onset`.
    pub fn forget(&mut self, onset: Micros) {
        self.upcoming.clear();
        self.onset = onset;
    }

    /// Forgets the notes that wait, and ends those that sound; notes that follow start anew.
    pub fn stop(&mut self, now: Micros) {
        self.forget(now + Self::LEAD);
        self.voices.iter_mut().flatten().for_each(|voice| voice.end = 0);
    }

    /// As [`stop`](Self::stop), but silences whatever may sound, be it this player's or not.
    pub fn panic(&mut self, now: Micros) {
        self.stop(now);
        self.voices = [None; VOICES];
        self.silence = Some(Silence::AllSoundOff);
    }

    /// Whether it is about to silence whatever may sound.
    pub fn is_silencing(&self) -> bool {
        self.silence.is_some()
    }

    /// Onset of the last note taken, started or not.
    pub fn onset(&self) -> Micros {
        self.onset
    }

    /// Notes that sound.
    pub fn sounding(&self) -> usize {
        self.voices.iter().flatten().count()
    }

    fn next_silencing(&mut self) -> Option<Message> {
        let (message, next) = match self.silence? {
            Silence::AllSoundOff => (Message::control(120, 0), Some(Silence::AllNotesOff)),
            Silence::AllNotesOff => (Message::control(123, 0), Some(Silence::From(0))),
            Silence::From(pitch) => {
                let next = (pitch < 127).then_some(Silence::From(pitch + 1));
                (Message::note_off(pitch), next)
            }
        };
        self.silence = next;
        Some(message)
    }

    /// The voice that is to end soonest.
    fn soonest(&self) -> Option<usize> {
        let ends = self.voices.iter().enumerate();
        let ends = ends.filter_map(|(index, voice)| Some((voice.as_ref()?.end, index)));
        ends.min().map(|(_, index)| index)
    }

    fn voice(&self, index: usize) -> Option<Voice> {
        self.voices.get(index).copied().flatten()
    }

    /// Ends a pitch that sounds.
    fn end(&mut self, pitch: u8) -> Option<Message> {
        let sounds = |voice: &&mut Option<Voice>| voice.is_some_and(|voice| voice.pitch == pitch);
        *self.voices.iter_mut().find(sounds)? = None;
        Some(Message::note_off(pitch))
    }

    /// Moves all notes that wait to a later time.
    fn delay(&mut self, late: Micros) {
        self.upcoming.iter_mut().for_each(|note| note.onset += late);
        self.onset += late;
    }
}
