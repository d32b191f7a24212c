//! The colours of all pictures. Their paper is part of them, so they are as legible on dark pages
//! as on white ones.

use crate::canvas::Color;

/// What all is drawn on.
pub const PAPER: Color = Color(255, 255, 255);
/// Titles.
pub const TEXT: Color = Color(38, 44, 56);
/// Names of axes and the like.
pub const FAINT_TEXT: Color = Color(93, 101, 117);
/// The lanes of white keys, and the ground of charts.
pub const WHITE_LANE: Color = Color(248, 249, 251);
/// The lanes of black keys.
pub const BLACK_LANE: Color = Color(239, 241, 246);
/// Under the C of each octave, and at each tick.
pub const LINE: Color = Color(221, 225, 233);
/// What measures one thing among others that matter more.
pub const FAINT: Color = Color(178, 185, 198);
/// Black keys.
pub const BLACK_KEY: Color = Color(150, 157, 172);
/// The bars of the pedal.
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

/// The velocity of the palest colour; pianists are seldom softer.
pub const SOFTEST: u8 = 20;
/// The velocity of the darkest colour; pianists are seldom louder.
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

/// Okabe and Ito's, which the colour-blind tell apart; those first that differ most in lightness.
const SERIES: [Color; 6] = [
    Color(0, 114, 178),
    Color(213, 94, 0),
    Color(0, 158, 115),
    Color(204, 121, 167),
    Color(86, 180, 233),
    Color(230, 159, 0),
];

/// The colour of an instrument, or of a series of numbers, counted from 0; after six they recur.
pub fn series(index: usize) -> Color {
    SERIES[index % SERIES.len()]
}
