//! Drawing a choice from a distribution.

use core::cmp::Ordering;

use crate::note::Scale;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// Sampling parameters of one part of a note.
///
/// ```
/// use pianola_runtime::SamplingParams;
/// let nucleus = SamplingParams::with_temperature(0.9).with_top_p(0.95);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SamplingParams {
    /// Divides the log-probabilities: below 1 more conservative, above 1 more random, 0 (or below, or
    /// NaN) greedy. In expressive models it applies to the choice among three neighbouring pitches, or
    /// within an octave of time, while these bands keep their probabilities.
    pub temperature: f32,
    /// Top-k sampling: draw only among the `k` most likely choices, at least 1; `None` for all.
    pub top_k: Option<u16>,
    /// Nucleus (top-p) sampling: draw only among the smallest set of most likely choices whose total
    /// probability is at least this; 1 for all. The most likely choice is always in the set.
    pub top_p: f32,
}

impl SamplingParams {
    /// All choices, at a temperature.
    pub const fn with_temperature(temperature: f32) -> Self {
        Self { temperature, top_k: None, top_p: 1.0 }
    }

    /// The same with top-k sampling.
    #[must_use]
    pub const fn with_top_k(self, k: u16) -> Self {
        Self { top_k: Some(k), ..self }
    }

    /// The same with nucleus (top-p) sampling.
    #[must_use]
    pub const fn with_top_p(self, p: f32) -> Self {
        Self { top_p: p, ..self }
    }

    /// Whether the most likely choice is always taken (greedy decoding).
    pub fn is_greedy(&self) -> bool {
        self.temperature.is_nan() || self.temperature <= 0.0
    }
}

/// How notes are sampled; it may change between any two notes.
///
/// Models that choose pitches alone follow `pitch`, `scale`, `lowest`, `highest` and
/// `repetition_guard`.
///
/// ```
/// use pianola_runtime::{Sampling, Scale};
/// let mut sampling = Sampling::with_temperature(0.9).with_scale(Scale::minor(9)).with_guards();
/// sampling.density = Some(6.0); // a knob was turned
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Sampling {
    /// Sampling of pitches.
    pub pitch: SamplingParams,
    /// Sampling of steps and durations.
    pub time: SamplingParams,
    /// Sampling of velocities.
    pub velocity: SamplingParams,
    /// Scale to draw pitches from.
    pub scale: Scale,
    /// Lowest pitch to draw; by default that of a piano.
    pub lowest: u8,
    /// Highest pitch to draw; by default that of a piano.
    pub highest: u8,
    /// Most pitches that sound at once, at least 1: where all voices are in use, a note ends at the
    /// onset of the next, and no more notes start together. `None` for no limit.
    pub polyphony: Option<u8>,
    /// Target notes per second: steps and durations are drawn shorter the farther the piece is behind,
    /// and longer the farther ahead, with fewer notes to a chord. `None` (or a number that is not
    /// positive and finite) leaves the density to the model.
    pub density: Option<f32>,
    /// Whether to break long-lasting loops of up to 24 pitches.
    pub repetition_guard: bool,
    /// Whether to keep long pieces in the range of real ones: mean pitch and pitch classes, unless a
    /// register is set; pace, unless a density is set; velocities, near those of the start or of the
    /// notes observed. Melodies, pieces of limited polyphony and those that continue slow music may
    /// be slow.
    pub drift_guard: bool,
}

impl Sampling {
    /// Lowest and highest pitch of a piano with 88 keys: A0 and C8.
    pub const PIANO: (u8, u8) = (21, 108);

    /// All parts at one temperature, without guards.
    pub const fn with_temperature(temperature: f32) -> Self {
        Self::with_params(SamplingParams::with_temperature(temperature))
    }

    /// All parts with the same parameters, without guards.
    pub const fn with_params(params: SamplingParams) -> Self {
        Self {
            pitch: params,
            time: params,
            velocity: params,
            scale: Scale::CHROMATIC,
            lowest: Self::PIANO.0,
            highest: Self::PIANO.1,
            polyphony: None,
            density: None,
            repetition_guard: false,
            drift_guard: false,
        }
    }

    /// The same with the repetition guard and the drift guard, as for long pieces.
    #[must_use]
    pub const fn with_guards(self) -> Self {
        Self { repetition_guard: true, drift_guard: true, ..self }
    }

