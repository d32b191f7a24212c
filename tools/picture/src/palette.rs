//! The colours of all pictures. The background is part of each picture, so it is as legible on dark
//! pages as on white ones.

use crate::canvas::Color;

/// Background.
pub const PAPER: Color = Color(255, 255, 255);
/// Titles.
pub const TEXT: Color = Color(38, 44, 56);
/// Axis labels and other secondary text.
pub const FAINT_TEXT: Color = Color(93, 101, 117);
/// Lanes of white keys, and the plot area of charts.
pub const WHITE_LANE: Color = Color(248, 249, 251);
/// Lanes of black keys.
pub const BLACK_LANE: Color = Color(239, 241, 246);
/// Line under the C of each octave, and at each tick.
pub const LINE: Color = Color(221, 225, 233);
/// A series of secondary importance.
pub const FAINT: Color = Color(178, 185, 198);
/// Black keys.
pub const BLACK_KEY: Color = Color(150, 157, 172);
/// Pedal bars.
pub const PEDAL: Color = Color(140, 150, 170);

/// From soft to loud: seaborn's perceptually uniform `rocket`, without its ends, which are too
/// close to the background or to black.
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

/// Velocity of the palest colour; pianists seldom play softer.
pub const SOFTEST: u8 = 20;
/// Velocity of the darkest colour; pianists seldom play louder.
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

/// Okabe and Ito's colour-blind-safe palette; those first that differ most
/// in lightness.
const SERIES: [Color; 6] = [
    Color(0, 114, 178),
    Color(213, 94, 0),
    Color(0, 158, 115),
    Color(204, 121, 167),
    Color(86, 180, 233),
    Color(230, 159, 0),
];

/// The colour of an instrument or of a data series, counted from 0; the six colours repeat.
pub fn series(index: usize) -> Color {
    SERIES[index % SERIES.len()]
}
