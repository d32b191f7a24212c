//! The float weights of a network, under PyTorch's own names: what `trainer fit` writes, and what
//! `safetensors.torch.save_file(model.state_dict(), …)` writes from Python.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use pianola_runtime::format::{COLUMN_BLOCK, MAX_HEAD_HIDDEN, MAX_HIDDEN, MAX_LAYERS, PITCHES};
use pianola_runtime::history::FEATURES;
use pianola_runtime::vocabulary::{CHOICES, INPUT_CLASSES, PARTS};

/// Sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// LSTM layers.
    pub layers: usize,
    /// Hidden units of each LSTM layer.
    pub hidden: usize,
    /// Its inputs and heads.
    pub heads: HeadShapes,
}

/// Sizes of the layers below and above the LSTM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadShapes {
    /// The report's model: inputs are pitch, step and duration; it predicts a distribution of the pitch,
    /// and times by regression.
    Report {
        /// Width of the pitch embedding.
        embedding: usize,
        /// Width of the pitch head's hidden layer.
        pitch_hidden: usize,
    },
    /// Expressive: inputs are all parts of a note, predicted in turn; all in the order of [`PARTS`].
    Expressive {
        /// Width of each part's embedding.
        embedding: [usize; 4],
        /// Width of each head's hidden layer.
        hidden: [usize; 4],
    },
}

impl Shape {
    /// The report's sizes: 5,736,029 parameters.
    pub const REPORT: Self = Self::report(3, 512, 130, 300);

    /// The report's network with other sizes.
    pub const fn report(
        layers: usize,
        hidden: usize,
        embedding: usize,
        pitch_hidden: usize,
    ) -> Self {
        Self { layers, hidden, heads: HeadShapes::Report { embedding, pitch_hidden } }
    }

    /// Sizes of the expressive model.
    pub const EXPRESSIVE: Self = Self {
        layers: 3,
        hidden: 512,
        heads: HeadShapes::Expressive {
            embedding: [64, 128, 64, 32],
            hidden: [192, 256, 192, 128],
        },
    };

    /// Sizes of the small expressive model.
    pub const SMALL: Self = Self {
        layers: 3,
        hidden: 256,
        heads: HeadShapes::Expressive { embedding: [64, 128, 64, 32], hidden: [96, 160, 96, 64] },
    };

    /// Whether a model file can hold such a network and the kernels can play it.
    ///
    /// # Errors
    /// [`ShapeError`] names the first size that is out of range.
    pub fn check(&self) -> Result<(), ShapeError> {
        let Self { layers, hidden, heads } = *self;
        if !(1..=MAX_LAYERS).contains(&layers) {
            return Err(ShapeError::Layers(layers));
        }
        if !(1..=MAX_HIDDEN).contains(&hidden) || !hidden.is_multiple_of(COLUMN_BLOCK) {
            return Err(ShapeError::Hidden(hidden));
        }
        let (embeddings, widths): (&[usize], &[usize]) = match &heads {
            HeadShapes::Report { embedding, pitch_hidden } => {
                (std::slice::from_ref(embedding), std::slice::from_ref(pitch_hidden))
            }
            HeadShapes::Expressive { embedding, hidden } => (embedding, hidden),
        };
        for &width in embeddings {
            if !(1..=MAX_EMBEDDING).contains(&width) {
                return Err(ShapeError::Embedding(width));
            }
        }
        for &width in widths {
            if !(1..=MAX_HEAD_HIDDEN).contains(&width) {
                return Err(ShapeError::HeadHidden(width));
            }
        }
        Ok(())
    }

    /// Input width of an LSTM layer: the embeddings for the first, the hidden state below for the
    /// others.
    pub fn layer_input(&self, layer: usize) -> usize {
        match self.heads {
            _ if layer > 0 => self.hidden,
            HeadShapes::Report { embedding, .. } => embedding + 2,
            HeadShapes::Expressive { embedding, .. } => embedding.iter().sum(),
        }
    }

