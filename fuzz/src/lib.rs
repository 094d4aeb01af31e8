//! What the fuzz targets do with their bytes. Nothing here needs a fuzzer: `fuzz_targets` runs these functions under
//! libFuzzer, and the test `corpus` of `bitcask` includes this folder to replay the corpus.
//!
//! A target panics when its law is broken. Any bytes are an input; they are read front to back as a script, and where
//! they end the script ends.

mod input;
mod manifest;
mod operations;
mod reading;
mod segment;
mod specimen;
mod store;

pub use manifest::run as manifest;
pub use operations::run as operations;
pub use segment::run as segment;
pub use store::run as store;

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in the corpus.
pub const TARGETS: [(&str, Target); 4] =
    [("segment", segment), ("manifest", manifest), ("store", store), ("operations", operations)];
