//! Frozen views that can be read again and again.

use crate::{Cursor, KeyRange, Result, SequenceNumber, Value};

/// An engine that hands out frozen views.
pub trait Snapshots: Send + Sync {
    /// A view of the engine as it is now.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) after `close`.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>>;
}

/// A frozen view: every read answers as of the moment at which it was taken.
///
/// A view costs memory or disk space in proportion to the entries that are overwritten while it is open. An engine with a
/// budget for that ends old views with [`Error::SnapshotTooOld`](crate::Error::SnapshotTooOld).
pub trait Snapshot: Send + Sync {
    /// The newest write that the view contains.
    fn sequence(&self) -> SequenceNumber;

    /// As [`Kv::get_with`](crate::Kv::get_with), on the view.
    ///
    /// # Errors
    /// As there, and `SnapshotTooOld`.
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// The value of `key` in the view, owned.
    ///
    /// # Errors
    /// As [`Snapshot::get_with`].
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let mut value = None;
        self.get_with(key, &mut |bytes| value = Some(Value::copy_from_slice(bytes)))?;
        Ok(value)
    }

    /// A cursor over the entries of the view in `range`.
    ///
    /// # Errors
    /// As [`Kv::scan`](crate::Kv::scan), and `SnapshotTooOld`.
    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>>;
}
