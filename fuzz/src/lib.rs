//! The fuzz targets, as functions of an input. Nothing here needs a fuzzer: `fuzz_targets` runs these functions under
//! libFuzzer, and the test `corpus` of `bitcask` includes this folder to replay the corpus.
//!
//! A target panics when its invariant is broken. Any bytes are an input. A target reads them front to back as a script, and
//! the script ends where the bytes end.

mod edits;
mod fixture;
mod input;
mod manifest;
mod model;
mod operations;
mod segment;
mod segment_encoder;
mod store;
mod witness;

pub use edits::run as edits;
pub use manifest::run as manifest;
pub use operations::run as operations;
pub use segment::run as segment;
pub use store::run as store;
pub use witness::run as witness;

/// Runs a target with an input.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in the corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("segment", segment),
    ("witness", witness),
    ("manifest", manifest),
    ("edits", edits),
    ("store", store),
    ("operations", operations),
];