    /// The same with pitches of a scale.
    #[must_use]
    pub const fn with_scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// The same with pitches of a register: its lowest and its highest pitch.
    #[must_use]
    pub const fn with_register(self, lowest: u8, highest: u8) -> Self {
        Self { lowest, highest, ..self }
    }

    /// The same with a limit of pitches that sound at once.
    #[must_use]
    pub const fn with_polyphony(self, pitches: u8) -> Self {
        Self { polyphony: Some(pitches), ..self }
    }

    /// The same with a target of notes per second.
    #[must_use]
    pub const fn with_density(self, notes_per_second: f32) -> Self {
        Self { density: Some(notes_per_second), ..self }
    }

    /// The mean step at the target density, in seconds, if there is one.
    pub(crate) fn mean_step(&self) -> Option<f32> {
        let density = self.density.filter(|density| *density > 0.0 && density.is_finite());
        density.map(|density| 1.0 / density)
    }

    /// Whether the register is not limited.
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
        // SplitMix64's finalizer: adjacent seeds give unrelated states.
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

/// Draws one of up to [`MOST`] choices. A choice whose logit is NaN is never drawn unless there is no
/// other.
#[inline(never)] // boards have no flash for a copy at every call
pub(crate) fn draw(logits: &[f32], params: &SamplingParams, random: &mut Random) -> u8 {
    let Some(Kept { choices, weights, count, total }) = Kept::of(logits, params) else {
        return likeliest(logits);
    };
    let mut left = random.unit() * total;
    for (weight, choice) in weights.iter().zip(choices).take(count) {
        if left < *weight {
            return choice;
        }
        left -= weight;
    }
    // Rounding may leave a small remainder: it belongs to a choice that can be drawn.
    likeliest(logits)
}

/// Draws a choice in two steps: first a band of neighbouring choices, by their joint probability, then
/// one of the band, with the temperature. The first band is `first` wide, the others `width`. Top-k and
/// top-p apply to all choices, before.
///
/// Drawn in one step at a low temperature, the more likely of two hands would take over, increasingly
/// so, because each note is conditioned on those before. If only the choice within a band is sharpened,
/// both hands and all kinds of rhythm keep their shares.
#[inline(never)]
pub(crate) fn draw_in_bands(
    logits: &[f32],
    (first, width): (usize, usize),
    params: &SamplingParams,
    random: &mut Random,
) -> u8 {
    let plain = SamplingParams { temperature: 1.0, ..*params };
    let Some(kept) = Kept::of(logits, &plain).filter(|_| !params.is_greedy()) else {
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
    start as u8 + draw(choices, &SamplingParams::with_temperature(params.temperature), random)
}

/// The choices that may be drawn.
struct Kept {
    /// The kept choices come first, sorted by probability if any is left out.
    choices: [u8; MOST],
    /// Unnormalised probability of each.
    weights: [f32; MOST],
    /// How many there are.
    count: usize,
    /// The sum of their weights.
    total: f32,
}

impl Kept {
    /// `None` if no weights are needed: no choice is possible, one is certain, or decoding is greedy.
    fn of(logits: &[f32], params: &SamplingParams) -> Option<Self> {
        let top = logit_of(logits, likeliest(logits));
        if params.is_greedy() || !top.is_finite() {
            return None;
        }
        let mut choices: [u8; MOST] = core::array::from_fn(|choice| choice as u8);
        let mut count = logits.len().min(MOST);
        if params.top_k.is_some() || params.top_p < 1.0 {
            let choices = choices.get_mut(..count).unwrap_or_default();
            // Among equals, the lower choice comes first.
            sort(choices, |a, b| match logit_of(logits, *b).total_cmp(&logit_of(logits, *a)) {
                Ordering::Equal => a.cmp(b),
                order => order,
            });
            if let Some(most) = params.top_k {
                count = count.min(usize::from(most.max(1)));
            }
        }
        let (mut weights, mut total) = ([0.0; MOST], 0.0);
        for (weight, choice) in weights.iter_mut().zip(choices).take(count) {
            *weight = libm::expf((logit_of(logits, choice) - top) / params.temperature);
            total += *weight;
        }
        if params.top_p < 1.0 {
            let wanted = params.top_p * total;
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

/// A choice's logit; −∞ if there is none or it is NaN.
fn logit_of(logits: &[f32], choice: u8) -> f32 {
    let logit = logits.get(usize::from(choice)).copied();
    logit.filter(|logit| !logit.is_nan()).unwrap_or(f32::NEG_INFINITY)
}

/// The most likely choice; the lowest among equals.
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
