//! Notes in, timed MIDI messages out, in fixed buffers.
//!
//! The player has no clock and no port: its caller passes the time and takes the messages that are
//! due. Messages that a port has no room for stay in the player.

use heapless::Deque;

use crate::midi::message::{Message, controller};
use crate::midi::time::{Instant, Micros};
use crate::note::Note;

/// Plays notes: takes them in the order in which a model generates them, and returns MIDI messages,
/// each at its time.
///
/// - At most `AHEAD` notes wait for their time, and at most `VOICES` sound.
/// - A note whose pitch already sounds ends that pitch first.
/// - A note without a free voice ends the voice that would have ended soonest.
/// - A note that a stalled port delays also delays all that follow: nothing catches up in a burst.
/// - If notes are generated more slowly than they are played, the music slows down: all times are
///   stretched until notes come early enough again, so that chords and rhythms keep their shape.
/// - Note-offs are never dropped or delayed: every note that has started ends.
///
/// ```
/// use pianola_runtime::{Instant, Message, Micros, Note, Player};
/// let now = Instant::START;
/// let mut player: Player = Player::new(now);
/// while player.next(now).is_some() {} // it first silences what another has left sounding
/// player.push(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 }, now);
/// let start = player.due().unwrap();
/// assert_eq!(player.next(start), Some(Message::note_on(60, 80)));
/// assert_eq!(player.next(start), None);
/// assert_eq!(player.next(start + Micros::from_millis(500)), Some(Message::note_off(60)));
/// ```
#[derive(Clone, Debug)]
pub struct Player<const AHEAD: usize = 32, const VOICES: usize = 32> {
    /// Notes to start, in the order of their onsets.
    upcoming: Deque<Upcoming, AHEAD>,
    /// Pitches that sound, each with its end.
    voices: [Option<Voice>; VOICES],
    /// Onset of the last note taken.
    onset: Instant,
    /// Progress of silencing everything.
    silence: Option<Silence>,
    /// How long before their onset notes are wanted.
    look_ahead: Micros,
    /// Factor that times are stretched by, at least 1.
    stretch: f32,
    /// Onset of the last note that has started since everything was silenced.
    started: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Upcoming {
    onset: Instant,
    duration: Micros,
    pitch: u8,
    velocity: u8,
}

#[derive(Clone, Copy, Debug)]
struct Voice {
    pitch: u8,
    end: Instant,
}

/// The next message to send to silence everything.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// Controller 120, all sound off.
    AllSoundOff,
    /// Controller 123, all notes off.
    AllNotesOff,
    /// Release the pedals from this index on: they may hold notes whose keys are released.
    Pedals(u8),
    /// A note-off for this and every higher pitch: not every instrument supports those controllers.
    From(u8),
}

impl<const AHEAD: usize, const VOICES: usize> Player<AHEAD, VOICES> {
    /// How long before their onset notes are wanted: a slow computation then delays none.
    pub const LOOK_AHEAD: Micros = Micros::from_millis(1_000);

    /// Look-ahead once a note has come late: enough for chords on a board that takes a quarter of a
    /// second for each note.
    const LONG_LOOK_AHEAD: Micros = Micros::from_millis(4_000);

    /// Largest stretch of times.
    const LONGEST_STRETCH: f32 = 8.0;

    /// Time from the first note taken to its earliest onset, in which a few more are generated.
    pub const LEAD: Micros = Micros::from_millis(300);

    /// A note that comes or starts later than this delays those that follow.
    pub const LATE: Micros = Micros::from_millis(10);

    /// A player that first silences whatever may sound: it may have been reset in the middle of a
    /// piece, or its instrument been plugged in while a note was held.
    pub fn new(now: Instant) -> Self {
        let mut player = Self {
            upcoming: Deque::new(),
            voices: [None; VOICES],
            onset: Instant::START,
            silence: None,
            look_ahead: Self::LOOK_AHEAD,
            stretch: 1.0,
            started: None,
        };
        player.panic(now);
        player
    }

    /// Whether it is time to take another note.
    pub fn wants_note(&self, now: Instant) -> bool {
        !self.upcoming.is_full() && self.onset < now + self.look_ahead
    }

