//! The state that all adapters share: the refusals of the contract, a number for each write, and errors that name the store.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kv::{
    Capabilities, Durability, Error, MAX_KEY_LEN, Result, ScanSupport, SequenceNumber, WriteBatch,
};

/// The longest value of a peer that has no limit of its own below the contract's.
pub(super) const LONGEST_VALUE: usize = kv::MIN_VALUE_LIMIT;

/// The state of an adapter besides its engine.
#[derive(Debug)]
pub(super) struct AdapterState {
    path: PathBuf,
    capabilities: Capabilities,
    takes_empty_keys: bool,
    longest_key: usize,
    is_closed: AtomicBool,
    acknowledged: AtomicU64,
}

impl AdapterState {
    /// The state of an ordered engine in `directory` that keeps writes of the class `durability`.
    pub(super) fn new(directory: &Path, durability: Durability) -> Self {
        let capabilities =
            Capabilities::new(ScanSupport::Ordered, durability).with_max_value_len(LONGEST_VALUE);
        Self {
            path: directory.to_path_buf(),
            capabilities,
            takes_empty_keys: true,
            longest_key: MAX_KEY_LEN,
            is_closed: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
        }
    }

    /// The same for an engine that knows no empty key.
    pub(super) fn without_empty_keys(self) -> Self {
        Self { takes_empty_keys: false, ..self }
    }

    /// The same for an engine with shorter keys.
    pub(super) fn with_longest_key(self, longest_key: usize) -> Self {
        assert!(longest_key <= MAX_KEY_LEN);
        Self { longest_key, ..self }
    }

    /// The same for an engine with shorter values.
    pub(super) fn with_longest_value(mut self, max_value_len: usize) -> Self {
        self.capabilities.max_value_len = max_value_len;
        self
    }

    /// The capabilities of the engine.
    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Refuses calls after [`AdapterState::close`].
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Relaxed) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether the engine can hold `key`; where it cannot, a get finds nothing.
    pub(super) fn can_hold(&self, key: &[u8]) -> bool {
        (self.takes_empty_keys || !key.is_empty()) && key.len() <= self.longest_key
    }

    /// Checks a batch: `Err` if the engine cannot apply it, `Ok(false)` if there is nothing to do.
    pub(super) fn check_batch(&self, batch: &WriteBatch) -> Result<bool> {
        self.check_open()?;
        self.capabilities.check(batch)?;
        match batch.ops().find(|op| !self.can_hold(op.key())) {
            None => Ok(!batch.is_empty()),
            Some(op) if op.key().is_empty() => Err(Error::Unsupported("empty keys")),
            Some(op) => {
                let (len, limit) = (op.key().len(), self.longest_key);
                Err(Error::InvalidArgument(format!(
                    "a key of {len} bytes; the engine takes {limit}"
                )))
            }
        }
    }

    /// Applies `batch` with `apply`, unless there is nothing to do, and numbers the write.
    pub(super) fn write<E: Display>(
        &self,
        batch: &WriteBatch,
        apply: impl FnOnce() -> std::result::Result<(), E>,
    ) -> Result<SequenceNumber> {
        if !self.check_batch(batch)? {
            return Ok(self.newest());
        }
        apply().map_err(self.failed("write"))?;
        Ok(self.acknowledge())
    }

    /// Syncs with `sync`, unless the engine is closed.
    pub(super) fn sync<E: Display>(
        &self,
        sync: impl FnOnce() -> std::result::Result<(), E>,
    ) -> Result<()> {
        self.check_open()?;
        sync().map_err(self.failed("sync"))
    }

    /// Numbers a write. Peers do not tell the order of writes, so this counts acknowledgements.
    pub(super) fn acknowledge(&self) -> SequenceNumber {
        SequenceNumber(self.acknowledged.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The number of the newest write.
    pub(super) fn newest(&self) -> SequenceNumber {
        SequenceNumber(self.acknowledged.load(Ordering::Relaxed))
    }

    /// Refuses calls from now on, and ends the engine with `finish`. Closing again does nothing.
    pub(super) fn close<E: Display>(
        &self,
        finish: impl FnOnce() -> std::result::Result<(), E>,
    ) -> Result<()> {
        if self.is_closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        finish().map_err(self.failed("close"))
    }

    /// Turns the engine's own error of a failed `op` into one of the contract.
    pub(super) fn failed<E: Display>(&self, op: &'static str) -> impl FnOnce(E) -> Error {
        let path = self.path.clone();
        move |error| failure(op, &path, &error)
    }
}

/// The error of a failed `op` on the store at `path`, for views, which have no adapter state.
pub(super) fn failure(op: &'static str, path: &Path, error: &dyn Display) -> Error {
    Error::io(op, path, std::io::Error::other(error.to_string()))
}