    /// Name and size of every tensor, in the order of PyTorch's state dict.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let hidden = self.hidden;
        let mut tensors = Vec::new();
        match self.heads {
            HeadShapes::Report { embedding, .. } => {
                tensors.push(("pitch_embedding_layer.weight".into(), vec![embedding, PITCHES]));
            }
            HeadShapes::Expressive { embedding, .. } => {
                for ((part, width), classes) in PARTS.into_iter().zip(embedding).zip(INPUT_CLASSES)
                {
                    tensors.push((format!("embedding.{part}.weight"), vec![classes, width]));
                }
            }
        }
        for layer in 0..self.layers {
            let input = self.layer_input(layer);
            tensors.push((format!("rnn.weight_ih_l{layer}"), vec![4 * hidden, input]));
            tensors.push((format!("rnn.weight_hh_l{layer}"), vec![4 * hidden, hidden]));
            tensors.push((format!("rnn.bias_ih_l{layer}"), vec![4 * hidden]));
            tensors.push((format!("rnn.bias_hh_l{layer}"), vec![4 * hidden]));
        }
        let mut dense = |name: &str, output, input| {
            tensors.push((format!("{name}.weight"), vec![output, input]));
            tensors.push((format!("{name}.bias"), vec![output]));
        };
        match self.heads {
            HeadShapes::Report { pitch_hidden, .. } => {
                dense("decoder_pitch1", pitch_hidden, hidden);
                dense("decoder_pitch2", PITCHES, pitch_hidden);
                dense("decoder_step", 1, hidden);
                dense("decoder_duration", 1, hidden);
            }
            HeadShapes::Expressive { hidden: widths, .. } => {
                for (head, part) in PARTS.into_iter().enumerate() {
                    dense(&format!("head.{part}.hidden"), widths[head], hidden);
                    dense(&format!("head.{part}.output"), CHOICES[head], widths[head]);
                }
                for (head, part) in PARTS.into_iter().enumerate() {
                    let size = vec![FEATURES[head], widths[head]];
                    tensors.push((format!("head.{part}.features.weight"), size));
                }
            }
        }
        tensors
    }

    /// Number of inputs that a tensor's outputs sum over, which sets the scale of its
    /// initialisation; PyTorch takes the hidden width for all tensors of an LSTM.
    pub fn fan_in(&self, name: &str) -> usize {
        match (self.heads, name.split('.').collect::<Vec<_>>().as_slice()) {
            (HeadShapes::Report { .. }, ["pitch_embedding_layer", _]) => PITCHES,
            (HeadShapes::Report { pitch_hidden, .. }, ["decoder_pitch2", _]) => pitch_hidden,
            (HeadShapes::Expressive { hidden, .. }, ["head", part, "output", _]) => {
                let head = PARTS.iter().position(|name| name == part);
                head.map_or(self.hidden, |head| hidden[head])
            }
            _ => self.hidden,
        }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, size)| size.iter().product::<usize>()).sum()
    }
}

/// A size that no model file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Number of LSTM layers.
    #[error("{0} LSTM layers; a model file holds 1 to {MAX_LAYERS}")]
    Layers(usize),
    /// Hidden units of an LSTM layer.
    #[error("{0} hidden units; a model file holds multiples of {COLUMN_BLOCK} up to {MAX_HIDDEN}")]
    Hidden(usize),
    /// Width of an embedding.
    #[error("an embedding of {0}; it may be 1 to {MAX_EMBEDDING} wide")]
    Embedding(usize),
    /// Width of a head's hidden layer.
    #[error("a head with {0} hidden units; a model file holds 1 to {MAX_HEAD_HIDDEN}")]
    HeadHidden(usize),
}

/// Widest embedding: more dimensions than pitches would add nothing.
const MAX_EMBEDDING: usize = 1024;

/// The file of the best weights in a run's folder.
pub const RUN_WEIGHTS: &str = "weights.safetensors";

/// The float weights of a network.
///
/// Tensors are `ndarray` arrays, as in other Rust code that trains or converts networks: a type of our
/// own would make each caller copy its weights. A new major version of `ndarray` therefore requires one
/// of this crate.
#[derive(Clone, Debug)]
pub struct FloatWeights {
    /// Sizes, derived from the tensors.
    pub shape: Shape,
    /// Every tensor by its state-dict name.
    pub tensors: BTreeMap<String, ArrayD<f32>>,
    /// Provenance of the weights as text; empty if the file has none.
    pub provenance: String,
}

