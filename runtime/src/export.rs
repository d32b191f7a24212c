//! Packs float weights into a model file.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis, Ix1, Ix2, Slice, concatenate};
use serde_json::json;

use crate::kernels::ROWS;
use crate::model::{
    COLUMN_BLOCK, FORMAT_NAME, FORMAT_VERSION, GATES, INPUT_DURATION, INPUT_PITCH,
    INPUT_PITCH_SCALE, INPUT_STEP, LSTM_NAMES, MatrixNames, PITCH, PITCH_HIDDEN, PITCHES,
    Precision, TIMES, checksum,
};
use crate::quantize::{self, Integers};
use crate::weights::{FloatWeights, ShapeError};

/// Why weights cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Sizes that no model file can have.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The weights lack a tensor of the size their shape asks for.
    #[error("tensor `{0}` is missing or has another size than the network asks for")]
    Tensor(String),
}

/// A packed model.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The model file.
    pub bytes: Vec<u8>,
    /// Its checksum.
    pub checksum: u32,
    /// What each quantized tensor lost, in the order of the file.
    pub errors: Vec<TensorError>,
}

/// How far a packed tensor is from the float weights.
#[derive(Clone, Debug)]
pub struct TensorError {
    /// Name in the model file.
    pub name: String,
    /// Root of the mean squared error over the root of the mean squared weight.
    pub relative: f64,
    /// Largest absolute error of a weight.
    pub largest: f64,
}

/// Packs weights into a model file. The same weights and precision give the same bytes.
///
/// # Errors
/// [`ExportError`] for a network that a model file cannot hold.
pub fn pack(weights: &FloatWeights, precision: Precision) -> Result<Packed, ExportError> {
    let shape = weights.shape;
    let hidden = shape.hidden;
    shape.check()?;
    let source = Source(weights);
    let mut writer = Writer { precision, tensors: Vec::new(), errors: Vec::new() };

    // The pitch embedding is linear and feeds a linear layer: their product is a table.
    let input_weights = source.matrix("rnn.weight_ih_l0")?;
    let embedding = source.matrix("pitch_embedding_layer.weight")?;
    let (embedded, times) = input_weights.split_at(Axis(1), shape.embedding);
    // Summed in this order, not by a library whose order depends on the machine.
    let table = Array2::from_shape_fn((PITCHES, 4 * hidden), |(pitch, gate)| {
        let products = (0..shape.embedding)
            .map(|at| f64::from(embedded[(gate, at)]) * f64::from(embedding[(at, pitch)]));
        products.sum::<f64>() as f32
    });
    writer.table(&in_chunks(table.view(), hidden), hidden);
    for (name, column) in [(INPUT_STEP, 0), (INPUT_DURATION, 1)] {
        let column = times.slice_axis(Axis(1), Slice::from(column..=column)).reversed_axes();
        let gates = in_chunks(column, hidden);
        writer.floats(name, vec![hidden / ROWS, 4, ROWS], gates.iter().copied());
    }

    for (layer, names) in LSTM_NAMES.iter().enumerate().take(shape.layers) {
        let recurrent = source.matrix(&format!("rnn.weight_hh_l{layer}"))?;
        let rows = if layer == 0 {
            recurrent.to_owned()
        } else {
            let input = source.matrix(&format!("rnn.weight_ih_l{layer}"))?;
            concatenate![Axis(1), input, recurrent]
        };
        let bias = source.vector(&format!("rnn.bias_ih_l{layer}"))?
            + source.vector(&format!("rnn.bias_hh_l{layer}"))?;
        let order = gate_order(hidden);
        writer.matrix(names, GATES, &rows.select(Axis(0), &order), &bias.select(Axis(0), &order));
    }
    for (names, layer) in [(&PITCH_HIDDEN, "decoder_pitch1"), (&PITCH, "decoder_pitch2")] {
        let rows = source.matrix(&format!("{layer}.weight"))?.to_owned();
        writer.matrix(names, 1, &rows, &source.vector(&format!("{layer}.bias"))?);
    }
    let times = ["decoder_step", "decoder_duration"];
    let [step, duration] = times.map(|layer| source.matrix(&format!("{layer}.weight")));
    let [step_bias, duration_bias] = times.map(|layer| source.vector(&format!("{layer}.bias")));
    writer.matrix(
        &TIMES,
        1,
        &concatenate![Axis(0), step?, duration?],
        &concatenate![Axis(0), step_bias?, duration_bias?],
    );

    let metadata = [
        ("architecture", "lstm".to_string()),
        ("format", FORMAT_NAME.to_string()),
        ("heads", "report".to_string()),
        ("hidden", hidden.to_string()),
        ("layers", shape.layers.to_string()),
        ("parameters", shape.parameters().to_string()),
        ("pitch_hidden", shape.pitch_hidden.to_string()),
        ("provenance", weights.provenance.clone()),
        ("version", FORMAT_VERSION.to_string()),
        ("weights", precision.name().to_string()),
    ];
    Ok(writer.finish(metadata.into()))
}

