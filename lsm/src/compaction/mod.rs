//! The choice of the next compaction: pure functions of metadata.
//!
//! A [`Strategy`] sees the [`Tree`]: which files each sorted run of each level has, with their sizes, key ranges and counts
//! of tombstones. It answers with a [`Plan`]: the files to merge and the place of the output. It reads no file and no clock
//! and draws no random number, so tests and simulations run exactly the code that an engine runs.
//!
//! # Age
//!
//! A run has a [`Place`]: its level and its rank. A run in a deeper level is older; within a level the run with the lower rank
//! is older. For each key, older places hold older entries. Ranges of sequence numbers play no part: after a compaction of a
//! part of a run they overlap. The output of a plan takes the place of its oldest input, or a new place that no run of the
//! same keys lies beyond. [`Plan::check`] states the condition.
//!
//! # Several plans at once
//!
//! [`Busy`] has the input files and the output ranges of the plans in flight. A strategy makes no plan that needs a busy file,
//! writes into a busy range of a run, or moves entries past older ones.
//!
//! # Two thresholds
//!
//! A level whose score reaches [`Urgency::Eligible`] (85 % of its limit) may be compacted if the device is idle. From
//! [`Urgency::Mandatory`] (100 %) on it must be. A level of leveled compaction with 125 % takes nothing from above.
//!
//! # Space that can be reclaimed
//!
//! A file carries how many of its entries are tombstones, expired, or hidden by newer ones ([`Reclaimable`]). Files with many of
//! them are compacted; a file in which no reader finds a live entry goes without being read. A [`DropGuard`] says which
//! tombstones a compaction may leave out. Two horizons of the [`Tree`] stand for all readers: the sequence number of the oldest
//! snapshot, and the moment up to which entries have expired for each of them.
//!
//! Beside any strategy, [`pick_range`] compacts a range of keys that a user names, and [`pick_files`] files on which reads
//! waste time.
//!
//! # Threads
//!
//! [`Plan::parts`] divides a plan among threads. All entries of a key are in one part, and the outputs of all parts are
//! installed at once.
//!
//! # Strategies
//!
//! All of them work on every tree, whichever strategy made it, so that a store changes its strategy without a rewrite:
//! [`SizeTiered`], [`Leveled`], [`LazyLeveled`].

mod busy;
mod cutter;
mod draft;
mod drop_guard;
mod file;
mod invalid_options;
mod lazy_leveled;
mod leveled;
mod options;
mod overlap;
mod parts;
mod plan;
mod reclaim;
mod reclaim_options;
mod reclaimable;
mod requested;
mod run;
mod size_tiered;
mod strategy;
mod strategy_options;
mod tree;

pub use busy::Busy;
pub use cutter::OutputCutter;
pub use drop_guard::DropGuard;
pub use file::{File, FileId, Key};
pub use invalid_options::InvalidOptions;
pub use lazy_leveled::LazyLeveled;
pub use leveled::Leveled;
pub use options::{LazyLeveledOptions, LeveledOptions, SizeTieredOptions};
pub use parts::{Anchor, Part};
pub use plan::{Action, Input, Plan, Reason};
pub use reclaim_options::ReclaimOptions;
pub use reclaimable::{Expiry, RangeTombstone, Reclaimable, is_dense_block};
pub use requested::{pick_files, pick_range};
pub use run::{Level, Place, Rank, Run};
pub use size_tiered::SizeTiered;
pub use strategy::{Score, Strategy, Urgency};
pub use strategy_options::StrategyOptions;
pub use tree::Tree;
