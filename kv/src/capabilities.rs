//! The capabilities of an engine, and the one place where a request for another one is refused.

use crate::{Durability, Error, Result, WriteBatch};

/// The longest key of the contract, in bytes.
pub const MAX_KEY_LEN: usize = 65_535;

/// The least that the longest value of an engine may have, in bytes: 1 GiB.
pub const MIN_VALUE_LIMIT: usize = 1 << 30;

/// The capabilities of an engine. Constant for the life of a handle.
///
/// ```
/// use kv::{Capabilities, Durability, ScanSupport};
/// let able = Capabilities::new(ScanSupport::Ordered, Durability::Sync).with_expiry();
/// assert!(able.expiry && !able.range_delete);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// How a scan finds the next key.
    pub scan: ScanSupport,
    /// The strongest promise that writes can get; a stronger request is served with this one.
    pub durability: Durability,
    /// Whether entries can expire.
    pub expiry: bool,
    /// Whether batches can delete ranges.
    pub range_delete: bool,
    /// The longest value in bytes; at least [`MIN_VALUE_LIMIT`].
    pub max_value_len: usize,
}

/// How a scan finds the next key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanSupport {
    /// Entries lie in key order: opening a scan costs one search.
    Ordered,
    /// Opening a scan visits every key and sorts the matching ones.
    Sorting,
}

impl Capabilities {
    /// The least that an engine can do: neither expiry nor range deletion, values of up to [`MIN_VALUE_LIMIT`] bytes.
    pub const fn new(scan: ScanSupport, durability: Durability) -> Self {
        let (expiry, range_delete, max_value_len) = (false, false, MIN_VALUE_LIMIT);
        Self { scan, durability, expiry, range_delete, max_value_len }
    }

    /// Entries can expire.
    #[must_use]
    pub const fn with_expiry(self) -> Self {
        Self { expiry: true, ..self }
    }

    /// Batches can delete ranges.
    #[must_use]
    pub const fn with_range_delete(self) -> Self {
        Self { range_delete: true, ..self }
    }

    /// The longest value has `bytes` bytes.
    ///
    /// # Panics
    /// When that is less than [`MIN_VALUE_LIMIT`]: the contract promises as much.
    #[must_use]
    pub const fn with_max_value_len(self, bytes: usize) -> Self {
        assert!(bytes >= MIN_VALUE_LIMIT, "the contract promises longer values");
        Self { max_value_len: bytes, ..self }
    }

    /// Refuses a batch that the engine cannot apply. An engine calls this before it writes anything.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key or value over its limit or an inverted range; [`Error::Unsupported`] for
    /// an expiry or a range deletion that the engine lacks.
    pub fn check(&self, batch: &WriteBatch) -> Result<()> {
        if !self.range_delete && !batch.delete_ranges().is_empty() {
            return Err(Error::Unsupported("range deletion"));
        }
        for range in batch.delete_ranges() {
            range.check()?;
        }
        for op in batch.ops() {
            if !self.expiry && matches!(op, crate::Op::PutExpiring { .. }) {
                return Err(Error::Unsupported("expiry"));
            }
            self.check_entry(op.key(), op.value())?;
        }
        Ok(())
    }

    /// Refuses a key or a value over its limit.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the length and the limit.
    pub fn check_entry(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let over = |what, len: usize, limit| {
            Error::InvalidArgument(format!("{what} of {len} bytes; the limit is {limit}"))
        };
        if key.len() > MAX_KEY_LEN {
            return Err(over("a key", key.len(), MAX_KEY_LEN));
        }
        if value.len() > self.max_value_len {
            return Err(over("a value", value.len(), self.max_value_len));
        }
        Ok(())
    }
}
