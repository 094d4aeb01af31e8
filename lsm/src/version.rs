//! What readers see: memtables and tables as one immutable value, and the number of the newest visible batch.
//!
//! **Version**: the runs of tables that the manifest names, the newest first.
//!
//! **Super version**: the active memtable, the sealed ones and the version. It is replaced as a whole:
//! - *Seal*, inside the commit section: the active memtable becomes the newest sealed one, and an empty one becomes active.
//! - *Install*, at the end of a flush or a compaction: an edit of the manifest changes tables, and a version with the change
//!   comes. With a flush the oldest sealed memtable goes. So there is no moment at which a reader finds an entry twice or
//!   not at all. Edit and install are one critical section, so versions come in the order of the edits.
//!
//! # History
//!
//! A compaction drops versions that no reader needs. The *history floor* of a version is the number from which on it has all
//! that a reader needs. It is never above a number that was visible before the version was installed.
//!
//! A get loads the super version without a lock or a reference count. Then it reads the visible number, which is not below
//! the history floor of that version. A write that becomes visible after the first step can be missed. The get runs at the
//! same time as that write, so it may come before it.
//!
//! A [`View`] keeps a super version. It reads the visible number first. Every batch up to that number was in a memtable
//! before. So the super version that is loaded afterwards has the batch, in a memtable or a table. If a compaction was
//! installed in between, the history floor may be above the number. Then the reader starts over.

mod tables;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::MonotonicClock;
use durable::log::Position;
use durable::sync::atomic::AtomicU64;
use durable::sync::{Mutex, Published};
use kv::Result;

use crate::entry_tree::spare::SpareMemory;
use crate::lock_order::Lock;
use crate::memtable::Memtable;
use crate::open_tables::OpenTables;
use crate::state::State;
use crate::steps::{Step, Steps};
use crate::table_file::{TableFile, TableOpener};
pub(crate) use tables::Version;

/// A memtable that gets no more writes.
#[derive(Debug)]
pub(crate) struct SealedMemtable {
    pub(crate) memtable: Arc<Memtable>,
    /// The newest batch in it. Every earlier batch is in it, in an older memtable or in a table.
    pub(crate) newest: u64,
    /// Where its newest batch ends in the log.
    pub(crate) log_end: Position,
}

/// All that a reader needs. Immutable, apart from inserts into the active memtable.
#[derive(Debug)]
pub(crate) struct SuperVersion {
    pub(crate) active: Arc<Memtable>,
    /// The newest first.
    pub(crate) sealed: Vec<Arc<SealedMemtable>>,
    pub(crate) version: Arc<Version>,
    pub(crate) steps: Steps,
}

impl SuperVersion {
    /// The memtables, the newest first.
    #[inline]
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.sealed.iter().map(|sealed| &sealed.memtable))
    }
}

/// A super version, a number and a time, which together never change.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) super_version: Arc<SuperVersion>,
    pub(crate) sequence: u64,
    /// In milliseconds since 1970. Entries that end up to it have expired.
    pub(crate) now: u64,
}

/// Opens `table`, and reads its range tombstones. What cannot be opened now is opened, or reported, when it is read.
fn open(table: &Arc<TableFile>) {
    drop(table.table());
    drop(table.fragments());
}

/// The present super version.
#[derive(Debug)]
pub(crate) struct VersionSet {
    current: Published<SuperVersion>,
    /// The newest visible batch.
    visible: AtomicU64,
    /// Held from the edit of the manifest that changes tables to the end of its install.
    installing: Mutex<()>,
    /// Held while the super version is replaced.
    change: Mutex<()>,
    /// For the next memtable.
    spare: Arc<SpareMemory>,
    opener: TableOpener,
    clock: Arc<MonotonicClock>,
    steps: Steps,
}

impl VersionSet {
    /// Empty memtables over `version`, whose newest batch has the number `visible`.
    pub(crate) fn new(
        version: Version,
        visible: u64,
        opener: TableOpener,
        spare: Arc<SpareMemory>,
        clock: Arc<MonotonicClock>,
        steps: Steps,
    ) -> Self {
        let (active, sealed) = (Arc::new(Memtable::in_memory_of(&spare)), Vec::new());
        let version = Arc::new(version);
        let super_version = SuperVersion { active, sealed, version, steps: steps.clone() };
        Self {
            current: Published::new(Arc::new(super_version)),
            visible: AtomicU64::new(visible),
            installing: Mutex::ranked(Lock::Install.rank(), ()),
            change: Mutex::ranked(Lock::SuperVersion.rank(), ()),
            spare,
            opener,
            clock,
            steps,
        }
    }

    /// The super version for a short look.
    #[inline]
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<SuperVersion>> + use<> {
        self.current.load()
    }

    /// The super version, to keep.
    pub(crate) fn load_full(&self) -> Arc<SuperVersion> {
        self.current.load_full()
    }