/// The float weights, by name.
struct Source<'w>(&'w FloatWeights);

impl<'w> Source<'w> {
    fn matrix(&self, name: &str) -> Result<ArrayView2<'w, f32>, ExportError> {
        let tensor = self.0.tensors.get(name);
        tensor
            .and_then(|tensor| tensor.view().into_dimensionality::<Ix2>().ok())
            .ok_or_else(|| ExportError::Tensor(name.into()))
    }

    fn vector(&self, name: &str) -> Result<Array1<f32>, ExportError> {
        let tensor = self.0.tensors.get(name);
        tensor
            .and_then(|tensor| tensor.view().into_dimensionality::<Ix1>().ok())
            .map(|vector| vector.to_owned())
            .ok_or_else(|| ExportError::Tensor(name.into()))
    }
}

/// The rows of PyTorch's LSTM, all units' input gates and so on, in the order of a model file: of
/// each sixteen units their input, forget, candidate and output gates.
fn gate_order(hidden: usize) -> Vec<usize> {
    let chunks = (0..hidden).step_by(ROWS);
    let gates = chunks.flat_map(|chunk| (0..4).map(move |gate| gate * hidden + chunk));
    gates.flat_map(|row| row..row + ROWS).collect()
}

/// Puts the columns of `[_, 4 * hidden]` into that order.
fn in_chunks(rows: ArrayView2<f32>, hidden: usize) -> Array2<f32> {
    rows.select(Axis(1), &gate_order(hidden))
}

/// A tensor to be written.
struct Output {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

struct Writer {
    precision: Precision,
    tensors: Vec<Output>,
    errors: Vec<TensorError>,
}

impl Writer {
    fn push(&mut self, name: &str, dtype: &'static str, shape: Vec<usize>, bytes: Vec<u8>) {
        self.tensors.push(Output { name: name.into(), dtype, shape, bytes });
    }

    fn floats(&mut self, name: &str, shape: Vec<usize>, values: impl Iterator<Item = f32>) {
        self.push(name, "F32", shape, values.flat_map(f32::to_le_bytes).collect());
    }

    /// Writes the pitch table, one row for each token.
    fn table(&mut self, rows: &Array2<f32>, hidden: usize) {
        let shape = vec![rows.nrows(), hidden / ROWS, 4, ROWS];
        match self.precision {
            Precision::Float => self.floats(INPUT_PITCH, shape, rows.iter().copied()),
            Precision::Int8 | Precision::Int4 => {
                let (quantized, scales) = self.quantize(INPUT_PITCH, rows, Integers::BYTES);
                let bytes = quantized.iter().map(|&value| value as u8).collect();
                self.push(INPUT_PITCH, "I8", shape, bytes);
                self.floats(INPUT_PITCH_SCALE, vec![scales.len()], scales.into_iter());
            }
        }
    }

