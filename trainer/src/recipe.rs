//! Hyperparameters of a run, and the presets.

use pianola_host::corpus::SEGMENT;
use pianola_host::export::weights::Shape;
use serde::{Deserialize, Serialize};

use crate::augmentation::Augmentation;
use crate::network::Dropout;
use crate::optimizer::Schedule;

/// A network architecture with its default hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    // Both hands, dynamics and timing: the parts of a note are predicted in turn.
    Expressive,
    // The same architecture, smaller, for boards with 2 MB of flash.
    Small,
    // The student report's network: one hand, times by regression.
    Report,
}

impl Preset {
    /// Layer sizes.
    pub fn shape(self) -> Shape {
        match self {
            Self::Expressive => Shape::EXPRESSIVE,
            Self::Small => Shape::SMALL,
            Self::Report => Shape::REPORT,
        }
    }

    /// Default hyperparameters; docs/results.md has the ablations.
    pub fn recipe(self) -> Recipe {
        let shape = self.shape();
        let expressive = Recipe {
            preset: self,
            seed: 0,
            epochs: 68,
            batch: 64,
            length: 32,
            limit: None,
            learning_rate: 2e-3,
            schedule: Schedule::OneCycle,
            weight_decay: 0.1,
            dropout: 0.5,
            weight_dropout: 0.2,
            clip: 1.0,
            augmentation: Augmentation { transpose_down: 5, transpose_up: 6, tempo: 0.1 },
            hidden: shape.hidden,
            layers: shape.layers,
            mixed: false,
            start: None,
        };
        match self {
            Self::Expressive => expressive,
            Self::Small => Recipe { epochs: 54, batch: 32, dropout: 0.3, ..expressive },
            Self::Report => Recipe {
                epochs: 30,
                length: SEGMENT,
                learning_rate: 1.5e-3,
                weight_decay: 0.01,
                dropout: 0.3,
                weight_dropout: 0.0,
                ..expressive
            },
        }
    }
}

/// Hyperparameters of a run. `recipe.json` in the run's folder holds them by these names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Network architecture.
    pub preset: Preset,
    /// Seed of initialization, order, augmentation and dropout.
    pub seed: u64,
    /// Number of epochs.
    pub epochs: usize,
    /// Batch size: songs in parallel; with the report's network, segments.
    pub batch: usize,
    /// Notes of each song per update.
    pub length: usize,
    /// Use only the first N training songs; with the report's network, segments.
    pub limit: Option<usize>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Dropout between LSTM layers and before the heads.
    pub dropout: f64,
    /// Dropout of the recurrent weights (DropConnect).
    pub weight_dropout: f64,
    /// Limit on the norm of the gradient; 0 for none.
    pub clip: f64,
    /// Transposition and tempo.
    pub augmentation: Augmentation,
    /// Hidden units of each LSTM layer.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Mixed precision: products in bfloat16.
    pub mixed: bool,
    /// CRC-32 of the initial weights, if the run is a fine-tuning.
    pub start: Option<u32>,
}

impl Recipe {
    /// Layer sizes, with the recipe's own numbers of layers and hidden units.
    pub fn shape(&self) -> Shape {
        Shape { layers: self.layers, hidden: self.hidden, ..self.preset.shape() }
    }

    /// Dropout rates of training.
    pub fn dropout(&self) -> Dropout {
        let units = self.preset != Preset::Report;
        Dropout { outputs: self.dropout, weights: self.weight_dropout, units }
    }
}
