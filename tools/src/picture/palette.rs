//! The colours of a piano roll.

use crate::picture::canvas::Color;

pub const PAPER: Color = Color(255, 255, 255);
pub const TEXT: Color = Color(38, 44, 56);
pub const FAINT_TEXT: Color = Color(118, 126, 142);
/// Lanes of white keys and of black ones.
pub const WHITE_LANE: Color = Color(248, 249, 251);
pub const BLACK_LANE: Color = Color(239, 241, 246);
/// Under the C of each octave, and at each time that is named.
pub const LINE: Color = Color(221, 225, 233);
pub const BLACK_KEY: Color = Color(150, 157, 172);
pub const PEDAL: Color = Color(140, 150, 170);

/// From soft to loud: seaborn's `rocket`, whose steps look equally large, without its ends, which
/// paper or ink would swallow.
const LOUDNESS: [Color; 8] = [
    Color(246, 188, 152),
    Color(245, 148, 107),
    Color(240, 101, 71),
    Color(223, 55, 68),
    Color(190, 25, 88),
    Color(148, 27, 91),
    Color(106, 31, 86),
    Color(65, 29, 69),
];

/// The velocities at the ends of [`LOUDNESS`]: pianists seldom leave them.
pub const SOFTEST: u8 = 20;
pub const LOUDEST: u8 = 110;

/// The colour of a velocity.
pub fn loudness(velocity: u8) -> Color {
    let above = f32::from(velocity.clamp(SOFTEST, LOUDEST) - SOFTEST);
    let place = above / f32::from(LOUDEST - SOFTEST) * (LOUDNESS.len() - 1) as f32;
    let lower = (place as usize).min(LOUDNESS.len() - 2);
    let part = place - lower as f32;
    let (from, to) = (LOUDNESS[lower], LOUDNESS[lower + 1]);
    let mix = |from: u8, to: u8| {
        (f32::from(from) + part * (f32::from(to) - f32::from(from))).round() as u8
    };
    Color(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Of instruments, in turn: Okabe and Ito's, which the colour-blind tell apart.
const INSTRUMENTS: [Color; 6] = [
    Color(0, 114, 178),
    Color(213, 94, 0),
    Color(0, 158, 115),
    Color(204, 121, 167),
    Color(86, 180, 233),
    Color(230, 159, 0),
];

/// The colour of an instrument.
pub fn instrument(index: usize) -> Color {
    INSTRUMENTS[index % INSTRUMENTS.len()]
}
