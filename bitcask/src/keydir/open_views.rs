//! The sequence numbers of the views that are open, and the visits to undo lists that closed views have left to do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicU64, AtomicUsize};

use crate::lock_order::Lock;

/// The open views of one keydir. Its locks are taken last, and held for a look at a few numbers.
#[derive(Debug)]
pub(super) struct OpenViews {
    /// How many views are open at each sequence number.
    open: Mutex<BTreeMap<u64, usize>>,
    /// The newest open view plus one, or 0 when none is open.
    newest: AtomicU64,
    /// Closed views whose versions must be released.
    closed: Mutex<VecDeque<ClosedView>>,
    closed_count: AtomicUsize,
}

/// A closed view, and where its versions are released next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClosedView {
    pub(super) sequence: u64,
    pub(super) next_shard: usize,
}

impl Default for OpenViews {
    fn default() -> Self {
        Self {
            open: Mutex::ranked(Lock::ViewNumbers.rank(), BTreeMap::new()),
            newest: AtomicU64::new(0),
            closed: Mutex::ranked(Lock::ViewNumbers.rank(), VecDeque::new()),
            closed_count: AtomicUsize::new(0),
        }
    }
}

impl OpenViews {
    /// Opens a view.
    pub(super) fn open(&self, sequence: u64) {
        let mut open = self.open.lock();
        *open.entry(sequence).or_default() += 1;
        self.publish(&open);
        debug_assert!(self.newest() >= Some(sequence), "the newest view is not older");
    }

    /// Closes a view. If it was the last one at its sequence number, the versions that it holds must be released.
    pub(super) fn close(&self, sequence: u64) {
        let mut open = self.open.lock();
        let count = open.get_mut(&sequence).expect("a view is closed once");
        assert!(*count > 0, "a view is closed once");
        *count -= 1;
        if *count > 0 {
            return;
        }
        open.remove(&sequence);
        self.publish(&open);
        debug_assert_ne!(self.newest(), Some(sequence), "the view is closed");
        drop(open);
        let mut closed = self.closed.lock();
        closed.push_back(ClosedView { sequence, next_shard: 0 });
        self.closed_count.store(closed.len(), Ordering::Release);
    }

    fn publish(&self, open: &BTreeMap<u64, usize>) {
        let newest = open.last_key_value().map_or(0, |(newest, _)| newest + 1);
        self.newest.store(newest, Ordering::Release);
    }

    /// The newest open view. Read under the lock of a shard, see `keydir/undo.rs`.
    #[inline]
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest.load(Ordering::Acquire).checked_sub(1)
    }

    /// The sequence numbers of the open views, ascending.
    pub(super) fn sequences(&self) -> Vec<u64> {
        self.open.lock().keys().copied().collect()
    }

    /// The closed view that was closed first and is not done.
    pub(super) fn first_closed(&self) -> Option<ClosedView> {
        if self.has_closed() { self.closed.lock().front().copied() } else { None }
    }

    /// Whether some closed view is not done.
    pub(super) fn has_closed(&self) -> bool {
        self.closed_count.load(Ordering::Acquire) > 0
    }

    /// Notes how far the first closed view has come. One thread at a time does, see `Keydir::release`.
    pub(super) fn advance(&self, view: ClosedView, shards: usize) {
        let mut closed = self.closed.lock();
        let first = closed.front_mut().expect("the first closed view stays until it is done");
        assert!(first.sequence == view.sequence && first.next_shard <= view.next_shard);
        assert!(view.next_shard <= shards, "a visit ends behind the last shard");
        *first = view;
        if view.next_shard == shards {
            closed.pop_front();
            self.closed_count.store(closed.len(), Ordering::Release);
        }
    }
}
