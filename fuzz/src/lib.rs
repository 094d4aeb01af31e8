//! The fuzz targets, as functions of an input. Nothing here needs a fuzzer: `fuzz_targets` runs these functions under
//! libFuzzer, and the tests `corpus` of `bitcask` and `sstable` include this folder to replay the corpus.
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
// Tests of `bitcask` include this file and do not know tables; those of `sstable` include `table.rs` itself.
#[cfg(not(test))]
mod table;
mod witness;

pub use edits::run as edits;
pub use manifest::run as manifest;
pub use operations::run as operations;
pub use segment::run as segment;
pub use store::run as store;
#[cfg(not(test))]
pub use table::run as table;
pub use witness::run as witness;

/// Runs a target with an input.
pub type Target = fn(&[u8]);

/// The folders of the corpus whose targets belong to the crate `sstable`.
pub const FOLDERS_OF_SSTABLE: [&str; 1] = ["table"];

/// All other targets, by the names of their folders in the corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("segment", segment),
    ("witness", witness),
    ("manifest", manifest),
    ("edits", edits),
    ("store", store),
    ("operations", operations),
];