    /// The number of the newest visible batch.
    #[inline]
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Batch `sequence` and all earlier ones are in the memtables, and every read sees them from now on.
    #[inline]
    pub(crate) fn publish(&self, sequence: u64) {
        let before = self.visible.swap(sequence, Ordering::AcqRel);
        debug_assert!(before < sequence, "batches become visible in the order of their numbers");
    }

    /// The time on the clock of the store, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().0
    }

    /// All that is visible now, to keep.
    pub(crate) fn view(&self) -> View {
        loop {
            // In this order: see the module.
            let sequence = self.visible();
            let super_version = self.load_full();
            if super_version.version.history_floor <= sequence {
                // Behind the super version: compactions took entries out of it that had expired before.
                let now = self.now();
                return View { super_version, sequence, now };
            }
            // A compaction was installed in between. The visible number was above its floor by then.
        }
    }

    /// The active memtable becomes `sealed`, and an empty one, which is returned, becomes active. Inside the commit section.
    pub(crate) fn seal(&self, newest: u64, log_end: Position) -> Arc<Memtable> {
        let _one_at_a_time = self.change.lock();
        let before = self.load_full();
        debug_assert!(before.sealed.first().is_none_or(|last| last.newest < newest), "in order");
        debug_assert!(!before.active.is_empty(), "an empty memtable is not sealed");
        let sealed = SealedMemtable { memtable: Arc::clone(&before.active), newest, log_end };
        let sealed = std::iter::once(Arc::new(sealed)).chain(before.sealed.iter().cloned());
        let active = Arc::new(Memtable::in_memory_of(&self.spare));
        let version = Arc::clone(&before.version);
        let (active_too, sealed, steps) =
            (Arc::clone(&active), sealed.collect(), self.steps.clone());
        let after = SuperVersion { active: active_too, sealed, version, steps };
        self.current.store(Arc::new(after));
        active
    }

    /// Has `edit` change tables in the manifest, and shows readers the state that it returns, with that edit. `flushed`: the
    /// oldest sealed memtable, whose entries are in the new tables. It goes in the same step. All that changes tables comes
    /// through here. Opens the new tables as soon as they are shown: they will be read.
    ///
    /// # Errors
    /// Those of `edit`: readers see what they saw before.
    ///
    /// # Panics
    /// When an older memtable is sealed.
    pub(crate) fn install(
        &self,
        flushed: Option<&Arc<SealedMemtable>>,
        edit: impl FnOnce() -> Result<Arc<State>>,
    ) -> Result<()> {
        let in_the_order_of_edits = self.installing.lock();
        let state = edit()?;
        let known = Arc::clone(&self.load().version);
        let version = Arc::new(Version::of(&state, &known, &self.opener));
        debug_assert!(version.history_floor <= self.visible(), "dropped versions were visible");
        self.steps.run(Step::Install, || self.show(flushed, Arc::clone(&version)));
        drop(in_the_order_of_edits);
        version.tables_beside(&known).for_each(open);
        Ok(())
    }

    /// Closes some of the open tables, those that were not used lately. Readers of the present super version go on with them.
    pub(crate) fn close_unused(&self) {
        let _between_installs = self.installing.lock();
        let version = self.load().version.with_closed(self.opener.open_tables().to_close());
        self.show(None, Arc::new(version));
    }

    /// The present version, and the state that it is of, which `state` returns: no edit comes between them.
    pub(crate) fn with_state(
        &self,
        state: impl FnOnce() -> Arc<State>,
    ) -> (Arc<Version>, Arc<State>) {
        let _between_installs = self.installing.lock();
        let state = state();
        (Arc::clone(&self.load().version), state)
    }

    /// Replaces the version, and takes `flushed` out.
    fn show(&self, flushed: Option<&Arc<SealedMemtable>>, version: Arc<Version>) {
        let _one_at_a_time = self.change.lock();
        let before = self.load_full();
        let mut sealed = before.sealed.clone();
        if let Some(flushed) = flushed {
            let oldest = sealed.pop();
            let is_oldest = oldest.is_some_and(|oldest| Arc::ptr_eq(&oldest, flushed));
            assert!(is_oldest, "memtables are flushed in order");
        }
        let active = Arc::clone(&before.active);
        let steps = self.steps.clone();
        self.current.store(Arc::new(SuperVersion { active, sealed, version, steps }));
    }

    /// Reads the range tombstones, by which compactions are picked. The other tables are opened when they are read.
    pub(crate) fn read_ranges(&self) {
        let version = Arc::clone(&self.load().version);
        version.tables().filter(|table| table.facts.ranges.is_some()).for_each(open);
    }

    /// How many tables are kept open.
    pub(crate) fn open_tables(&self) -> &OpenTables {
        self.opener.open_tables()
    }

    /// The oldest sealed memtable.
    pub(crate) fn oldest_sealed(&self) -> Option<Arc<SealedMemtable>> {
        self.load().sealed.last().cloned()
    }

    /// How many memtables are sealed and not flushed.
    pub(crate) fn sealed_count(&self) -> usize {
        self.load().sealed.len()
    }
}
