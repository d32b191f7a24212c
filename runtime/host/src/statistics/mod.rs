//! Statistics of music and models: histograms, divergences, negative log-likelihood, and comparisons.

pub mod baselines;
pub mod comparison;
pub mod evaluation;
pub mod histograms;
pub mod listener;
pub mod music;
pub mod overlap;
pub mod pairs;
pub mod ranges;
pub mod report;
