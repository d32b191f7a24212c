//! Model files: reading returns what was written, and damaged files are refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::{EXPRESSIVE, SMALL, random_weights, small_expressive_model, small_model};
use pianola_host::export::weights::{FloatWeights, Shape, ShapeError, WeightsError};
use pianola_host::export::{ExportError, pack};
use pianola_runtime::{Generator, Model, ModelError, Precision, Sampling};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};

const PRECISIONS: [Precision; 3] = [Precision::Float, Precision::Int8, Precision::Int4];

#[test]
fn the_report_has_5_736_029_parameters() {
    assert_eq!(Shape::REPORT.parameters(), 5_736_029);
}

#[test]
fn any_safetensors_reader_opens_a_model_file() {
    for precision in PRECISIONS {
        let bytes = small_model(precision);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let weight = file.tensor("lstm.1.weight").unwrap();
        let (dtype, shape): (_, &[usize]) = match precision {
            Precision::Float => (Dtype::F32, &[2, 64, 64]),
            Precision::Int8 => (Dtype::I8, &[2, 16, 64, 4]),
            Precision::Int4 => (Dtype::U8, &[2, 8, 64, 4]),
        };
        assert_eq!((weight.dtype(), weight.shape()), (dtype, shape));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().as_ref().unwrap();
        assert_eq!(metadata["provenance"], "random \"weights\" \\ for tests");
        assert_eq!(metadata["weights"], precision.name());
        let model = Model::from_bytes(&bytes).unwrap();
        assert_eq!(metadata["crc32"], format!("{:08x}", model.checksum()));
    }
}

#[test]
fn kernels_find_every_weight_matrix_on_a_64_byte_boundary() {
    let bytes = small_model(Precision::Int8);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, tensor) in file.tensors() {
        let offset = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(offset.is_multiple_of(64) || tensor.data().len() % 64 != 0, "{name} at {offset}");
    }
}

#[test]
fn packed_weights_are_those_of_the_network() {
    let weights = random_weights(SMALL, 0.3, 7);
    for precision in PRECISIONS {
        let packed = pack(&weights, precision).unwrap();
        let file = SafeTensors::deserialize(&packed.bytes).unwrap();
        let floats = |name: &str| -> Vec<f32> {
            let data = file.tensor(name).unwrap().data().to_vec();
            data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
        };
        // The forget gate (1) of unit 5 in layer 1: 32 inputs from below, then 32 of its own.
        const ROW: usize = 16 + 5;
        let input = &weights.tensors["rnn.weight_ih_l1"];
        let recurrent = &weights.tensors["rnn.weight_hh_l1"];
        for column in 0..64 {
            let expected = if column < 32 {
                input[[32 + 5, column]]
            } else {
                recurrent[[32 + 5, column - 32]]
            };
            let word = |width: usize| (column / width) * 64 + ROW;
            let data = file.tensor("lstm.1.weight").unwrap().data();
            let stored = match precision {
                Precision::Float => {
                    assert_eq!(floats("lstm.1.weight")[word(1)], expected);
                    continue;
                }
                Precision::Int8 => i32::from(data[4 * word(4) + column % 4] as i8),
                Precision::Int4 => {
                    let word: [u8; 4] = data[4 * word(8)..][..4].try_into().unwrap();
                    let at = 16 * (column % 2) + 4 * (column % 8 / 2);
                    (u32::from_le_bytes(word) >> at & 15) as i32 - 8
                }
            };
            let scale = floats("lstm.1.scale")[ROW];
            let error = (stored as f32 * scale - expected).abs();
            let clipped = stored == 7 || stored == -8;
            assert!(clipped || error <= 0.5001 * scale, "column {column}: off by {error}");
        }
        let bias = weights.tensors["rnn.bias_ih_l1"][37] + weights.tensors["rnn.bias_hh_l1"][37];
        assert_eq!(floats("lstm.1.bias")[ROW], bias);
        let most = if precision == Precision::Int4 { 0.15 } else { 0.01 };
        let reported = packed.errors.iter().map(|error| error.relative);
        assert_eq!(packed.errors.len(), if precision == Precision::Float { 0 } else { 6 });
        assert!(reported.into_iter().all(|error| error > 0.0 && error < most));
    }
}

#[test]
fn the_same_weights_make_the_same_file() {
    assert_eq!(small_model(Precision::Int8), small_model(Precision::Int8));
    let weights = random_weights(SMALL, 0.3, 7);
    assert_eq!(weights.write().unwrap(), weights.write().unwrap());
}

#[test]
fn float_weights_survive_writing_and_reading() {
    for shape in [SMALL, EXPRESSIVE] {
        let weights = random_weights(shape, 0.3, 7);
        let back = FloatWeights::read(&weights.write().unwrap()).unwrap();
        assert_eq!(back.shape, shape);
        assert_eq!(back.tensors, weights.tensors);
        assert_eq!(back.provenance, weights.provenance);
    }
}

