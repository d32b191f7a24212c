//! Why a file is refused as a model.

/// Why a file is refused as a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModelError {
    /// The file is shorter than its header declares.
    #[error("the model file is cut short")]
    Truncated,
    /// There are bytes after the last tensor.
    #[error("the model file has bytes behind its end")]
    TrailingBytes,
    /// The file does not start with the header of a model file.
    #[error("not a Pianola model file")]
    NotAModel,
    /// The header is not the JSON of a safetensors header.
    #[error("the model file's header is damaged")]
    BadHeader,
    /// The file was written by another version of this program.
    #[error("the model file has another format version; export it again with this version")]
    Version,
    /// The bytes are not those that were written.
    #[error("the model file is damaged: its checksum does not match")]
    Checksum,
    /// Layers, heads or precision that this version does not know.
    #[error("the model file holds an architecture that this version does not play")]
    Unsupported,
    /// A tensor is missing or its size or type does not fit the others.
    #[error("the model file's tensor `{0}` is missing or has the wrong size or type")]
    Tensor(&'static str),
    /// The model has more layers or hidden units than the generator has room for.
    #[error("the model is larger than the buffers of this generator")]
    TooLarge,
    /// The model does not start at a multiple of 4 bytes, as this processor's kernel requires;
    /// [`include_model!`](crate::include_model) aligns it.
    #[error("the model does not start at a multiple of 4 bytes")]
    Misaligned,
}

impl ModelError {
    /// The cause in a few words, for boards, which do not format text.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Truncated => "cut short",
            Self::TrailingBytes => "bytes behind its end",
            Self::NotAModel => "no model here",
            Self::BadHeader => "damaged header",
            Self::Version => "another format version",
            Self::Checksum => "damaged",
            Self::Unsupported => "unknown architecture",
            Self::Tensor(name) => name,
            Self::TooLarge => "too large",
            Self::Misaligned => "not on whole words",
        }
    }
}
