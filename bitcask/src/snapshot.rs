//! Snapshots: a view that can be read. A scan collects its keys from one, too.

use std::fmt;
use std::sync::Arc;

use durable::sync::Published;
use kv::{Cursor, KeyRange, Result, SequenceNumber, Snapshot};

use crate::data_file::FileTable;
use crate::keydir::Keydir;
use crate::scan::SortingCursor;
use crate::views::View;

/// A view of an open store. It goes on answering when the store is closed or dropped.
pub(crate) struct BitcaskSnapshot {
    pub(crate) view: View,
    pub(crate) keydir: Arc<Keydir>,
    pub(crate) files: Arc<Published<FileTable>>,
}

impl BitcaskSnapshot {
    /// A cursor over the entries in `range`. It needs the view no longer.
    pub(crate) fn cursor(&self, range: &KeyRange) -> Result<SortingCursor> {
        let collection = self.keydir.collect(range, self.view.sequence());
        // A file that the keydir has named is in the table now, or a merge has retired it since. If the view was open then,
        // it holds the file. So the check comes last: it proves that the view was open all the time.
        let files = self.view.all_files(&self.files.load_full());
        self.view.check()?;
        Ok(SortingCursor::new(collection, files, self.view.now()))
    }
}

impl Snapshot for BitcaskSnapshot {
    fn sequence(&self) -> SequenceNumber {
        SequenceNumber(self.view.sequence())
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let version = self.keydir.get_at(key, self.view.sequence());
        let file = version.and_then(|version| self.view.file(&self.files.load(), version.location));
        // Last: a view that is given up no longer holds files, and their numbers may go to others.
        self.view.check()?;
        let Some(version) = version else { return Ok(false) };
        let file = file.expect("an open view holds the files that it sees");
        debug_assert!(version.sequence <= self.view.sequence(), "the view sees the version");
        file.read_value(version.location, key, &|| self.view.now(), found)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        Ok(Box::new(self.cursor(&range)?))
    }
}

impl fmt::Debug for BitcaskSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitcaskSnapshot").field("view", &self.view).finish_non_exhaustive()
    }
}
