//! What can be chosen when a store is opened.

use durable::Env;

/// How an open store behaves. None of it is stored: any choice opens any store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Disk, clock, threads and randomness. Default: the real ones, with one background thread.
    pub env: Env,
    /// Create the store when there is none. Default: yes.
    pub create: bool,
    /// When a data file has grown to this many bytes, the next one is begun. A batch that is larger gets a file of its
    /// own. At least 1 KiB, at most [`Options::MAX_DATA_FILE_BYTES`]. Default: 64 MiB.
    pub data_file_bytes: u64,
    /// How sealed data files are read. Default: mapped.
    pub read: ReadMode,
    /// A mistake to make. Default: none.
    #[cfg(feature = "planted")]
    pub planted: Option<crate::planted::Mistake>,
}

/// How sealed data files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// In place, through a memory mapping: the fastest, and no memory of its own. If the disk fails to deliver a page,
    /// or somebody truncates a live file, the process gets `SIGBUS`.
    #[default]
    Mapped,
    /// With one `pread(2)` for each value: slower, and a disk that fails to deliver a value is an error like any other.
    /// Opening and verifying still map whole files.
    Positional,
}

impl Options {
    /// The largest `data_file_bytes`.
    pub const MAX_DATA_FILE_BYTES: u64 = 1 << 30;

    /// The smallest `data_file_bytes`.
    pub const MIN_DATA_FILE_BYTES: u64 = 1 << 10;

    /// The defaults, in the real world.
    pub fn new() -> Self {
        Self::in_env(Env::os(1))
    }

    /// The defaults, in `env`.
    pub fn in_env(env: Env) -> Self {
        Self {
            env,
            create: true,
            data_file_bytes: 64 << 20,
            read: ReadMode::default(),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// With `data_file_bytes`, brought into its range.
    pub fn data_file_bytes(mut self, bytes: u64) -> Self {
        self.data_file_bytes = bytes.clamp(Self::MIN_DATA_FILE_BYTES, Self::MAX_DATA_FILE_BYTES);
        self
    }

    /// With `read`.
    pub fn read(mut self, read: ReadMode) -> Self {
        self.read = read;
        self
    }

    /// With `create`.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
