//! Sorted tables: immutable files of sorted entries.
//!
//! [`TableBuilder`] writes a table, [`Table`] reads it: look-ups, [cursors](TableCursor) and a check of the whole file.
//! [`MergingCursor`] and [`RunCursor`] walk over several. The crate knows no level, sequence number, tombstone or
//! transaction; see [`KeyLayout`] and [`PropertyCollector`] for how a store puts its own knowledge into a table.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod block;
mod block_cache;
mod block_source;
mod block_walk;
mod block_writer;
mod bounds;
mod compression;
mod damage;
mod data_bytes;
mod directory;
mod entry_walk;
mod filter;
mod filter_plan;
mod filter_reader;
mod first_use;
mod footer;
mod handle;
mod heads;
mod index;
mod index_block;
mod index_builder;
mod key_layout;
mod loser_tree;
mod merging_cursor;
mod options;
mod prefetch;
mod properties;
mod raw_file;
mod readahead;
mod run;
mod run_cursor;
mod run_tables;
mod salvage;
mod stored_block;
mod table;
mod table_builder;
mod table_cursor;
mod table_id;
mod verify;
mod versions;

/// The error of this crate, so that it can be used without `kv`.
pub use kv::{Error, Result};

pub use block::{ADAPTIVE_GROUP, Restarts};
pub use block_cache::BlockCache;
pub use compression::Compression;
pub use filter::hash_stem;
pub use filter_plan::plan_filters;
pub use key_layout::{KeyLayout, SplitKey};
pub use merging_cursor::MergingCursor;
pub use options::{BuildOptions, ReadMode, ReadOptions};
pub use properties::{Properties, PropertyCollector};
pub use run::Run;
pub use run_cursor::RunCursor;
pub use salvage::{SalvageCursor, SalvageHints, Skipped};
pub use table::Table;
pub use table_builder::{BuiltTable, MAX_VALUE_LEN, TableBuilder};
pub use table_cursor::TableCursor;
pub use table_id::TableId;