    /// Writes a matrix in which `together` blocks stand together, padded with zeros.
    fn matrix(
        &mut self,
        names: &MatrixNames,
        together: usize,
        rows: &Array2<f32>,
        bias: &Array1<f32>,
    ) {
        let height = together * ROWS;
        let groups = rows.nrows().div_ceil(height);
        let columns = rows.ncols().next_multiple_of(COLUMN_BLOCK);
        let is_output = [PITCH.weight, TIMES.weight].contains(&names.weight);
        let precision = if is_output { self.precision.of_outputs() } else { self.precision };
        let pad = |values: &Array1<f32>| {
            let mut padded = values.to_vec();
            padded.resize(groups * height, 0.0);
            padded
        };
        match precision {
            Precision::Float => {
                let packed = in_blocks(rows, (groups, height), (columns, 1));
                self.floats(names.weight, vec![groups, columns, height], packed.into_iter());
            }
            Precision::Int8 => {
                let (quantized, scales) = self.quantize(names.weight, rows, Integers::BYTES);
                let packed = in_blocks(&quantized, (groups, height), (columns, 4));
                let bytes = packed.into_iter().map(|value| value as u8).collect();
                self.push(names.weight, "I8", vec![groups, columns / 4, height, 4], bytes);
                self.floats(names.scale, vec![groups, together, ROWS], pad(&scales).into_iter());
            }
            Precision::Int4 => {
                let (quantized, scales) = self.quantize(names.weight, rows, Integers::NIBBLES);
                let packed = in_blocks(&quantized, (groups, height), (columns, 8));
                let words = packed.as_chunks().0.iter().map(quantize::word);
                let bytes = words.flat_map(u32::to_le_bytes).collect();
                self.push(names.weight, "U8", vec![groups, columns / 8, height, 4], bytes);
                self.floats(names.scale, vec![groups, together, ROWS], pad(&scales).into_iter());
            }
        }
        self.floats(names.bias, vec![groups, together, ROWS], pad(bias).into_iter());
    }

    /// Quantizes each row to integers of a range times a scale of its own.
    fn quantize(
        &mut self,
        name: &str,
        rows: &Array2<f32>,
        integers: Integers,
    ) -> (Array2<i8>, Array1<f32>) {
        let scales = rows.map_axis(Axis(1), |row| integers.scale(row));
        let mut quantized = Array2::zeros(rows.dim());
        let (mut error, mut power, mut largest) = (0.0, 0.0, 0f64);
        for ((row, column), &weight) in rows.indexed_iter() {
            let scale = scales[row];
            quantized[(row, column)] = integers.nearest(weight, scale);
            let difference = integers.error(weight, scale);
            error += difference * difference;
            power += f64::from(weight) * f64::from(weight);
            largest = largest.max(difference.abs());
        }
        let relative = if power > 0.0 { (error / power).sqrt() } else { 0.0 };
        self.errors.push(TensorError { name: name.into(), relative, largest });
        (quantized, scales)
    }

    fn finish(mut self, mut metadata: BTreeMap<&str, String>) -> Packed {
        // Kernels read in blocks of 64 bytes: tensors that are whole blocks stand first, so that
        // every one of them starts on a block.
        self.tensors.sort_by_key(|tensor| tensor.bytes.len() % BLOCK != 0);
        metadata.insert("crc32", "0".repeat(8));
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), json!(metadata));
        let mut end = 0;
        for tensor in &self.tensors {
            let start = end;
            end += tensor.bytes.len();
            header.insert(
                tensor.name.clone(),
                json!({
                    "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end],
                }),
            );
        }
        let mut header = serde_json::Value::Object(header).to_string().into_bytes();
        header.resize((header.len() + 8).next_multiple_of(BLOCK) - 8, b' ');

        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(self.tensors.iter().flat_map(|tensor| &tensor.bytes));
        let key = b"\"crc32\":\"";
        let digits =
            bytes.windows(key.len()).position(|bytes| bytes == key).unwrap_or(0) + key.len();
        let digits = digits..digits + 8;
        let checksum = checksum(&bytes, &bytes[digits.clone()]).unwrap_or(0);
        bytes[digits].copy_from_slice(format!("{checksum:08x}").as_bytes());
        Packed { bytes, checksum, errors: self.errors }
    }
}

/// Alignment of the data section and of the tensors that kernels read.
const BLOCK: usize = 64;

/// Lays a matrix out as `[groups, columns / width, height, width]`, with zeros where it ends: as many
/// groups of `height` rows, in blocks of `width` columns.
fn in_blocks<T: Copy + Default>(
    matrix: &Array2<T>,
    (groups, height): (usize, usize),
    (columns, width): (usize, usize),
) -> Vec<T> {
    let mut packed = Vec::with_capacity(groups * height * columns);
    for group in 0..groups {
        for block in (0..columns).step_by(width) {
            for row in group * height..(group + 1) * height {
                for column in block..block + width {
                    packed.push(matrix.get((row, column)).copied().unwrap_or_default());
                }
            }
        }
    }
    packed
}
