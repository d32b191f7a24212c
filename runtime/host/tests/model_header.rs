//! The header of a model file is checked as strictly as by the `safetensors` crate.
#![allow(clippy::unwrap_used)]

mod common;

use common::small_model;
use pianola_runtime::{Model, ModelError, Precision};
use proptest::prelude::*;
use safetensors::SafeTensors;

/// The text of a model file's header, and its data.
fn parts(file: &[u8]) -> (String, &[u8]) {
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (String::from_utf8(header.to_vec()).unwrap(), data)
}

/// A file of these parts with a valid checksum: only the header can be invalid.
fn file(header: &[u8], data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    let key = b"\"crc32\":\"";
    if let Some(at) = file.windows(key.len()).position(|window| window == key) {
        let digits = at + key.len()..(at + key.len() + 8).min(file.len());
        file[digits.clone()].fill(b'0');
        let checksum = format!("{:08x}", crc32fast::hash(&file));
        let length = digits.len();
        file[digits].copy_from_slice(&checksum.as_bytes()[..length]);
    }
    file
}

/// The error of a header; `None` if it is accepted.
fn fault(header: &str, data: &[u8]) -> Option<ModelError> {
    let bytes = file(header.as_bytes(), data);
    Model::from_bytes(&bytes).err()
}

#[test]
fn an_unchanged_header_is_read() {
    let model = small_model(Precision::Int8);
    let (header, data) = parts(&model);
    assert_eq!(fault(&header, data), None);
    assert_eq!(fault(&(header + "   "), data), None, "padding of spaces");
}

#[test]
fn what_safetensors_refuses_is_refused() {
    let model = small_model(Precision::Int8);
    let (header, data) = parts(&model);
    // The place of the tensor that comes last in the data, and its key.
    let end = data.len();
    let place = header.rfind(&format!(",{end}]")).unwrap();
    let begin = header[..place].rfind('[').unwrap() + 1;
    let start = &header[begin..place];
    let with_place = |place: &str| header.replace(&format!("[{start},{end}]"), place);
    let open = header.trim_end().strip_suffix('}').unwrap();
    for (what, broken) in [
        ("junk behind the object", format!("{} x", header.trim_end())),
        ("a second object", format!("{}{{}}", header.trim_end())),
        ("a leading zero", with_place(&format!("[0{start},{end}]"))),
        ("overlapping tensors", with_place(&format!("[0,{end}]"))),
        (
            "an empty tensor out of place",
            format!("{open},\"x\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[1,1]}}}}"),
        ),
        (
            "a tensor that ends before it begins",
            format!(
                "{open},\"x\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[{end},0]}}}}"
            ),
        ),
        ("a key twice", format!("{open},\"__metadata__\":{{}}}}")),
        (
            "a tensor without a shape",
            format!("{open},\"x\":{{\"dtype\":\"F32\",\"data_offsets\":[{end},{end}]}}}}"),
        ),
        ("a field twice", header.replace("\"dtype\":\"I8\"", "\"dtype\":\"I8\",\"dtype\":\"I8\"")),
        ("two commas", header.replacen(",\"", ",,\"", 1)),
        ("a comma at the end", format!("{open},}}")),
        ("no comma", header.replacen("},\"", "}\"", 1)),
        ("a number for a string", header.replacen("\"dtype\":\"I8\"", "\"dtype\":8", 1)),
        ("a control character", header.replacen("random", "ran\u{1}dom", 1)),
        ("an unknown escape", header.replacen("random", "ran\\qdom", 1)),
    ] {
        assert_ne!(broken, header, "{what} was not put in");
        let bytes = file(broken.as_bytes(), data);
        assert!(SafeTensors::deserialize(&bytes).is_err(), "safetensors takes {what}");
        assert!(Model::from_bytes(&bytes).is_err(), "{what} is taken");
    }
}

#[test]
fn duplicate_metadata_keys_are_refused() {
    let model = small_model(Precision::Int8);
    let (header, data) = parts(&model);
    let twice = header.replacen("\"layers\":", "\"layers\":\"9\",\"layers\":", 1);
    assert_ne!(twice, header);
    assert_eq!(fault(&twice, data), Some(ModelError::BadHeader));
}

proptest! {
    #[test]
    fn nothing_is_read_that_safetensors_refuses(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..3, "[ -~]"), 1..3
        )
    ) {
        let model = small_model(Precision::Int4);
        let (header, data) = parts(&model);
        let mut header = header.into_bytes();
        for (at, kind, with) in changes {
            let at = at.index(header.len());
            match kind {
                0 => header[at] = with.as_bytes()[0],
                1 => header.insert(at, with.as_bytes()[0]),
                _ => {
                    header.remove(at);
                }
            }
        }
        let bytes = file(&header, data);
        if Model::from_bytes(&bytes).is_ok() {
            prop_assert!(SafeTensors::deserialize(&bytes).is_ok());
        }
    }
}
