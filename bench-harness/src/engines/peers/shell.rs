//! What surrounds every peer: the refusals of the contract, a number for each write, and errors that name the store.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kv::{Capabilities, Durability, Error, Result, ScanSupport, SequenceNumber, WriteBatch};

/// The longest value of a peer that has no limit of its own below the contract's.
pub(super) const LONGEST_VALUE: usize = 1 << 30;

/// The part of an adapter that is the same for every peer.
#[derive(Debug)]
pub(super) struct Shell {
    path: PathBuf,
    capabilities: Capabilities,
    takes_empty_keys: bool,
    is_closed: AtomicBool,
    acknowledged: AtomicU64,
}

impl Shell {
    /// The shell of an ordered engine in `directory` that keeps writes of the class `durability`.
    pub(super) fn new(directory: &Path, durability: Durability) -> Self {
        let capabilities =
            Capabilities::new(ScanSupport::Ordered, durability).with_max_value_len(LONGEST_VALUE);
        Self {
            path: directory.to_path_buf(),
            capabilities,
            takes_empty_keys: true,
            is_closed: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
        }
    }

    /// The same for an engine that knows no empty key.
    pub(super) fn without_empty_keys(self) -> Self {
        Self { takes_empty_keys: false, ..self }
    }

    /// The same for an engine with shorter values.
    pub(super) fn with_longest_value(mut self, max_value_len: usize) -> Self {
        self.capabilities.max_value_len = max_value_len;
        self
    }

    /// What the engine can do.
    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Refuses calls after [`Shell::close`].
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Relaxed) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether the engine can hold `key`; where it cannot, a get finds nothing.
    pub(super) fn can_hold(&self, key: &[u8]) -> bool {
        self.takes_empty_keys || !key.is_empty()
    }

    /// Refuses a batch that the engine cannot apply; `Ok(false)` means that there is nothing to do.
    pub(super) fn admit(&self, batch: &WriteBatch) -> Result<bool> {
        self.check_open()?;
        self.capabilities.check(batch)?;
        if batch.ops().any(|op| !self.can_hold(op.key())) {
            return Err(Error::Unsupported("empty keys"));
        }
        Ok(!batch.is_empty())
    }

    /// Numbers a write. Peers do not tell the places of writes in their order, so this counts acknowledgements.
    pub(super) fn acknowledge(&self) -> SequenceNumber {
        SequenceNumber(self.acknowledged.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The number of the newest write.
    pub(super) fn newest(&self) -> SequenceNumber {
        SequenceNumber(self.acknowledged.load(Ordering::Relaxed))
    }

    /// Begins to refuse calls; `false` when it did before.
    pub(super) fn close(&self) -> bool {
        !self.is_closed.swap(true, Ordering::Relaxed)
    }

    /// Turns what the engine says about a failed `op` into an error of the house.
    pub(super) fn failed<E: Display>(&self, op: &'static str) -> impl FnOnce(E) -> Error {
        let path = self.path.clone();
        move |error| failure(op, &path, &error)
    }
}

/// The error of a failed `op` on the store at `path`, for those who have no shell.
pub(super) fn failure(op: &'static str, path: &Path, error: &dyn Display) -> Error {
    Error::io(op, path, std::io::Error::other(error.to_string()))
}
