#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod compaction;

mod back_pressure;
mod background;
mod boundary;
mod capabilities;
mod checkpoint;
mod commit;
mod compactor;
mod components;
mod dump;
mod engine;
mod entry_tree;
mod events;
mod expiring;
mod file_ids;
mod files;
mod flush;
#[cfg(test)]
mod golden;
mod history;
mod internal_key;
mod lock_order;
mod memtable;
mod open_tables;
mod options;
mod pins;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
mod range_tombstones;
mod read;
mod reader;
mod record;
mod recovery;
mod repair;
mod state;
mod statistics;
mod steps;
mod store;
mod table_file;
mod table_writer;
mod verify;
mod version;
mod wal;

/// The error of this crate, so that it can be used without `kv`.
pub use kv::{Error, Result};

pub use dump::dump;
pub use engine::Lsm;
pub use events::{CompactionEvent, CompactionOutcome, EventListener, FlushEvent, StallEvent};
pub use options::Options;
pub use read::{NewerSeen, NewestVersion, Pinned, VersionRead};
pub use reader::Reader;
pub use repair::{Loss, Lost, Repair, repair};
pub use sstable::{BuildOptions, Compression, ReadMode, ReadOptions};
pub use statistics::{LevelStats, LsmStats};
pub use verify::Verification;
