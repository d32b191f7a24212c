//! Tests of a performance on a simulated clock.

mod duet;
mod ports;
mod random_faults;
mod stage;

use super::*;
