//! Drawing a token from a distribution.

use core::cmp::Ordering;

use crate::scale::Scale;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// How freely tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the log-probabilities: below 1 the likely becomes likelier, above 1 the unlikely.
    /// At 0 (or below, or not a number) the likeliest token is taken.
    pub temperature: f32,
    /// Draw only among so many likeliest tokens; 0 for all.
    pub top_k: u16,
    /// Draw only among the fewest likeliest tokens that have this much probability together; 1
    /// for all. The likeliest always takes part.
    pub top_p: f32,
    /// Draw only pitches of this scale.
    pub scale: Scale,
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, scale: Scale::CHROMATIC }
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

    /// Uniform in 0 to below 1, in steps of 2⁻²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }
}

/// Draws a token. `N` is the number of tokens, at most 256; logits that are not numbers are never
/// drawn unless nothing else is there. The scale is left to the caller, who knows pitches.
pub(crate) fn draw<const N: usize>(
    logits: &[f32; N],
    sampling: &Sampling,
    random: &mut Random,
) -> u8 {
    const { assert!(N > 0 && N <= 256) };
    let mut tokens: [u8; N] = core::array::from_fn(|token| token as u8);
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
    let greedy = sampling.temperature.is_nan() || sampling.temperature <= 0.0;
    if greedy || !top.is_finite() {
        return likeliest;
    }

    let mut kept = N;
    let truncates = sampling.top_k > 0 || sampling.top_p < 1.0;
    if truncates {
        sort(&mut tokens, by_likelihood);
        if sampling.top_k > 0 {
            kept = kept.min(usize::from(sampling.top_k));
        }
    }
    let mut weights = [0.0; N];
    let mut total = 0.0;
    for (weight, token) in weights.iter_mut().zip(tokens.iter().take(kept)) {
        *weight = libm::expf((logit(token) - top) / sampling.temperature);
        total += *weight;
    }
    if sampling.top_p < 1.0 {
        let wanted = sampling.top_p * total;
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
    // Rounding may leave a last crumb: it belongs to a token that can be drawn.
    likeliest
}

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
