//! The set of data files that readers see: a table that is published as a whole, and replaced for each change.
//!
//! A reader loads the table without a lock. A file enters the table before the keydir names it, and leaves it when the
//! keydir no longer does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use durable::log::{Segment, SegmentHeader};
use durable::sync::{Mutex, Published};
use kv::Result;

use crate::data_file::{DataFile, FileTable};
use crate::file_handle::{FileHandle, FileRegistry};
use crate::keydir::{Keydir, Location};
use crate::lock_order::Lock;
use crate::options::ReadMode;
use crate::state::Sealed;
use crate::store::Store;

/// The published table of data files.
#[derive(Debug)]
pub(crate) struct FileSet {
    store: Arc<Store>,
    read: ReadMode,
    registry: Arc<FileRegistry>,
    table: Arc<Published<FileTable>>,
    /// Guards the change of `table`: held while a new table is made from the old one.
    change: Mutex<()>,
}

impl FileSet {
    /// The set of the files in `table`, all of which have handles of `registry`.
    pub(crate) fn new(
        store: Arc<Store>,
        read: ReadMode,
        registry: Arc<FileRegistry>,
        table: FileTable,
    ) -> Self {
        let table = Arc::new(Published::new(Arc::new(table)));
        let change = Mutex::ranked(Lock::FileTable.rank(), ());
        Self { store, read, registry, table, change }
    }

    /// The files as they are now, for a short look.
    #[inline]
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<FileTable>> {
        self.table.load()
    }

    /// The files as they are now, to keep.
    pub(crate) fn load_full(&self) -> Arc<FileTable> {
        self.table.load_full()
    }

    /// The table itself, for a snapshot that outlives the store.
    pub(crate) fn shared(&self) -> Arc<Published<FileTable>> {
        Arc::clone(&self.table)
    }

    pub(crate) fn registry(&self) -> &FileRegistry {
        &self.registry
    }

    /// Adds a data file that is being written, and returns its handle.
    ///
    /// # Errors
    /// `InvalidArgument` when there are too many files.
    pub(crate) fn add_active(&self, segment: Arc<Segment>) -> Result<Arc<FileHandle>> {
        debug_assert!(self.load().with_id(segment.id()).is_none(), "an id is used once");
        let handle = self.registry.register(segment.id())?;
        handle.first_expiry.learn(None);
        self.insert([Arc::new(DataFile::active(segment, Arc::clone(&handle)))]);
        Ok(handle)
    }

    /// Opens a sealed file that the set does not have yet.
    ///
    /// # Errors
    /// `InvalidArgument` when there are too many files; `Io`.
    pub(crate) fn open_sealed(
        &self,
        header: SegmentHeader,
        path: &Path,
        sealed: &Sealed,
    ) -> Result<DataFile> {
        let id = header.identity.id;
        debug_assert!(self.load().with_id(id).is_none(), "the set does not have it");
        let handle = self.registry.register(id)?;
        handle.first_expiry.learn(sealed.expiring.first());
        DataFile::sealed(self.store.fs(), path, header, self.read, handle)
    }

    /// Replaces a file that was written by its sealed form, if the set still has it.
    ///
    /// # Errors
    /// `Io`: the file is read through its segment as before.
    pub(crate) fn reopen_sealed(&self, header: SegmentHeader, path: &Path) -> Result<()> {
        let Some(active) = self.load().with_id(header.identity.id).cloned() else { return Ok(()) };
        let handle = Arc::clone(&active.handle);
        let sealed = DataFile::sealed(self.store.fs(), path, header, self.read, handle)?;
        assert_eq!(sealed.handle.number, active.handle.number, "a file keeps its number");
        self.insert([Arc::new(sealed)]);
        Ok(())
    }

    /// Publishes a table that has `files`, too. A file takes the place of an earlier form of it.
    pub(crate) fn insert(&self, files: impl IntoIterator<Item = Arc<DataFile>>) {
        self.change(|table| files.into_iter().for_each(|file| table.insert(file)));
    }

    /// Publishes a table without `files`. Readers that loaded an earlier table go on reading them.
    pub(crate) fn take_out(&self, files: &[Arc<DataFile>]) {
        self.change(|table| {
            for file in files {
                let taken = table.remove(file.handle.number);
                debug_assert!(taken.is_some_and(|taken| taken.id == file.id), "the file was there");
            }
        });
    }

    /// Prepares the mapping of one more sealed file for reads. `false`: there is none left.
    pub(crate) fn populate_next(&self) -> bool {
        self.load_full().iter().any(|file| file.populate())
    }

    fn change(&self, change: impl FnOnce(&mut FileTable)) {
        let _changing = self.change.lock();
        let mut table = FileTable::clone(&self.table.load_full());
        change(&mut table);
        self.table.store(Arc::new(table));
    }

    /// Checks that the live counts of all files are the sums over `keydir`. No batch may be applied meanwhile.
    ///
    /// # Panics
    /// When a count is wrong.
    pub(crate) fn assert_live_counts(&self, keydir: &Keydir) {
        let mut sums: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
        keydir.visit_loaded(&mut |_, _, location| {
            if let Some(Location { file, len, .. }) = location {
                let (records, bytes) = sums.entry(file).or_default();
                *records += 1;
                *bytes += len;
            }
        });
        for file in self.load().iter() {
            let live = &file.handle.live;
            let counted = (live.records(), live.bytes());
            let sum = sums.get(&file.handle.number).copied().unwrap_or_default();
            assert_eq!(counted, sum, "records and bytes of data file {} that are live", file.id);
        }
    }
}
