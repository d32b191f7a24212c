//! Checkpoints: the state of a run in one file, from which it resumes bit for bit.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use pianola_host::files::write_whole;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::network::{Network, State, values};
use crate::optimizer::AdamW;

/// Progress of a run, beside its tensors. No generator state is needed: each update and each epoch seeds its own
/// generator from the run's seed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs finished.
    pub epoch: usize,
    /// Updates finished in the current epoch.
    pub batch: usize,
    /// Updates in all.
    pub updates: i32,
    /// Losses by part of the current epoch's updates so far.
    pub batch_losses: Vec<Vec<f64>>,
    /// Lowest total validation loss, and its epoch, counted from 1.
    pub best: Option<(f64, usize)>,
}

impl Progress {
    /// Epochs since the one with the lowest validation loss.
    pub fn epochs_since_best(&self) -> usize {
        self.best.map_or(0, |(_, epoch)| self.epoch.saturating_sub(epoch))
    }
}

const PROGRESS: &str = "progress";

/// Names of the vectors of a network and its optimizer.
const RUN: [&str; 3] = ["parameters", "first_moment", "second_moment"];

fn vectors<'a>(network: &'a Network, optimizer: &'a AdamW) -> [&'a Tensor; 3] {
    [network.vector(), &optimizer.first, &optimizer.second]
}

/// Names of the tensors of a carried state.
const CARRIED: [&str; 2] = ["carried.hidden", "carried.cell"];

/// Writes a checkpoint. `carried` is the recurrent state that carries over between batches, if any.
pub fn save(
    path: &Path,
    network: &Network,
    optimizer: &AdamW,
    carried: Option<&State>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let mut add = |name: String, tensor: &Tensor| {
        let size = tensor.size().iter().map(|&n| n as usize).collect();
        let bytes = values(tensor).iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.insert(name, (size, bytes));
    };
    for (name, tensor) in RUN.into_iter().zip(vectors(network, optimizer)) {
        add(name.into(), tensor);
    }
    if let Some(State { hidden, cell }) = carried {
        for (name, tensor) in CARRIED.into_iter().zip([hidden, cell]) {
            add(name.into(), tensor);
        }
    }
    let views = tensors
        .iter()
        .map(|(name, (size, bytes))| Ok((name, TensorView::new(Dtype::F32, size.clone(), bytes)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let metadata = HashMap::from([(PROGRESS.to_string(), serde_json::to_string(progress)?)]);
    write_whole(path, &safetensors::serialize(views, Some(metadata))?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a checkpoint into a network and an optimizer of the same shape; also returns the carried state, if any.
///
/// # Errors
/// If the file cannot be read, is no checkpoint, or has other sizes.
pub fn load(
    path: &Path,
    network: &Network,
    optimizer: &mut AdamW,
) -> anyhow::Result<(Progress, Option<State>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut read = || -> anyhow::Result<(Progress, Option<State>)> {
        let file = SafeTensors::deserialize(&bytes)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let Some(progress) = header.metadata().as_ref().and_then(|map| map.get(PROGRESS)) else {
            bail!("not a checkpoint of a run");
        };
        let progress: Progress = serde_json::from_str(progress)?;
        let fill = |name: String, tensor: &Tensor| -> anyhow::Result<()> {
            let saved = file.tensor(&name)?;
            let size: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
            ensure!(saved.dtype() == Dtype::F32, "tensor `{name}` is not F32");
            ensure!(saved.shape() == size, "the size of tensor `{name}` differs from the run's");
            let values: Vec<f32> =
                saved.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let mut tensor = tensor.shallow_clone();
            tch::no_grad(|| tensor.copy_(&Tensor::from_slice(&values).view_as(&tensor)));
            Ok(())
        };
        for (name, tensor) in RUN.into_iter().zip(vectors(network, optimizer)) {
            fill(name.into(), tensor)?;
        }
        optimizer.updates = progress.updates;
        let carried = match file.tensor(CARRIED[0]) {
            Ok(saved) => {
                let state = network.start(saved.shape().get(1).copied().unwrap_or(0));
                for (name, tensor) in CARRIED.into_iter().zip([&state.hidden, &state.cell]) {
                    fill(name.into(), tensor)?;
                }
                Some(state)
            }
            Err(_) => None,
        };
        Ok((progress, carried))
    };
    read().with_context(|| {
        format!("cannot resume from {}; start a new run with another --out", path.display())
    })
}
