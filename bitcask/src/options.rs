//! The options of an open store.

use durable::Env;

use crate::keydir::Limits;
use crate::steps::Steps;

/// How an open store behaves. None of it is stored: any choice opens any store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Disk, clock, threads and randomness. Default: the real ones, with two background threads.
    pub env: Env,
    /// Create the store when there is none. Default: yes.
    pub create: bool,
    /// When a data file has grown to this many bytes, the next one is begun. A batch that is larger gets a file of its
    /// own. At least 1 KiB, at most [`Options::MAX_DATA_FILE_BYTES`]. Default: 64 MiB.
    pub data_file_bytes: u64,
    /// How much disk space the store reserves, in bytes, for the day when it has filled the disk: then it can still delete,
    /// and merge files whose live records fit into the reserve. Until the disk has room for twice the reserve again, puts
    /// return `StorageFull`; so do deletes that find the reserve used up. Fewer than 4 KiB mean none, and more than
    /// [`Options::MAX_RESERVE_BYTES`] mean that. `None`, the default: 1/64 of `data_file_bytes`, at least 1 MiB, or none
    /// for data files of less than 256 KiB.
    ///
    /// A store with a reserve keeps a quarter of it besides, at least 32 KiB. Only openings, closes and edits of the manifest
    /// may use that. It is enough for so many data files as 1/400 of its bytes: an opening writes about 40 bytes for
    /// each, and may write them twice. Take a larger reserve for more files.
    pub reserve_bytes: Option<u64>,
    /// How sealed data files are read. Default: mapped.
    pub read: ReadMode,
    /// How much memory the undo lists of open snapshots may take, in bytes: about 200 and the key for each key that was
    /// overwritten since. When they take more, the oldest snapshots end with `SnapshotTooOld`. Default: 64 MiB.
    pub undo_bytes: u64,
    /// When files are merged in the background. `None`: only when [`Bitcask::merge`](crate::Bitcask::merge) is called,
    /// which takes the default thresholds if it lacks room for everything at once.
    pub merge: Option<MergeOptions>,
    /// How many keys the keydir takes. Smaller in tests only.
    pub(crate) keydir: Limits,
    /// Runs the named steps of the protocols.
    pub(crate) steps: Steps,
}

/// How sealed data files are read.
///
/// The table has thousands of gets a second. Two threads get random keys of 2 million values of 1 KiB (2.1 GB). There is memory
/// for all, half or a quarter of the data. The last column is fjall 3.1. A plain mapping asks for no access advice: each miss
/// reads 128 KiB ahead and evicts as much.
///
/// | memory | plain mapping | `Mapped` | `Positional` | fjall |
/// |---|---|---|---|---|
/// | all, in the page cache | | 1,675 | 787 | 166 |
/// | half of the data | 0.3 | 25.5 | 28.5 | 15.5 |
/// | a quarter of the data | 0.2 | 22.1 | 22.1 | 17.6 |
///
/// (The first row: 1.5 s, mean of two runs, a quiet machine. The others: 14 s, one run, a busy machine. A store whose data
/// is not in the page cache warms up by one page a get.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// In place, through a memory mapping: the fastest, and no memory of its own. If the disk fails to deliver a page,
    /// or somebody truncates a live file, the process gets `SIGBUS`.
    ///
    /// The checksum of a small record is verified by each read. That of a record of 4 KiB or more is verified by the first
    /// read since its file was opened or sealed. One bit for each 4 KiB of a file remembers it. If the disk damages a
    /// large record after that, and the kernel reads its pages again, a get returns the damaged bytes.
    /// [`Bitcask::verify`](crate::Bitcask::verify), merges and the next opening check everything again.
    #[default]
    Mapped,
    /// With one `pread(2)` for each value: slower, and a disk that fails to deliver a value is an error like any other.
    /// Each read verifies the checksum.
    /// Opening and verifying still map whole files.
    Positional,
}

