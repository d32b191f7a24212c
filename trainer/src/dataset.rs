//! Segments as batches of tensors, with augmentation.

use pianola_runtime::corpus::{SEGMENT, below, shuffle};
use pianola_runtime::{BOS, Note};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// A segment: the unit of training and of loss.
pub type Segment = [Note; SEGMENT];

/// Changes that leave music music, drawn anew for every segment of every epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Lowest transposition, in semitones.
    pub transpose_down: u8,
    /// Highest transposition, in semitones.
    pub transpose_up: u8,
    /// Largest relative change of tempo: 0.1 plays from 10 % slower to 10 % faster.
    pub tempo: f32,
}

impl Augmentation {
    fn apply(self, segment: &Segment, rng: &mut Pcg32) -> Segment {
        let span = u32::from(self.transpose_down) + u32::from(self.transpose_up) + 1;
        let shift = below(rng, span) as i32 - i32::from(self.transpose_down);
        let (lowest, highest) = segment
            .iter()
            .fold((127, 0), |(low, high), note| (note.pitch.min(low), note.pitch.max(high)));
        // No farther than the keyboard of MIDI goes.
        let shift = shift.clamp(-i32::from(lowest), 127 - i32::from(highest));
        let unit = (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
        let stretch = 1.0 + self.tempo * (2.0 * unit - 1.0);
        segment.map(|note| Note {
            pitch: (i32::from(note.pitch) + shift) as u8,
            // A rest of minutes, where the other hand plays alone, would drown its whole batch.
            step: (note.step * stretch).min(Note::MAX_SECONDS),
            duration: (note.duration * stretch).min(Note::MAX_SECONDS),
            ..note
        })
    }
}

/// Inputs and targets of a batch, time-major.
pub struct Batch {
    /// Pitches heard, `[time, batch]`: BOS and all notes but the last.
    pub pitch_in: Tensor,
    /// Steps and durations heard, `[time, batch, 2]`.
    pub times_in: Tensor,
    /// Pitches to predict, `[time, batch]`.
    pub pitch_out: Tensor,
    /// Steps and durations to predict, `[time, batch, 2]`.
    pub times_out: Tensor,
}

impl Batch {
    /// Lays segments side by side on the device.
    pub fn new(segments: &[Segment], device: Device) -> Self {
        let (length, width) = (SEGMENT, segments.len());
        // One step longer than the segments: inputs are all but the last, targets all but BOS.
        let mut pitch = vec![i64::from(BOS); (length + 1) * width];
        let mut times = vec![0f32; (length + 1) * width * 2];
        for (column, segment) in segments.iter().enumerate() {
            for (row, note) in segment.iter().enumerate() {
                let at = (row + 1) * width + column;
                pitch[at] = i64::from(note.pitch);
                times[2 * at] = note.step;
                times[2 * at + 1] = note.duration;
            }
        }
        let (length, width) = (length as i64, width as i64);
        let pitch = Tensor::from_slice(&pitch).view([length + 1, width]).to_device(device);
        let times = Tensor::from_slice(&times).view([length + 1, width, 2]).to_device(device);
        Self {
            pitch_in: pitch.narrow(0, 0, length),
            times_in: times.narrow(0, 0, length),
            pitch_out: pitch.narrow(0, 1, length).contiguous(),
            times_out: times.narrow(0, 1, length),
        }
    }
}

/// The segments of one epoch in random order, augmented. The same seed and epoch give the same.
pub fn epoch(
    segments: &[&Segment],
    augmentation: Augmentation,
    seed: u64,
    epoch: usize,
) -> Vec<Segment> {
    let mut rng = Pcg32::new(seed, epoch as u64);
    let mut order: Vec<usize> = (0..segments.len()).collect();
    shuffle(&mut order, &mut rng);
    order.into_iter().map(|index| augmentation.apply(segments[index], &mut rng)).collect()
}
