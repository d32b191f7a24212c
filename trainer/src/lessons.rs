//! What a kind of network learns from, batch by batch.

use tch::Tensor;

use crate::network::{Dropout, Network, State};

/// The training and validation songs as a kind of network takes them.
pub trait Lessons {
    /// Names of the parts that its loss is the sum of.
    fn parts(&self) -> &'static [&'static str];

    /// Updates in an epoch.
    fn updates(&self) -> usize;

    /// Told before each epoch which batch of it comes next, both counted from 0: a resumed run goes there,
    /// so that it meets the same.
    fn seek(&mut self, epoch: usize, batch: usize);

    /// The parts of the network's mean loss on the next batch: scalars, to go backward from.
    fn learn(&mut self, network: &Network, dropout: Dropout) -> Vec<Tensor>;

    /// The means of the parts over the validation songs.
    fn validate(&self, network: &Network) -> Vec<f64>;

    /// What the network carries from one batch to the next, if it does: a checkpoint keeps it.
    fn carried(&self) -> Option<&State>;

    /// Goes on with that of a checkpoint.
    fn carry(&mut self, state: State);
}