#[test]
fn packed_features_and_tables_are_those_of_the_network() {
    let weights = random_weights(EXPRESSIVE, 0.3, 7);
    for precision in [Precision::Int8, Precision::Int4] {
        let packed = pack(&weights, precision).unwrap();
        let file = SafeTensors::deserialize(&packed.bytes).unwrap();
        let floats = |name: &str| -> Vec<f32> {
            let data = file.tensor(name).unwrap().data().to_vec();
            data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
        };
        // Feature 100 of the pitch head, for unit 20: a scale for each unit.
        let feature = file.tensor("head.pitch.features").unwrap();
        assert_eq!((feature.dtype(), feature.shape()), (Dtype::I8, [1497, 32].as_slice()));
        let scale = floats("head.pitch.features.scale")[20];
        let stored = f32::from(feature.data()[100 * 32 + 20] as i8) * scale;
        let expected = weights.tensors["head.pitch.features.weight"][[100, 20]];
        assert!((stored - expected).abs() <= 0.5001 * scale);
        // The input of velocity bin 9 to the output gate (3) of unit 18: the second sixteen.
        let embedded = &weights.tensors["embedding.velocity.weight"];
        let input = &weights.tensors["rnn.weight_ih_l0"];
        let product = |at| embedded[[9, at]] * input[[3 * 32 + 18, 21 + at]];
        let expected: f32 = (0..3).map(product).sum();
        let place = 9 * 128 + 64 + 3 * 16 + 2;
        let (table, scale) =
            (file.tensor("input.velocity").unwrap(), floats("input.velocity.scale"));
        let (stored, most) = match precision {
            Precision::Int4 => {
                assert_eq!((table.dtype(), table.shape()), (Dtype::U8, [32, 2, 4, 8].as_slice()));
                (f32::from(table.data()[place / 2] >> (4 * (place % 2)) & 15) - 8.0, 2.0)
            }
            _ => (f32::from(table.data()[place] as i8), 0.5001),
        };
        assert!((stored * scale[9] - expected).abs() <= most * scale[9], "{precision}");
    }
}

#[test]
fn unusable_weights_say_why() {
    let with = |change: &dyn Fn(&mut FloatWeights)| {
        let mut weights = random_weights(SMALL, 0.3, 7);
        change(&mut weights);
        FloatWeights::read(&weights.write().unwrap()).unwrap_err()
    };
    let error = with(&|weights| {
        weights.tensors.remove("decoder_step.bias");
    });
    assert!(matches!(error, WeightsError::Missing(name) if name == "decoder_step.bias"));
    let error = with(&|weights| {
        weights.tensors.insert("rnn.bias_ih_l0".into(), ndarray::ArrayD::zeros(vec![5]));
    });
    assert!(matches!(error, WeightsError::Size { name, .. } if name == "rnn.bias_ih_l0"));
    let error = with(&|weights| {
        let tensor = weights.tensors.get_mut("rnn.bias_ih_l0").unwrap();
        tensor[3] = f32::NAN;
    });
    assert!(matches!(error, WeightsError::NotFinite(name) if name == "rnn.bias_ih_l0"));
    let absurd = [("rnn.weight_hh_l0", vec![0, 1 << 63]), ("x", vec![0])];
    let absurd = absurd.map(|(name, size)| {
        (name, safetensors::tensor::TensorView::new(Dtype::F32, size, &[]).unwrap())
    });
    let absurd = safetensors::serialize(absurd, None).unwrap();
    assert!(FloatWeights::read(&absurd).is_err());
    assert!(matches!(FloatWeights::read(b"PK\x03\x04"), Err(WeightsError::Format(_))));
}

#[test]
fn networks_that_no_kernel_handles_are_refused_at_export() {
    let export = |shape| pack(&random_weights(shape, 0.1, 1), Precision::Int8).map(|_| ());
    assert!(matches!(
        export(Shape { hidden: 40, ..SMALL }),
        Err(ExportError::Shape(ShapeError::Hidden(40)))
    ));
    assert!(matches!(
        export(Shape { layers: 9, ..SMALL }),
        Err(ExportError::Shape(ShapeError::Layers(9)))
    ));
    assert!(matches!(
        export(Shape::report(2, 32, 10, 513)),
        Err(ExportError::Shape(ShapeError::HeadHidden(513)))
    ));
}

#[test]
fn a_model_larger_than_the_buffers_is_refused() {
    let bytes = small_model(Precision::Int8);
    let model = Model::from_bytes(&bytes).unwrap();
    assert!(Generator::<2, 32>::from_model(&model, 0).is_ok());
    assert_eq!(Generator::<1, 32>::from_model(&model, 0).map(|_| ()), Err(ModelError::TooLarge));
    assert_eq!(Generator::<2, 16>::from_model(&model, 0).map(|_| ()), Err(ModelError::TooLarge));
}

