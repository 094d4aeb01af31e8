#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod applying;
mod commit;
mod data_file;
mod dump;
mod engine;
mod files;
#[cfg(test)]
mod golden;
mod hint_file;
mod keydir;
mod options;
#[doc(hidden)]
pub mod planted;
mod record;
mod recovery;
mod scan;
mod seal;
mod state;
mod stats;
mod verify;
mod views;

pub use dump::dump;
pub use engine::Bitcask;
pub use options::{Options, ReadMode};
pub use stats::BitcaskStats;
pub use verify::Verification;
