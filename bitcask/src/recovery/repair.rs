//! Putting a store in order after a crash, once its manifest is open for writing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::chain::{ChainTail, RepairChain, TailSegment};
use durable::manifest::Manifest;
use durable::publish::{PublishedFile, publish_in_place};
use durable::store_dir::StoreDir;
use durable::{DiskReserve, Fs, Mapped, read_whole};
use kv::{Error, Result};

use super::FileHandles;
use crate::data_file::{DataFile, FileTable};
use crate::files::DATA;
use crate::options::Options;
use crate::sealed_file::{describe, write_hint};
use crate::state::{Edit, State};
use crate::steps::Step;

/// A store that is being repaired.
#[derive(Clone, Copy)]
pub(super) struct Repair<'r> {
    pub(super) dir: &'r StoreDir,
    pub(super) manifest: &'r Manifest<State>,
    pub(super) last_reserve: &'r DiskReserve,
}

impl Repair<'_> {
    /// Removes the unsealed files that are not kept from the manifest, then unlinks them. Seals the others.
    ///
    /// # Errors
    /// `Io`. The next opening goes on with the repair.
    pub(super) fn repair_tail(self, tail: &ChainTail, options: &Options) -> Result<()> {
        let (mut discarding, mut sealing) = (self, self);
        let discard = || tail.discard_segments(&mut discarding);
        let seal = || tail.seal_segments(self.fs(), &mut sealing);
        options.steps.in_order((Step::DiscardTail, discard), (Step::SealTail, seal))
    }

    /// Rewrites the hint file of a sealed file, because the hint was not valid.
    ///
    /// # Errors
    /// `Io`; `Corruption` of the data file.
    pub(super) fn renew_hint(&self, id: u64) -> Result<()> {
        let state = self.manifest.state();
        let Some(Some(sealed)) = state.files.get(&id) else { return Ok(()) };
        let path = self.dir.file(&DATA.name(id));
        let file = self.fs().open(&path)?;
        let header = sealed.header(self.manifest.store_id(), id);
        let bytes = read_whole(&*file)?;
        let (described, hint) = describe(bytes.bytes(), header, &path, &mut |_, _| ())?;
        // Without space for a hint, or if another program's entry has its name, the file has no hint.
        let Some(hint) = write_hint(self.fs(), self.dir.path(), id, &hint)? else {
            return Ok(());
        };
        let published = publish_in_place(self.fs(), &*file)?;
        self.edit(&Edit::seal(&published, Some(hint), described))
    }

    /// The table of the files that the manifest names, all of which are sealed by now.
    ///
    /// # Errors
    /// `Io`; `Corruption` when a file is not sealed or was not loaded.
    pub(super) fn open_files(&self, handles: &FileHandles, options: &Options) -> Result<FileTable> {
        let mut table = FileTable::default();
        for (&id, sealed) in &self.manifest.state().files {
            let path = self.dir.file(&DATA.name(id));
            let (Some(sealed), Some(handle)) = (sealed, handles.get(&id)) else {
                let what = "the manifest names this file, and recovery has not sealed it";
                return Err(Error::corruption(path, 0, what));
            };
            let header = sealed.header(self.manifest.store_id(), id);
            handle.first_expiry.learn(sealed.expiring.first());
            let (fs, handle) = (self.fs(), Arc::clone(handle));
            debug_assert!(table.get(handle.number).is_none(), "each file has a number of its own");
            table.insert(Arc::new(DataFile::sealed(fs, &path, header, options.read, handle)?));
        }
        Ok(table)
    }

    fn edit(&self, edit: &Edit) -> Result<()> {
        self.last_reserve.lend(|| self.manifest.append(edit))
    }

    fn fs(&self) -> &dyn Fs {
        &**self.dir.fs()
    }

    fn data_path(&self, id: u64) -> PathBuf {
        self.dir.file(&DATA.name(id))
    }
}

impl RepairChain for Repair<'_> {
    fn path(&self, id: u64) -> PathBuf {
        self.data_path(id)
    }

    fn discard(&mut self, id: u64) -> Result<()> {
        self.edit(&Edit::remove(id))?;
        // The file is an orphan now. If it cannot be removed, the next opening removes it.
        drop(self.fs().remove(&self.data_path(id)));
        Ok(())
    }

    fn seal(
        &mut self,
        segment: &TailSegment,
        bytes: &dyn Mapped,
        file: PublishedFile,
    ) -> Result<()> {
        let (id, path): (u64, &Path) = (segment.id(), file.path());
        let (sealed, hint) = describe(bytes.bytes(), segment.header, path, &mut |_, _| ())?;
        assert_eq!(file.len_bytes(), sealed.len, "all of the file is durable and read back");
        assert_eq!(sealed.len, segment.len, "a kept segment is exactly the part that was kept");
        let hint = write_hint(self.fs(), self.dir.path(), id, &hint)?;
        self.edit(&Edit::seal(&file, hint, sealed))
    }
}
