//! Drawing a choice from a distribution.

use core::cmp::Ordering;

use crate::scale::Scale;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// How freely one part of a note is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freedom {
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

impl Freedom {
    /// All choices, at a temperature.
    pub const fn at(temperature: f32) -> Self {
        Self { temperature, top_k: 0, top_p: 1.0 }
    }

    /// Whether the likeliest choice is taken.
    pub(crate) fn is_greedy(&self) -> bool {
        self.temperature.is_nan() || self.temperature <= 0.0
    }
}

/// How notes are drawn; it may change between any two.
///
/// Models that choose pitches alone follow `pitch`, `scale`, `lowest`, `highest` and `loop_guard`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// How freely pitches are drawn.
    pub pitch: Freedom,
    /// How freely steps and durations are drawn.
    pub time: Freedom,
    /// How freely velocities are drawn.
    pub velocity: Freedom,
    /// Draw only pitches of this scale.
    pub scale: Scale,
    /// Lowest pitch to draw.
    pub lowest: u8,
    /// Highest pitch to draw.
    pub highest: u8,
    /// Most pitches that sound at once: the next waits until another ends. 0 for no limit.
    pub polyphony: u8,
    /// Notes a second that are aimed at: steps are drawn shorter the farther the piece is behind, and
    /// longer the farther ahead. 0 for as many as the model means.
    pub density: f32,
    /// Whether to break a circle of up to 24 pitches that has gone round for long.
    pub loop_guard: bool,
    /// Whether to lead music back that strays to one end of the keyboard, unless a register is asked
    /// for, or that hurries, unless a density is. A network that goes on from its own notes for long has
    /// nothing else to hold it.
    pub drift_guard: bool,
}

impl Sampling {
    /// All parts at one temperature.
    pub const fn at(temperature: f32) -> Self {
        let freedom = Freedom::at(temperature);
        Self {
            pitch: freedom,
            time: freedom,
            velocity: freedom,
            scale: Scale::CHROMATIC,
            lowest: 0,
            highest: 127,
            polyphony: 0,
            density: 0.0,
            loop_guard: false,
            drift_guard: false,
        }
    }

    /// Whether every register is welcome.
    pub(crate) fn is_wide(&self) -> bool {
        self.lowest == 0 && self.highest >= 127
    }

    /// Whether scale and register have a pitch.
    pub(crate) fn has(&self, pitch: u8) -> bool {
        (self.lowest..=self.highest).contains(&pitch) && self.scale.contains(pitch)
    }
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Self::at(1.0)
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
pub(crate) fn draw(logits: &[f32], freedom: &Freedom, random: &mut Random) -> u8 {
    let mut tokens: [u8; MOST] = core::array::from_fn(|token| token as u8);
    let count = logits.len().min(MOST);
    let tokens = tokens.get_mut(..count).unwrap_or_default();
    let logit = |token: &u8| {
        let logit = logits.get(usize::from(*token)).copied();
        logit.filter(|logit| !logit.is_nan()).unwrap_or(f32::NEG_INFINITY)
    };
    // Likelier first; of equals, the lower token.
    let by_likelihood = |a: &u8, b: &u8| match logit(b).total_cmp(&logit(a)) {
        Ordering::Equal => a.cmp(b),
        order => order,
    };
    let likeliest = tokens.iter().copied().min_by(by_likelihood).unwrap_or(0);
    let top = logit(&likeliest);
    // Also where all is impossible or something is certain: there is nothing to weigh.
    if freedom.is_greedy() || !top.is_finite() {
        return likeliest;
    }

    let mut kept = count;
    let truncates = freedom.top_k > 0 || freedom.top_p < 1.0;
    if truncates {
        sort(tokens, by_likelihood);
        if freedom.top_k > 0 {
            kept = kept.min(usize::from(freedom.top_k));
        }
    }
    let mut weights = [0.0; MOST];
    let mut total = 0.0;
    for (weight, token) in weights.iter_mut().zip(tokens.iter().take(kept)) {
        *weight = libm::expf((logit(token) - top) / freedom.temperature);
        total += *weight;
    }
    if freedom.top_p < 1.0 {
        let wanted = freedom.top_p * total;
        total = 0.0;
        let mut count = 0;
        for weight in weights.iter().take(kept) {
            if count > 0 && total >= wanted {
                break;
            }
            total += weight;
            count += 1;
        }
        kept = count;
    }

    let mut left = random.unit() * total;
    for (weight, token) in weights.iter().zip(tokens.iter().take(kept)) {
        if left < *weight {
            return *token;
        }
        left -= weight;
    }
    // Rounding may leave a last crumb: it belongs to a choice that can be drawn.
    likeliest
}

/// Draws a choice in two steps: first a band of neighbouring ones, as likely as they are together, then
/// one of the band, as freely as asked. The first band is `first` wide, the others `width`.
///
/// Drawn in one step at a low temperature, the likelier of two hands would play alone, and more and more
/// so, for the next note follows those before. Where it is the choice within a band that is sharpened,
/// both hands and all kinds of rhythm keep their shares.
#[inline(never)]
pub(crate) fn draw_in_bands(
    logits: &[f32],
    (first, width): (usize, usize),
    freedom: &Freedom,
    random: &mut Random,
) -> u8 {
    let top =
        logits.iter().copied().fold(f32::NEG_INFINITY, |top, x| if x > top { x } else { top });
    if freedom.is_greedy() || !top.is_finite() {
        return draw(logits, freedom, random);
    }
    let bands = || (0..=MOST_BANDS).map(|band| (band * width).saturating_sub(width - first));
    let ranges = bands().zip(bands().skip(1));
    let mut masses = [f32::NEG_INFINITY; MOST_BANDS];
    for (mass, (start, end)) in masses.iter_mut().zip(ranges.clone()) {
        let band = logits.get(start..end.min(logits.len())).unwrap_or_default();
        let likely = band.iter().filter(|logit| !logit.is_nan());
        *mass = libm::logf(likely.map(|logit| libm::expf(logit - top)).sum());
    }
    let coarse = Freedom { temperature: 1.0, top_k: 0, ..*freedom };
    let band = usize::from(draw(&masses, &coarse, random));
    let (start, end) = ranges.clone().nth(band).unwrap_or_default();
    let choices = logits.get(start..end.min(logits.len())).unwrap_or_default();
    start as u8 + draw(choices, freedom, random)
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
