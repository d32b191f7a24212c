//! Packs float weights into a model file.

mod quantize;
pub mod weights;

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis, Ix1, Ix2, Slice, concatenate};
use serde_json::json;

use crate::export::weights::{FloatWeights, HeadShapes, Shape, ShapeError};
use pianola_runtime::format::{
    COLUMN_BLOCK, FORMAT_NAME, FORMAT_VERSION, GATES, HEAD_NAMES, HeadNames, INPUT_DURATION,
    INPUT_PITCH, INPUT_STEP, INPUT_VELOCITY, LSTM_NAMES, MatrixNames, Precision, ROWS, TIMES,
    TableNames, checksum,
};
use pianola_runtime::vocabulary::PARTS;
use quantize::Integers;

/// Why weights cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// Quantization error of each tensor, in the order of the file.
    pub errors: Vec<TensorError>,
}

/// Quantization error of a tensor against the float weights.
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
    shape.check()?;
    let source = Source(weights);
    let mut writer = Writer { precision, tensors: Vec::new(), errors: Vec::new() };

    writer.inputs(&source, shape)?;
    writer.layers(&source, shape)?;
    let mut metadata: BTreeMap<&str, String> = [
        ("architecture", "lstm".to_string()),
        ("format", FORMAT_NAME.to_string()),
        ("hidden", shape.hidden.to_string()),
        ("layers", shape.layers.to_string()),
        ("parameters", shape.parameters().to_string()),
        ("provenance", weights.provenance.clone()),
        ("version", FORMAT_VERSION.to_string()),
        ("weights", precision.name().to_string()),
    ]
    .into();
    writer.heads(&source, shape, &mut metadata)?;
    Ok(writer.finish(metadata))
}

