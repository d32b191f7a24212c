//! The inputs of a training run.

use std::path::PathBuf;

use pianola_host::corpus::{Corpus, Split};
use pianola_host::export::weights::FloatWeights;
use tch::Device;

/// Inputs of a run besides its recipe.
pub struct Run<'a> {
    /// The songs.
    pub corpus: &'a Corpus,
    /// The same songs as their first instruments alone.
    pub melodies: &'a Corpus,
    /// The split.
    pub split: &'a Split,
    /// Initial weights of a fine-tuning, instead of random ones.
    pub start: Option<FloatWeights>,
    /// The run's folder.
    pub folder: PathBuf,
    /// libtorch's device.
    pub device: Device,
    /// Early stopping: epochs without a lower validation loss.
    pub patience: Option<usize>,
    /// Resume from the folder's checkpoint.
    pub resume: bool,
    /// Description of the data, for the metadata of the weights.
    pub provenance: String,
}
