//! Models that are part of the program.

/// Embeds a model file in the program, aligned to 64 bytes: a `&'static [u8]` for
/// [`Model::from_bytes`](crate::Model::from_bytes).
///
/// The path is relative to the file that invokes the macro, as with [`include_bytes!`].
/// [`include_bytes!`] alone does not align: on Cortex-M its bytes may be refused as
/// [`ModelError::Misaligned`](crate::ModelError::Misaligned), and elsewhere they may be slower.
///
/// ```
/// use pianola_runtime::{Model, include_model};
///
/// static MODEL: &[u8] = include_model!("../../tests/models/expressive-small-int8.safetensors");
///
/// assert_eq!(MODEL.as_ptr() as usize % 64, 0);
/// assert!(Model::from_bytes(MODEL).is_ok());
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        #[repr(C, align(64))]
        struct Aligned<T: ?Sized>(T);
        static FILE: &Aligned<[u8]> = &Aligned(*::core::include_bytes!($path));
        &FILE.0 as &'static [u8]
    }};
}
