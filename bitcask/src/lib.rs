#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod applying;
mod commit;
mod data_file;
mod deleter;
mod dump;
mod engine;
mod files;
mod filter;
mod first_expiry;
#[cfg(test)]
mod golden;
mod hint_file;
mod keydir;
mod merge;
mod options;
#[doc(hidden)]
pub mod planted;
mod pressure;
mod reader;
mod record;
mod recovery;
mod scan;
mod seal;
mod sealed_file;
mod snapshot;
mod state;
mod stats;
mod verify;
mod views;

pub use dump::dump;
pub use engine::Bitcask;
pub use options::{MergeOptions, Options, ReadMode};
pub use reader::Reader;
pub use stats::BitcaskStats;
pub use verify::Verification;
