//! Drawing a choice from a distribution.

use core::cmp::Ordering;

use crate::note::Scale;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// How freely one part of a note is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingParams {
    /// Divides the log-probabilities: below 1 the likely becomes likelier, above 1 the unlikely.
    /// At 0 (or below, or not a number) the likeliest choice is taken. Where all parts of a note are
    /// chosen, it is the choice among three neighbouring pitches, or within an octave of time, that is
    /// made so, while these bands keep their probabilities.
    pub temperature: f32,
    /// Draw only among so many likeliest choices; 0 for all.
    pub top_k: u16,
    /// Draw only among the fewest likeliest choices that have this much probability together; 1
    /// for all. The likeliest always takes part.
    pub top_p: f32,
}

impl SamplingParams {
    /// All choices, at a temperature.
    pub const fn with_temperature(temperature: f32) -> Self {
        Self { temperature, top_k: 0, top_p: 1.0 }
    }

    /// Whether the likeliest choice is taken.
    pub fn is_greedy(&self) -> bool {
        self.temperature.is_nan() || self.temperature <= 0.0
    }
}

/// How notes are drawn; it may change between any two.
///
/// Models that choose pitches alone follow `pitch`, `scale`, `lowest`, `highest` and `loop_guard`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// How freely pitches are drawn.
    pub pitch: SamplingParams,
    /// How freely steps and durations are drawn.
    pub time: SamplingParams,
    /// How freely velocities are drawn.
    pub velocity: SamplingParams,
    /// Draw only pitches of this scale.
    pub scale: Scale,
    /// Lowest pitch to draw; by default that of a piano.
    pub lowest: u8,
    /// Highest pitch to draw; by default that of a piano.
    pub highest: u8,
    /// Most pitches that sound at once: where all voices are in use, a note ends as the next one starts, and no
    /// more notes start together. 0 for no limit.
    pub polyphony: u8,
    /// Notes a second that are aimed at: steps and durations are drawn shorter the farther the piece is behind,
    /// and longer the farther ahead, with fewer notes to a chord. 0 for as many as the model means.
    pub density: f32,
    /// Whether to break a circle of up to 24 pitches that has gone round for long.
    pub loop_guard: bool,
    /// Whether to lead music back that strays: to one end of the keyboard, to a few pitch classes or to all
    /// alike, unless a register is asked for; to a pace faster or slower than that of most songs, unless a density
    /// is; to velocities softer or louder than at the start or than someone else played. Melodies, pieces of limited
    /// polyphony and those that go on from slow music may be slow.
    pub drift_guard: bool,
}

impl Sampling {
    /// Lowest and highest pitch of a piano with 88 keys: A0 and C8.
    pub const PIANO: (u8, u8) = (21, 108);

    /// All parts at one temperature.
    pub const fn with_temperature(temperature: f32) -> Self {
        let freedom = SamplingParams::with_temperature(temperature);
        Self {
            pitch: freedom,
            time: freedom,
            velocity: freedom,
            scale: Scale::CHROMATIC,
            lowest: Self::PIANO.0,
            highest: Self::PIANO.1,
            polyphony: 0,
            density: 0.0,
            loop_guard: false,
            drift_guard: false,
        }
    }

    /// The mean step at the density asked for, in seconds, if one is.
    pub(crate) fn mean_step(&self) -> Option<f32> {
        (self.density > 0.0 && self.density.is_finite()).then(|| 1.0 / self.density)
    }

    /// Whether every register is welcome.
    pub(crate) fn is_wide(&self) -> bool {
        self.is_piano() || self.lowest == 0 && self.highest >= 127
    }

    /// Whether the register is that of a piano, the default.
    pub(crate) fn is_piano(&self) -> bool {
        (self.lowest, self.highest) == Self::PIANO
    }

    /// Whether scale and register have a pitch.
    pub(crate) fn has(&self, pitch: u8) -> bool {
        (self.lowest..=self.highest).contains(&pitch) && self.scale.contains(pitch)
    }
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Self::with_temperature(1.0)
    }
}

/// The random numbers of a piece: PCG-XSH-RR 64/32 (O'Neill, 2014) from a spread seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(Pcg32);

impl Random {
    /// Stream of the notes' draws: the sequence number of the PCG paper's demo.
    const STREAM: u64 = 54;

    pub fn new(seed: u64) -> Self {
        // SplitMix64's finalizer, so that neighbouring seeds start far apart.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(Pcg32::new(state ^ (state >> 31), Self::STREAM))
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in 0 to below 1, in steps of 2⁻²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 24) as f32
    }
}

/// Most choices there are.
const MOST: usize = 128;

/// Draws one of up to [`MOST`] choices. Logits that are not numbers are never drawn unless nothing else
/// is there.
#[inline(never)] // boards have no flash for a copy at every call
pub(crate) fn draw(logits: &[f32], freedom: &SamplingParams, random: &mut Random) -> u8 {
    let Some(Kept { choices, weights, count, total }) = Kept::of(logits, freedom) else {
        return likeliest(logits);
    };
    let mut left = random.unit() * total;
    for (weight, choice) in weights.iter().zip(choices).take(count) {
        if left < *weight {
            return choice;
        }
        left -= weight;
    }
    // Rounding may leave a last crumb: it belongs to a choice that can be drawn.
    likeliest(logits)
}