#[test]
fn every_changed_byte_is_noticed() {
    damaged_bytes_are_noticed(&small_model(Precision::Int8), 1);
    damaged_bytes_are_noticed(&small_expressive_model(Precision::Int4), 7);
}

fn damaged_bytes_are_noticed(bytes: &[u8], step: usize) {
    for at in (0..bytes.len()).step_by(step) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        assert!(Model::from_bytes(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncated_file_is_refused() {
    let bytes = small_model(Precision::Int8);
    for length in 0..bytes.len() {
        assert!(Model::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0; 3]].concat();
    assert_eq!(Model::from_bytes(&longer).map(|_| ()), Err(ModelError::TrailingBytes));
    let floats = random_weights(SMALL, 0.3, 7).write().unwrap();
    assert_eq!(Model::from_bytes(&floats).map(|_| ()), Err(ModelError::NotAModel));
}

/// Replaces a value in the header by one of the same length and corrects the checksum, as an attacker
/// would.
fn forge(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut forged = bytes.to_vec();
    let at = forged.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    forged[at..at + to.len()].copy_from_slice(to.as_bytes());
    fit_checksum(&mut forged);
    forged
}

fn fit_checksum(bytes: &mut [u8]) {
    let key = b"\"crc32\":\"";
    let digits = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    bytes[digits..digits + 8].copy_from_slice(b"00000000");
    let checksum = format!("{:08x}", crc32fast::hash(bytes));
    bytes[digits..digits + 8].copy_from_slice(checksum.as_bytes());
}

#[test]
fn other_versions_and_absurd_sizes_are_refused() {
    let bytes = small_model(Precision::Int8);
    let error = |from, to| Model::from_bytes(&forge(&bytes, from, to)).map(|_| ()).unwrap_err();
    assert_eq!(error("\"version\":\"2\"", "\"version\":\"1\""), ModelError::Version);
    assert_eq!(error("\"layers\":\"2\"", "\"layers\":\"9\""), ModelError::Unsupported);
    assert_eq!(error("\"layers\":\"2\"", "\"layers\":\"0\""), ModelError::Unsupported);
    assert_eq!(error("\"hidden\":\"32\"", "\"hidden\":\"99\""), ModelError::Unsupported);
    assert_eq!(
        error("\"hidden\":\"32\"", "\"hidden\":\"64\""),
        ModelError::Tensor("lstm.0.weight")
    );
    assert_eq!(error("\"layers\":\"2\"", "\"layers\":\"3\""), ModelError::Tensor("lstm.2.weight"));
    assert_eq!(error("\"heads\":\"report\"", "\"heads\":\"rep0rt\""), ModelError::Unsupported);
    let expressive = small_expressive_model(Precision::Int4);
    let error =
        |from, to| Model::from_bytes(&forge(&expressive, from, to)).map(|_| ()).unwrap_err();
    assert_eq!(
        error("\"step_hidden\":\"21\"", "\"step_hidden\":\"52\""),
        ModelError::Tensor("head.step.hidden.weight")
    );
    assert_eq!(error("\"step_hidden\":\"21\"", "\"step_hidden\":\"00\""), ModelError::Unsupported);
    assert_eq!(error("[1497,32]", "[1479,32]"), ModelError::Tensor("head.pitch.features"));
    let error = |from, to| Model::from_bytes(&forge(&bytes, from, to)).map(|_| ()).unwrap_err();
    assert_eq!(error("\"format\":\"pianola\"", "\"format\":\"pianole\""), ModelError::NotAModel);
    assert_eq!(error("[2,16,64,4]", "[2,64,16,4]"), ModelError::Tensor("lstm.1.weight"));
    assert_eq!(error("\"I8\"", "\"U8\""), ModelError::Tensor("head.pitch.hidden.weight"));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Model::from_bytes(&bytes).is_err());
        let header = [&(bytes.len() as u64).to_le_bytes(), bytes.as_slice()].concat();
        prop_assert!(Model::from_bytes(&header).is_err());
    }

    /// A file with a valid checksum may have any content: it is refused, or it plays.
    #[test]
    fn forged_files_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        in_header in any::<bool>(),
        precision in prop::sample::select(PRECISIONS.to_vec()),
        expressive in any::<bool>(),
    ) {
        let mut bytes =
            if expressive { small_expressive_model(precision) } else { small_model(precision) };
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
        for (at, byte) in damage {
            let at = if in_header { at.index(header) } else { header + at.index(bytes.len() - header) };
            bytes[at] = byte;
        }
        if bytes.windows(9).any(|window| window == b"\"crc32\":\"") {
            fit_checksum(&mut bytes);
        }
        let Ok(model) = Model::from_bytes(&bytes) else { return Ok(()) };
        let Ok(mut generator) = Generator::<3, 64>::from_model(&model, 1) else { return Ok(()) };
        for _ in 0..20 {
            let note = generator.next_note(&Sampling::default());
            prop_assert!(note.pitch < 128 && note.step >= 0.0 && note.duration >= 0.0);
        }
    }
}