/// The products of two matrices' rows, summed in this order, not by a library whose order depends on
/// the machine.
fn product(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    Array2::from_shape_fn((a.nrows(), b.nrows()), |(row, column)| {
        let products = a.row(row).into_iter().zip(b.row(column));
        products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
    })
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

/// Reorders the rows of PyTorch's LSTM (the input gates of all units, then the forget gates, ...) for a
/// model file: for each sixteen units, their input, forget, candidate and output gates.
fn gate_order(hidden: usize) -> Vec<usize> {
    let chunks = (0..hidden).step_by(ROWS);
    let gates = chunks.flat_map(|chunk| (0..4).map(move |gate| gate * hidden + chunk));
    gates.flat_map(|row| row..row + ROWS).collect()
}

/// Reorders the columns of `[_, 4 * hidden]` in the same way.
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
    /// The tables of the inputs. Embeddings are linear and feed a linear layer: their product is a table.
    fn inputs(&mut self, source: &Source, shape: Shape) -> Result<(), ExportError> {
        let (hidden, precision) = (shape.hidden, self.precision);
        let input_weights = source.matrix("rnn.weight_ih_l0")?;
        match shape.heads {
            HeadShapes::Report { embedding, .. } => {
                let (embedded, times) = input_weights.split_at(Axis(1), embedding);
                let pitches = source.matrix("pitch_embedding_layer.weight")?;
                let table = product(pitches.reversed_axes(), embedded);
                // With few other inputs, rounding of this table would be audible: it stays in bytes.
                self.table(&INPUT_PITCH, &in_chunks(table.view(), hidden), hidden, Integers::BYTES);
                for (names, column) in [(&INPUT_STEP, 0), (&INPUT_DURATION, 1)] {
                    let column = times.slice_axis(Axis(1), Slice::from(column..=column));
                    let gates = in_chunks(column.reversed_axes(), hidden);
                    self.floats(names.rows, vec![hidden / ROWS, 4, ROWS], gates.iter().copied());
                }
            }
            HeadShapes::Expressive { embedding, .. } => {
                let tables = [&INPUT_STEP, &INPUT_PITCH, &INPUT_DURATION, &INPUT_VELOCITY];
                let mut rest = input_weights;
                for ((part, names), width) in PARTS.into_iter().zip(tables).zip(embedding) {
                    let (embedded, more) = rest.split_at(Axis(1), width);
                    rest = more;
                    let embeddings = source.matrix(&format!("embedding.{part}.weight"))?;
                    let table = product(embeddings, embedded);
                    let integers = match precision {
                        Precision::Int4 => Integers::NIBBLES,
                        _ => Integers::BYTES,
                    };
                    self.table(names, &in_chunks(table.view(), hidden), hidden, integers);
                }
            }
        }
        Ok(())
    }

    /// The gates of the LSTM layers.
    fn layers(&mut self, source: &Source, shape: Shape) -> Result<(), ExportError> {
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
            let order = gate_order(shape.hidden);
            let (rows, bias) = (rows.select(Axis(0), &order), bias.select(Axis(0), &order));
            self.matrix(names, GATES, &rows, &bias, self.precision);
        }
        Ok(())
    }

    /// The layers that predict, and their names and widths in the metadata.
    fn heads(
        &mut self,
        source: &Source,
        shape: Shape,
        metadata: &mut BTreeMap<&str, String>,
    ) -> Result<(), ExportError> {
        let precision = self.precision;
        match shape.heads {
            HeadShapes::Report { pitch_hidden, .. } => {
                metadata.insert("heads", "report".into());
                let names = &HEAD_NAMES[1];
                metadata.insert(names.width, pitch_hidden.to_string());
                self.dense(&names.hidden, source, &["decoder_pitch1"], precision)?;
                let outputs = precision.of_outputs();
                self.dense(&names.output, source, &["decoder_pitch2"], outputs)?;
                self.dense(&TIMES, source, &["decoder_step", "decoder_duration"], outputs)?;
            }
            HeadShapes::Expressive { hidden: widths, .. } => {
                metadata.insert("heads", "expressive".into());
                for ((part, names), width) in PARTS.into_iter().zip(&HEAD_NAMES).zip(widths) {
                    metadata.insert(names.width, width.to_string());
                    self.head(names, source, &format!("head.{part}"))?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &str, dtype: &'static str, shape: Vec<usize>, bytes: Vec<u8>) {
        self.tensors.push(Output { name: name.into(), dtype, shape, bytes });
    }

    fn floats(&mut self, name: &str, shape: Vec<usize>, values: impl Iterator<Item = f32>) {
        self.push(name, "F32", shape, values.flat_map(f32::to_le_bytes).collect());
    }

    /// Writes an input table, one row for each input value.
    fn table(&mut self, names: &TableNames, rows: &Array2<f32>, hidden: usize, integers: Integers) {
        let shape = |units| vec![rows.nrows(), hidden / ROWS, 4, units];
        if self.precision == Precision::Float {
            return self.floats(names.rows, shape(ROWS), rows.iter().copied());
        }
        let (quantized, scales) = self.quantize(names.rows, rows, integers);
        if integers == Integers::NIBBLES {
            let raised: Vec<u8> = quantized.iter().map(|&value| (value + 8) as u8).collect();
            let pairs = raised.as_chunks().0.iter().map(|&[even, odd]| even | odd << 4);
            self.push(names.rows, "U8", shape(ROWS / 2), pairs.collect());
        } else {
            let bytes = quantized.iter().map(|&value| value as u8).collect();
            self.push(names.rows, "I8", shape(ROWS), bytes);
        }
        self.floats(names.scale, vec![scales.len()], scales.into_iter());
    }

    /// Writes dense layers of the same inputs, one below the other.
    fn dense(
        &mut self,
        names: &MatrixNames,
        source: &Source,
        layers: &[&str],
        precision: Precision,
    ) -> Result<(), ExportError> {
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for layer in layers {
            rows.push(source.matrix(&format!("{layer}.weight"))?);
            bias.push(source.vector(&format!("{layer}.bias"))?);
        }
        let bias: Vec<_> = bias.iter().map(|bias| bias.view()).collect();
        let apart = |_| ExportError::Tensor(layers.join(", "));
        let rows = ndarray::concatenate(Axis(0), &rows).map_err(apart)?;
        let bias = ndarray::concatenate(Axis(0), &bias).map_err(apart)?;
        self.matrix(names, 1, &rows, &bias, precision);
        Ok(())
    }

    /// Writes a classification head, with its features.
    fn head(&mut self, names: &HeadNames, source: &Source, head: &str) -> Result<(), ExportError> {
        let precision = self.precision;
        self.dense(&names.hidden, source, &[&format!("{head}.hidden")], precision)?;
        let outputs = precision.of_outputs();
        self.dense(&names.output, source, &[&format!("{head}.output")], outputs)?;
        let rows = source.matrix(&format!("{head}.features.weight"))?;
        let (height, width) = (rows.nrows(), rows.ncols().next_multiple_of(COLUMN_BLOCK));
        let padded = |values: Array2<f32>| {
            let mut padded = Array2::zeros((height, width));
            padded.slice_axis_mut(Axis(1), Slice::from(..values.ncols())).assign(&values);
            padded
        };
        let name = names.features.rows;
        if precision == Precision::Float {
            let rows = padded(rows.to_owned());
            self.floats(name, vec![height, width], rows.iter().copied());
            return Ok(());
        }
        // Scales are per column, so that sums of rows are sums of integers.
        let columns = padded(rows.to_owned()).reversed_axes();
        let (quantized, scales) = self.quantize(name, &columns, Integers::BYTES);
        let bytes = quantized.t().iter().map(|&value| value as u8).collect();
        self.push(name, "I8", vec![height, width], bytes);
        self.floats(names.features.scale, vec![width], scales.into_iter());
        Ok(())
    }

    /// Writes a matrix in groups of `together` adjacent blocks, padded with zeros.
    fn matrix(
        &mut self,
        names: &MatrixNames,
        together: usize,
        rows: &Array2<f32>,
        bias: &Array1<f32>,
        precision: Precision,
    ) {
        let height = together * ROWS;
        let groups = rows.nrows().div_ceil(height);
        let columns = rows.ncols().next_multiple_of(COLUMN_BLOCK);
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

    /// Quantizes each row to integers of a range, with a scale per row.
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
        // Kernels read in blocks of 64 bytes: tensors of whole blocks come first, so that each of
        // them starts on a block boundary.
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

/// Lays a matrix out as `[groups, columns / width, height, width]`, padded with zeros: groups of
/// `height` rows, in blocks of `width` columns.
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