/// Draws a choice in two steps: first a band of neighbouring ones, as likely as they are together, then
/// one of the band, as freely as asked. The first band is `first` wide, the others `width`. What top-k and
/// top-p leave out is left out of all bands.
///
/// Drawn in one step at a low temperature, the likelier of two hands would play alone, and more and more
/// so, for the next note follows those before. Where it is the choice within a band that is sharpened,
/// both hands and all kinds of rhythm keep their shares.
#[inline(never)]
pub(crate) fn draw_in_bands(
    logits: &[f32],
    (first, width): (usize, usize),
    freedom: &SamplingParams,
    random: &mut Random,
) -> u8 {
    let plain = SamplingParams { temperature: 1.0, ..*freedom };
    let Some(kept) = Kept::of(logits, &plain).filter(|_| !freedom.is_greedy()) else {
        return likeliest(logits);
    };
    let (mut tempered, mut masses) = ([f32::NEG_INFINITY; MOST], [0.0; MOST_BANDS]);
    for (choice, weight) in kept.choices.iter().zip(kept.weights).take(kept.count) {
        let choice = usize::from(*choice);
        let band = (choice + width - first).checked_div(width).unwrap_or(0);
        if let Some(mass) = masses.get_mut(band) {
            *mass += weight;
        }
        if let (Some(tempered), Some(logit)) = (tempered.get_mut(choice), logits.get(choice)) {
            *tempered = *logit;
        }
    }
    masses.iter_mut().for_each(|mass| *mass = libm::logf(*mass));
    let band = usize::from(draw(&masses, &SamplingParams::with_temperature(1.0), random));
    let start = (band * width).saturating_sub(width - first);
    let end = (band * width + first).min(logits.len());
    let choices = tempered.get(start..end).unwrap_or_default();
    start as u8 + draw(choices, &SamplingParams::with_temperature(freedom.temperature), random)
}

/// The choices that may be drawn.
struct Kept {
    /// They come first: the likeliest first, where some are left out.
    choices: [u8; MOST],
    /// How often each is to be drawn.
    weights: [f32; MOST],
    /// How many there are.
    count: usize,
    /// The sum of their weights.
    total: f32,
}

impl Kept {
    /// `None` where there is nothing to weigh: all is impossible, something is certain, or the likeliest is
    /// to be taken.
    fn of(logits: &[f32], freedom: &SamplingParams) -> Option<Self> {
        let top = logit_of(logits, likeliest(logits));
        if freedom.is_greedy() || !top.is_finite() {
            return None;
        }
        let mut choices: [u8; MOST] = core::array::from_fn(|choice| choice as u8);
        let mut count = logits.len().min(MOST);
        if freedom.top_k > 0 || freedom.top_p < 1.0 {
            let choices = choices.get_mut(..count).unwrap_or_default();
            // Of equals, the lower choice first.
            sort(choices, |a, b| match logit_of(logits, *b).total_cmp(&logit_of(logits, *a)) {
                Ordering::Equal => a.cmp(b),
                order => order,
            });
            if freedom.top_k > 0 {
                count = count.min(usize::from(freedom.top_k));
            }
        }
        let (mut weights, mut total) = ([0.0; MOST], 0.0);
        for (weight, choice) in weights.iter_mut().zip(choices).take(count) {
            *weight = libm::expf((logit_of(logits, choice) - top) / freedom.temperature);
            total += *weight;
        }
        if freedom.top_p < 1.0 {
            let wanted = freedom.top_p * total;
            total = 0.0;
            let mut kept = 0;
            for weight in weights.iter().take(count) {
                if kept > 0 && total >= wanted {
                    break;
                }
                total += weight;
                kept += 1;
            }
            count = kept;
        }
        Some(Self { choices, weights, count, total })
    }
}

/// A choice's logit; that of none, or of one that is not a number, is impossible.
fn logit_of(logits: &[f32], choice: u8) -> f32 {
    let logit = logits.get(usize::from(choice)).copied();
    logit.filter(|logit| !logit.is_nan()).unwrap_or(f32::NEG_INFINITY)
}

/// The likeliest choice; of equals, the lowest.
fn likeliest(logits: &[f32]) -> u8 {
    let (mut best, mut most) = (0, f32::NEG_INFINITY);
    for (choice, &logit) in (0u8..).zip(logits) {
        if logit > most {
            (best, most) = (choice, logit);
        }
    }
    best
}

/// Most bands there are.
const MOST_BANDS: usize = 44;

/// Sorts a few tokens, by insertion: `core`'s own sorting can panic and takes 10 KB of flash.
fn sort(tokens: &mut [u8], order: impl Fn(&u8, &u8) -> Ordering) {
    for end in 1..tokens.len() {
        for at in (1..=end).rev() {
            let pair = tokens.get_mut(at - 1..).and_then(|rest| rest.first_chunk_mut());
            let Some([before, after]) = pair else { break };
            if order(before, after) != Ordering::Greater {
                break;
            }
            core::mem::swap(before, after);
        }
    }
}
