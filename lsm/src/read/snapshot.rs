//! Snapshots: a pinned number that can be read at.

use kv::{Cursor, KeyRange, Result, SequenceNumber, Snapshot};

use super::{ViewCursor, get};
use crate::expiring::ReadTime;
use crate::pins::Pin;
use crate::version::View;

/// The state of the store at a number and a time. It goes on answering when the store is closed or dropped.
///
/// It keeps at most one version of each key that would be gone otherwise. A cursor over it keeps the memtables and tables
/// of the time at which it was made.
#[derive(Debug)]
pub(crate) struct LsmSnapshot(pub(crate) Pin);

impl Snapshot for LsmSnapshot {
    fn sequence(&self) -> SequenceNumber {
        SequenceNumber(self.0.sequence())
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let time = ReadTime::At(self.0.now());
        get(&self.0.versions().load(), key, self.0.sequence(), time, found)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        let super_version = self.0.versions().load_full();
        let view = View { super_version, sequence: self.0.sequence(), now: self.0.now() };
        Ok(Box::new(ViewCursor::new(view, &range)?))
    }
}
