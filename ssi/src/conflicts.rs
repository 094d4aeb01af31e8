//! The conflict tracker of an open engine, behind its lock.
//!
//! # The order of a begin
//!
//! 1. The transaction is announced. From now on the tracker keeps every commit that a snapshot may miss.
//! 2. The store pins the snapshot. Commits may come before it and after it.
//! 3. The transaction begins in the tracker, with the number of its snapshot.
//!
//! Without the first step a commit between 2 and 3 would be forgotten, although the snapshot misses it.
//!
//! # The order of a commit
//!
//! 1. Inside the commit section of the store the tracker judges the transaction, with the number that it will get.
//! 2. The store writes it, and makes it visible.
//! 3. The tracker hears that it is visible.
//!
//! Between 1 and 3 a new snapshot may miss the commit, so the tracker keeps it even if nobody runs. If the store fails to write
//! it, the store is poisoned, and the tracker keeps it for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::sync::atomic::{AtomicU64, Ordering};
use durable::sync::{Condvar, Mutex, Rank};
use kv::{Bytes, Error, Operation, Result, SequenceNumber, Stats, Unit};

use crate::certify::{Announcement, Certifier, ConflictTracker, Reads};

/// The lock of the tracker. A commit takes it inside the commit section of the store. The locks of read sets come
/// after it.
const TRACKER: Rank = Rank::new(Rank::DURABLE - 50, "the conflict tracker");

/// The tracker and the certifier of an engine.
#[derive(Debug)]
pub(crate) struct Conflicts {
    tracker: Mutex<ConflictTracker>,
    /// A transaction has begun or ended, so a snapshot that somebody waits for may be safe.
    ended: Condvar,
    certifier: Box<dyn Certifier>,
    refused: AtomicU64,
}

/// A transaction between its announcement and its begin.
pub(crate) struct Announced {
    conflicts: Arc<Conflicts>,
    /// `None`: the announcement has ended.
    announcement: Option<Announcement>,
}

/// A transaction that the tracker follows. It rolls back when dropped.
pub(crate) struct Tracked {
    conflicts: Arc<Conflicts>,
    transaction: u64,
    reads: Reads,
    /// The tracker has judged it.
    is_judged: bool,
}

impl Conflicts {
    pub(crate) fn new(certifier: impl Certifier + 'static) -> Self {
        Self {
            tracker: Mutex::ranked(TRACKER, ConflictTracker::new()),
            ended: Condvar::new(),
            certifier: Box::new(certifier),
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) fn certifier(&self) -> &dyn Certifier {
        &*self.certifier
    }

    /// The first step of a begin.
    pub(crate) fn announce(conflicts: &Arc<Self>) -> Announced {
        let announcement = conflicts.tracker.lock().announce();
        Announced { conflicts: Arc::clone(conflicts), announcement: Some(announcement) }
    }

    /// Adds the numbers of the tracker to `stats`.
    pub(crate) fn add_to(&self, stats: Stats) -> Stats {
        let tracker = self.tracker.lock();
        let (running, committed) = (tracker.running_count(), tracker.committed_count());
        drop(tracker);
        stats
            .with("tracked_running", Unit::Count, running as u64)
            .with("tracked_committed", Unit::Count, committed as u64)
            .with("refused_by_certifier", Unit::Count, self.refused.load(Ordering::Relaxed))
    }

    /// Counts a refusal, and makes it an error.
    fn refuse(&self, judged: std::result::Result<(), Box<kv::Conflict>>) -> Result<()> {
        judged.map_err(|conflict| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Error::Conflict(conflict)
        })
    }
}

impl Announced {
    /// The third step of a begin.
    pub(crate) fn begin(mut self, transaction: u64, snapshot: u64, read_only: bool) -> Tracked {
        let conflicts = Arc::clone(&self.conflicts);
        let announcement = self.announcement.take().expect("it is taken once, by the last call");
        let mut tracker = conflicts.tracker.lock();
        let reads = tracker.begin_announced(announcement, transaction, snapshot, read_only);
        drop(tracker);
        conflicts.ended.notify_all();
        Tracked { conflicts, transaction, reads, is_judged: false }
    }

    /// Waits until it is known whether a reader at `snapshot` can be part of a conflict. `true`: it cannot.
    pub(crate) fn wait_until_safe(mut self, snapshot: u64) -> bool {
        let conflicts = Arc::clone(&self.conflicts);
        let mut tracker = conflicts.tracker.lock();
        let watch = tracker.watch(snapshot);
        if let Some(announcement) = self.announcement.take() {
            // Only now: the commits that the snapshot misses were kept for the look.
            tracker.withdraw(announcement);
        }
        loop {
            if let Some(is_safe) = tracker.is_safe(watch) {
                return is_safe;
            }
            conflicts.ended.wait(&mut tracker);
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(announcement) = self.announcement.take() {
            self.conflicts.tracker.lock().withdraw(announcement);
            self.conflicts.ended.notify_all();
        }
    }
}

impl Tracked {
    /// Where its reads go.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Judges a transaction that writes `writes` with number `sequence`. Call it inside the commit section of the store.
    ///
    /// # Errors
    /// The explained conflict.
    pub(crate) fn judge(
        &mut self,
        writes: BTreeMap<Bytes, Operation>,
        sequence: SequenceNumber,
    ) -> Result<()> {
        self.is_judged = true;
        let certifier = self.conflicts.certifier();
        let judged =
            self.conflicts.tracker.lock().commit(self.transaction, writes, sequence.0, certifier);
        self.conflicts.ended.notify_all();
        self.conflicts.refuse(judged)
    }

    /// Judges a transaction that writes nothing.
    ///
    /// # Errors
    /// The explained conflict.
    pub(crate) fn judge_reader(&mut self) -> Result<()> {
        self.is_judged = true;
        let certifier = self.conflicts.certifier();
        let judged = self.conflicts.tracker.lock().commit_reader(self.transaction, certifier);
        self.conflicts.ended.notify_all();
        self.conflicts.refuse(judged)
    }

    /// The commit is visible.
    pub(crate) fn publish(&self, sequence: SequenceNumber) {
        debug_assert!(self.is_judged, "a commit was judged before it was written");
        self.conflicts.tracker.lock().publish(sequence.0);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.is_judged {
            self.conflicts.tracker.lock().roll_back(self.transaction);
            self.conflicts.ended.notify_all();
        }
    }
}