/// When data files are merged in the background, and how far waste may go before writers feel it.
///
/// The waste of a file is the bytes of it that no key needs any more. Merging files that waste `trigger_percent` makes the
/// store write each byte about 100 / trigger times again; the lower the trigger, the smaller the store and the more is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeOptions {
    /// A sealed file that wastes this share of itself, in percent, causes a merge. Default: 60.
    pub trigger_percent: u8,
    /// A merge then also takes files that waste this share; more than `trigger_percent` means just that. Default: 40.
    pub include_percent: u8,
    /// With so many sealed files of less than a quarter of `data_file_bytes`, some are joined; at least 2. Default: 8.
    pub small_files: usize,
    /// Writers are slowed when the sealed files waste 85 % of this share of themselves, and wait when they waste all of it.
    /// At least `trigger_percent`. Default: 80.
    pub limit_percent: u8,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self { trigger_percent: 60, include_percent: 40, small_files: 8, limit_percent: 80 }
    }
}

impl MergeOptions {
    /// With `trigger_percent`. A lower one makes the store smaller, and merges rewrite more.
    pub fn trigger_percent(mut self, percent: u8) -> Self {
        self.trigger_percent = percent;
        self
    }

    /// With `include_percent`. A lower one makes merges larger and fewer.
    pub fn include_percent(mut self, percent: u8) -> Self {
        self.include_percent = percent;
        self
    }

    /// With `small_files`. Lower it if the store is opened and closed often, and files are few.
    pub fn small_files(mut self, files: usize) -> Self {
        self.small_files = files;
        self
    }

    /// With `limit_percent`. A higher one lets writers go on for longer when merges fall behind, and takes more space.
    pub fn limit_percent(mut self, percent: u8) -> Self {
        self.limit_percent = percent;
        self
    }
}

impl Options {
    /// The largest `data_file_bytes`.
    pub const MAX_DATA_FILE_BYTES: u64 = 1 << 30;

    /// The smallest `data_file_bytes`.
    pub const MIN_DATA_FILE_BYTES: u64 = 1 << 10;

    /// The largest `reserve_bytes`: 1 TiB.
    pub const MAX_RESERVE_BYTES: u64 = 1 << 40;

    /// The least space for openings and closes: some blocks of a file system.
    const LEAST_LAST_RESERVE: u64 = 32 << 10;

    /// The defaults, in the real world.
    pub fn new() -> Self {
        Self::in_env(Env::os(2))
    }

    /// The defaults, in `env`.
    pub fn in_env(env: Env) -> Self {
        Self {
            env,
            create: true,
            data_file_bytes: 64 << 20,
            reserve_bytes: None,
            read: ReadMode::default(),
            undo_bytes: 64 << 20,
            merge: Some(MergeOptions::default()),
            keydir: Limits::default(),
            steps: Steps::default(),
        }
    }

    /// With `data_file_bytes`, brought into its range.
    pub fn data_file_bytes(mut self, bytes: u64) -> Self {
        const { assert!(Self::MIN_DATA_FILE_BYTES <= Self::MAX_DATA_FILE_BYTES) };
        self.data_file_bytes = bytes.clamp(Self::MIN_DATA_FILE_BYTES, Self::MAX_DATA_FILE_BYTES);
        self
    }

    /// With `reserve_bytes`, at most [`Options::MAX_RESERVE_BYTES`].
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = Some(bytes.min(Self::MAX_RESERVE_BYTES));
        self
    }

    /// How much disk space to reserve, in bytes.
    pub(crate) fn reserve(&self) -> u64 {
        let least = if self.data_file_bytes < 256 << 10 { 0 } else { 1 << 20 };
        let usual = (self.data_file_bytes / 64).max(least);
        self.reserve_bytes.unwrap_or(usual).min(Self::MAX_RESERVE_BYTES)
    }

    /// How much of the disk to reserve for openings and closes besides a reserve of `reserve` bytes.
    pub(crate) fn last_reserve(reserve: u64) -> u64 {
        if reserve < 4 << 10 { 0 } else { (reserve / 4).max(Self::LEAST_LAST_RESERVE) }
    }

    /// With `read`.
    pub fn read(mut self, read: ReadMode) -> Self {
        self.read = read;
        self
    }

    /// With `undo_bytes`.
    pub fn undo_bytes(mut self, bytes: u64) -> Self {
        self.undo_bytes = bytes;
        self
    }

    /// With `merge`.
    pub fn merge(mut self, merge: Option<MergeOptions>) -> Self {
        self.merge = merge;
        self
    }

    /// With `create`.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }
}

#[cfg(feature = "planted")]
impl Options {
    /// With a hook that decides the fate of each protocol step: for tests that plant mistakes.
    #[doc(hidden)]
    pub fn hook(mut self, hook: crate::planted::Hook) -> Self {
        self.steps = Steps::with_hook(hook);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
