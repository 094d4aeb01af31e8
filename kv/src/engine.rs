//! The engine itself.

use crate::{
    Capabilities, Cursor, Durability, KeyRange, Result, SequenceNumber, Stats, Value, WriteBatch,
};

/// A key-value engine. Keys are byte strings in byte order, of 0 to [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes.
///
/// Every call may come from any thread at any time. A batch is visible to all or to none; batches become visible in
/// the order of their sequence numbers. A crash leaves every write acknowledged as
/// [`Durability::Sync`] and a prefix of the rest, in whole batches. Dropping a handle without [`Kv::close`] neither
/// flushes nor blocks.
pub trait Kv: Send + Sync {
    /// Calls `found` with the value of `key` and returns `true`, or returns `false` without calling it.
    ///
    /// Nothing is allocated, copied or reference-counted for the caller. `found` runs inside the engine: it should be
    /// short and must not call the engine again.
    ///
    /// # Errors
    /// [`Error::Corruption`](crate::Error::Corruption) when the entry's bytes fail their check;
    /// [`Error::Io`](crate::Error::Io); [`Error::Closed`](crate::Error::Closed).
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// The value of `key`, owned.
    ///
    /// # Errors
    /// As [`Kv::get_with`].
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let mut value = None;
        self.get_with(key, &mut |bytes| value = Some(Value::copy_from_slice(bytes)))?;
        Ok(value)
    }

    /// Applies `batch` atomically and returns its place in the order of writes. An empty batch writes nothing and
    /// returns the newest number there is. The batch is borrowed, so that a caller can try again after
    /// [`Error::Stalled`](crate::Error::Stalled) and reuse its memory. Numbers go on across openings: the first write after one
    /// gets a higher number than every write that survived.
    ///
    /// # Errors
    /// Before anything is written, a capability that the engine lacks is refused as `Unsupported`. A key or value over its limit
    /// is refused as `InvalidArgument`.
    /// After [`Error::Io`](crate::Error::Io) the batch is not visible in this handle, and there or not there, whole,
    /// after reopening.
    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber>;

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Kv::write`].
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<SequenceNumber> {
        self.write(WriteBatch::new().put(key, value), durability)
    }

    /// Removes `key`, whether it is there or not.
    ///
    /// # Errors
    /// As [`Kv::write`].
    fn delete(&self, key: &[u8], durability: Durability) -> Result<SequenceNumber> {
        self.write(WriteBatch::new().delete(key), durability)
    }

    /// A cursor over the entries in `range` as they are now. It stays valid after [`Kv::close`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an inverted range;
    /// [`Error::Io`](crate::Error::Io); [`Error::Closed`](crate::Error::Closed).
    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>>;

    /// Makes every write acknowledged so far durable, as if each had been written with [`Durability::Sync`].
    ///
    /// # Errors
    /// A failed sync poisons the handle: see [`Error::Poisoned`](crate::Error::Poisoned).
    fn sync(&self) -> Result<()>;

    /// Refuses further calls, drains background work, makes everything durable and marks the store as cleanly closed.
    /// Closing again does nothing.
    ///
    /// # Errors
    /// The failure that kept the store from being closed cleanly; it opens again all the same, with a recovery.
    fn close(&self) -> Result<()>;

    /// The capabilities of this engine.
    fn capabilities(&self) -> Capabilities;

    /// The engine's counters as they are now. Any engine's typed statistics say more; these are for comparison.
    fn stats(&self) -> Stats;
}
