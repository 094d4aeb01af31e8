//! Files that survive crashes.
//!
//! Everything below an engine: the file system as a trait ([`Fs`]), the real one ([`OsFs`]) and a simulated one that
//! can be cut off at any operation; clocks, threads and randomness that a test can step by hand ([`Env`]); and the
//! protocols that no engine should write twice.
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(not(all(unix, target_pointer_width = "64")))]
compile_error!("this workspace supports 64-bit Linux (and macOS, best effort) only");

pub mod background;
mod checksum;
mod clock;
pub mod coding;
mod entropy;
mod env;
mod executor;
mod fan_out;
mod file_writer;
mod fs;
mod identity;
mod inject;
mod leftover;
mod lock_order;
pub mod log;
pub mod manifest;
mod memory;
mod monotonic_clock;
pub mod new_store;
mod open_store;
pub mod orphan_segments;
mod os_fs;
pub mod publish;
mod read_only_fs;
pub mod reclaim;
mod reserve;
mod sim_fs;
pub mod steps;
pub mod store_dir;
pub mod sync;
pub mod throttle;

/// The error of this crate, so that it can be used without `kv`.
pub use kv::{Error, Result};

pub use checksum::{crc32, seeded_crc32};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use env::Env;
pub use executor::{Executor, Job, JobClass, JobFailure, JobGroup, ManualExecutor, ThreadPool};
pub use fan_out::fan_out;
pub use file_writer::{FileWriter, WrittenFile};
pub use fs::{
    Access, Entry, EntryKind, File, Fs, Lock, LockMode, LogFile, Mapped, copy_whole, read_whole,
};
pub use identity::{Stamp, StoreId};
pub use inject::{Call, Fault, Inject, OnCall, OpKind, Plan};
pub use memory::{prefer_huge_pages, prefetch_lines};
pub use monotonic_clock::MonotonicClock;
pub use open_store::OpenStore;
pub use os_fs::{LogBackend, OsFs, page_cache_bytes};
pub use read_only_fs::{MappedPrefix, ReadOnlyFs};
pub use reserve::{DiskReserve, is_disk_full};
pub use sim_fs::{CrashSweep, MetadataModel, SimFs, SyncFailure, Variant};