    /// Takes a note, whose step counts from the onset of the note taken before. Returns whether
    /// there was room for it.
    pub fn push(&mut self, note: &Note, now: Instant) -> bool {
        if self.upcoming.is_full() {
            return false;
        }
        let note = note.playable();
        self.keep_up(note.step, now);
        let stretched = |seconds: f32| Micros::from_seconds(seconds * self.stretch);
        let onset = (self.onset + stretched(note.step)).max(now);
        let upcoming = Upcoming {
            onset,
            duration: stretched(note.duration),
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
    fn keep_up(&mut self, step: f32, now: Instant) {
        let due = self.onset + Micros::from_seconds(step * self.stretch);
        let late = now > due + Self::LATE;
        if late {
            self.look_ahead = Self::LONG_LOOK_AHEAD;
        }
        if self.look_ahead == Self::LOOK_AHEAD {
            return;
        }
        let ahead = (self.onset - now).as_micros();
        // If notes are short, time slows in proportion; it changes slowly, so that rhythms keep their shape.
        let wanted = self.look_ahead.as_micros() as f32 / ahead.max(1) as f32;
        let wanted = wanted.clamp(1.0, Self::LONGEST_STRETCH);
        self.stretch += (wanted - self.stretch) * 0.04;
        if self.stretch < 1.01 {
            (self.look_ahead, self.stretch) = (Self::LOOK_AHEAD, 1.0);
        }
    }

    /// When the next message is due; `None` if there is none to come.
    pub fn due(&self) -> Option<Instant> {
        if self.silence.is_some() {
            return Some(Instant::START);
        }
        let ends = self.voices.iter().flatten().map(|voice| voice.end).min();
        let start = self.upcoming.front().map(|note| note.onset);
        match (ends, start) {
            (Some(end), Some(start)) => Some(end.min(start)),
            (end, start) => end.or(start),
        }
    }

    /// The next message if it is due. Call until it returns `None`: among messages due together,
    /// note-offs come before note-ons.
    pub fn next(&mut self, now: Instant) -> Option<Message> {
        if let Some(message) = self.next_silencing() {
            return Some(message);
        }
        let start = self.upcoming.front().map_or(Instant::MAX, |note| note.onset);
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
        self.started = Some(note.onset);
        Some(Message::note_on(note.pitch, note.velocity))
    }

    /// Drops the waiting notes; those that sound continue. The step of the next note counts from
    /// `onset`.
    pub fn forget(&mut self, onset: Instant) {
        self.upcoming.clear();
        self.onset = onset;
    }

    /// Drops the waiting notes and ends those that sound; later notes start anew.
    pub fn stop(&mut self, now: Instant) {
        self.forget(now + Self::LEAD);
        self.voices.iter_mut().flatten().for_each(|voice| voice.end = Instant::START);
    }

    /// As [`stop`](Self::stop), but silences everything that may sound, including notes of other players.
    pub fn panic(&mut self, now: Instant) {
        self.stop(now);
        self.voices = [None; VOICES];
        self.started = None;
        self.silence = Some(Silence::AllSoundOff);
    }

    /// Whether it is still silencing everything that may sound.
    pub fn is_silencing(&self) -> bool {
        self.silence.is_some()
    }

    /// Whether a note has started since everything was silenced.
    pub fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// Onset of the last note that has started since everything was silenced; later than planned if the port
    /// delayed it.
    pub fn last_start(&self) -> Option<Instant> {
        self.started
    }

    /// Onset of the last note taken, started or not.
    pub fn onset(&self) -> Instant {
        self.onset
    }

    /// Notes that sound.
    pub fn sounding(&self) -> usize {
        self.voices.iter().flatten().count()
    }

    fn next_silencing(&mut self) -> Option<Message> {
        let (message, next) = match self.silence? {
            Silence::AllSoundOff => {
                (Message::control(controller::ALL_SOUND_OFF, 0), Some(Silence::AllNotesOff))
            }
            Silence::AllNotesOff => {
                let pedals = Silence::Pedals(controller::SUSTAIN);
                (Message::control(controller::ALL_NOTES_OFF, 0), Some(pedals))
            }
            Silence::Pedals(pedal) => {
                let next = match pedal {
                    controller::SUSTAIN => Silence::Pedals(controller::SOSTENUTO),
                    controller::SOSTENUTO => Silence::Pedals(controller::SOFT),
                    _ => Silence::From(0),
                };
                (Message::control(pedal, 0), Some(next))
            }
            Silence::From(pitch) => {
                let next = (pitch < 127).then_some(Silence::From(pitch + 1));
                (Message::note_off(pitch), next)
            }
        };
        self.silence = next;
        Some(message)
    }

    /// The voice that ends soonest.
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

    /// Delays all waiting notes.
    fn delay(&mut self, late: Micros) {
        self.upcoming.iter_mut().for_each(|note| note.onset += late);
        self.onset += late;
    }
}
