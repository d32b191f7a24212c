//! Training and validation data, update by update.

use tch::Tensor;

use crate::network::{Dropout, Network, State};

/// The training and validation songs in the form that a network architecture takes.
pub trait TrainingData {
    /// Names of the parts of the loss, which is their sum.
    fn parts(&self) -> &'static [&'static str];

    /// Updates per epoch.
    fn updates(&self) -> usize;

    /// Moves to update `batch` of epoch `epoch`, both counted from 0. Called before each epoch, so that a resumed run
    /// sees the same batches as an uninterrupted one.
    fn seek(&mut self, epoch: usize, batch: usize);

    /// Mean losses of the next batch by part: scalars with gradients.
    fn losses(&mut self, network: &Network, dropout: Dropout) -> Vec<Tensor>;

    /// Mean losses by part over the validation songs.
    fn validate(&self, network: &Network) -> Vec<f64>;

    /// The recurrent state that carries over to the next batch, if the architecture does that; part of a checkpoint.
    fn carried(&self) -> Option<&State>;

    /// Restores that state from a checkpoint.
    fn carry(&mut self, state: State);
}