/// Why a file could not be read as float weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error(
        "not a readable safetensors file; from Python, save with \
         safetensors.torch.save_file(model.state_dict(), path)"
    )]
    Format(#[from] safetensors::SafeTensorError),
    /// Sizes that no model file can have.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A tensor of the network is missing.
    #[error("no tensor `{0}`: not the weights of a network that Pianola knows")]
    Missing(String),
    /// A tensor's size does not match the rest of the network.
    #[error("tensor `{name}` has size {found:?}, expected {expected:?}")]
    Size {
        /// Name of the tensor.
        name: String,
        /// Its size in the file.
        found: Vec<usize>,
        /// Its size by the other tensors.
        expected: Vec<usize>,
    },
    /// A tensor is not made of 32-bit floats.
    #[error("tensor `{0}` is {1:?}, expected F32: save the model with model.float()")]
    Type(String, Dtype),
    /// A weight is infinite or NaN.
    #[error("tensor `{0}` holds a value that is not finite: the training run diverged")]
    NotFinite(String),
}

/// Key of the provenance in the file's metadata. It is the only key, so that the same weights
/// always make the same file.
const PROVENANCE: &str = "provenance";

impl FloatWeights {
    /// The file of a run's best weights, if `run` is a run's folder; else `run` itself.
    pub fn path(run: &Path) -> PathBuf {
        if run.is_dir() { run.join(RUN_WEIGHTS) } else { run.into() }
    }

    /// Reads a float safetensors file.
    ///
    /// # Errors
    /// [`WeightsError`] if it is not one or not of this network.
    pub fn read(bytes: &[u8]) -> Result<Self, WeightsError> {
        let file = SafeTensors::deserialize(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let provenance = header.metadata().as_ref().and_then(|map| map.get(PROVENANCE).cloned());
        let size = |name: &str, axis: usize| {
            let size = file.tensor(name).ok().and_then(|tensor| tensor.shape().get(axis).copied());
            size.ok_or_else(|| WeightsError::Missing(name.into()))
        };
        let widths = |prefix: &str, suffix: &str, axis: usize| {
            let mut widths = [0; 4];
            for (width, part) in widths.iter_mut().zip(PARTS) {
                *width = size(&format!("{prefix}.{part}.{suffix}"), axis)?;
            }
            Ok::<_, WeightsError>(widths)
        };
        let shape = Shape {
            layers: (0..=MAX_LAYERS)
                .take_while(|layer| file.tensor(&format!("rnn.weight_hh_l{layer}")).is_ok())
                .count(),
            hidden: size("rnn.weight_hh_l0", 1)?,
            heads: if file.tensor("head.pitch.output.weight").is_ok() {
                HeadShapes::Expressive {
                    embedding: widths("embedding", "weight", 1)?,
                    hidden: widths("head", "hidden.weight", 0)?,
                }
            } else {
                HeadShapes::Report {
                    embedding: size("pitch_embedding_layer.weight", 0)?,
                    pitch_hidden: size("decoder_pitch1.weight", 0)?,
                }
            },
        };
        shape.check()?;
        let mut tensors = BTreeMap::new();
        for (name, expected) in shape.tensors() {
            let tensor = file.tensor(&name).map_err(|_| WeightsError::Missing(name.clone()))?;
            if tensor.dtype() != Dtype::F32 {
                return Err(WeightsError::Type(name, tensor.dtype()));
            }
            let found = tensor.shape().to_vec();
            let values: Vec<f32> =
                tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            if !values.iter().all(|value| value.is_finite()) {
                return Err(WeightsError::NotFinite(name));
            }
            match ArrayD::from_shape_vec(expected.clone(), values) {
                Ok(array) if found == expected => tensors.insert(name, array),
                _ => return Err(WeightsError::Size { name, found, expected }),
            };
        }
        Ok(Self { shape, tensors, provenance: provenance.unwrap_or_default() })
    }

    /// Writes a float safetensors file.
    ///
    /// # Errors
    /// [`WeightsError::Format`] if the format cannot hold it.
    pub fn write(&self) -> Result<Vec<u8>, WeightsError> {
        let bytes: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, array)| {
                let bytes = array.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.as_str(), (array.shape().to_vec(), bytes))
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, (size, bytes))| {
                Ok((*name, TensorView::new(Dtype::F32, size.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, WeightsError>>()?;
        let metadata = [(PROVENANCE.into(), self.provenance.clone())].into();
        Ok(safetensors::serialize(views, Some(metadata))?)
    }
}
