#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod back_pressure;
mod background;
mod batch_barrier;
mod capabilities;
mod committer;
mod components;
mod damaged_files;
mod data_file;
mod dump;
mod engine;
mod file_handle;
mod file_set;
mod files;
mod filter;
mod first_expiry;
#[cfg(test)]
mod golden;
mod hint_file;
mod keydir;
#[cfg(all(test, not(shuttle)))]
mod keydir_room_tests;
mod lock_order;
mod merge;
mod options;
mod picker;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
mod reader;
mod record;
mod recovery;
mod rotation;
mod scan;
mod sealed_file;
mod sealer;
mod snapshot;
mod state;
mod stats;
mod steps;
mod store;
mod verify;
mod views;
mod waste;

pub use dump::dump;
pub use engine::Bitcask;
pub use options::{MergeOptions, Options, ReadMode};
pub use reader::Reader;
pub use stats::BitcaskStats;
pub use verify::Verification;
