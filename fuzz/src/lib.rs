//! Helpers of the fuzz targets.
//!
//! A model or a filter with a wrong checksum is refused at once. The targets therefore repair the
//! checksum of the fuzzer's input, as an attacker would.
#![forbid(unsafe_code)]

/// Repairs the checksum in the metadata of a model file, if there is one.
pub fn repair_model(file: &mut [u8]) {
    const KEY: &[u8] = b"\"crc32\":\"";
    let Some(key) = file.windows(KEY.len()).position(|window| window == KEY) else { return };
    let digits = key + KEY.len()..key + KEY.len() + 8;
    if file.len() < digits.end {
        return;
    }
    file[digits.clone()].fill(b'0');
    let checksum = format!("{:08x}", crc32fast::hash(file));
    file[digits].copy_from_slice(checksum.as_bytes());
}

/// Repairs the checksum of an originality filter, which covers the header before it and everything
/// after the header.
pub fn repair_filter(file: &mut [u8]) {
    use pianola_runtime::guard::{CHECKSUM, HEADER};
    if file.len() < HEADER {
        return;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&file[..CHECKSUM]);
    crc.update(&file[HEADER..]);
    file[CHECKSUM..CHECKSUM + 4].copy_from_slice(&crc.finalize().to_le_bytes());
}
