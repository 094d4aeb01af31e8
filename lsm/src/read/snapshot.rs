//! Snapshots: a view that can be read.

use kv::{Cursor, KeyRange, Result, SequenceNumber, Snapshot};

use super::{ViewCursor, get};
use crate::version::View;

/// A view of an open store. It goes on answering when the store is closed or dropped. It keeps the memtables and the tables
/// that it sees.
#[derive(Debug)]
pub(crate) struct LsmSnapshot(pub(crate) View);

impl Snapshot for LsmSnapshot {
    fn sequence(&self) -> SequenceNumber {
        SequenceNumber(self.0.sequence)
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&self.0.super_version, key, self.0.sequence, found)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(ViewCursor::new(self.0.clone(), &range)?))
    }
}
