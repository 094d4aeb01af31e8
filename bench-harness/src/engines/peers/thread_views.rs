//! Read views that threads keep between calls, for engines in which a fresh view costs a good part of a read.
//!
//! A kept view is as new as a fresh one: it is used only while no write was acknowledged since it was made. The first read
//! after a write makes a view for itself alone; the second makes one to keep, so that a mix of reads and writes pays nothing
//! for views that it would use once. A write drops the kept views, because an old view prevents the reuse of old pages.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Threads that can keep a view at one time; further threads share slots.
const SLOTS: usize = 64;

/// The views that threads keep, one each.
pub(super) struct ThreadViews<V> {
    /// How many writes were acknowledged.
    writes: AtomicU64,
    /// Slots that were ever used, from the first.
    used: AtomicUsize,
    slots: Box<[ThreadSlot<V>]>,
}

/// How long a view is meant to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ViewLifetime {
    /// For a single read.
    OneRead,
    /// Until a write is acknowledged.
    UntilWrite,
}

/// The slot of one thread, on cache lines of its own.
#[repr(align(128))]
struct ThreadSlot<V>(Mutex<KeptView<V>>);

/// The view of a thread.
struct KeptView<V> {
    /// The writes that were acknowledged before the last read on this thread.
    writes: u64,
    view: Option<V>,
}

impl<V> ThreadViews<V> {
    /// No views yet.
    pub(super) fn new() -> Self {
        let slot = |_| ThreadSlot(Mutex::new(KeptView { writes: u64::MAX, view: None }));
        Self {
            writes: AtomicU64::new(0),
            used: AtomicUsize::new(0),
            slots: (0..SLOTS).map(slot).collect(),
        }
    }

    /// Reads with `read` in a view that shows every write acknowledged before this call; `begin` makes one.
    pub(super) fn read<T, E>(
        &self,
        begin: impl FnOnce(ViewLifetime) -> Result<V, E>,
        read: impl FnOnce(&V) -> Result<T, E>,
    ) -> Result<T, E> {
        let at = slot_of_this_thread();
        // Another thread reads in this slot, or this thread reads again within a read.
        let Some(mut kept) = self.slots[at].0.try_lock() else {
            return read(&begin(ViewLifetime::OneRead)?);
        };
        let writes = self.writes.load(Ordering::SeqCst);
        if kept.writes != writes {
            kept.view = None;
            kept.writes = writes;
            return read(&begin(ViewLifetime::OneRead)?);
        }
        let view = if let Some(view) = kept.view.take() {
            view
        } else {
            self.used.fetch_max(at + 1, Ordering::SeqCst);
            begin(ViewLifetime::UntilWrite)?
        };
        let answer = read(kept.view.insert(view));
        // A write that came meanwhile could not drop the view.
        if self.writes.load(Ordering::SeqCst) != writes {
            kept.view = None;
        }
        answer
    }

    /// Counts a write, before it is acknowledged, and drops the kept views, which do not show it.
    pub(super) fn invalidate(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        for slot in &self.slots[..self.used.load(Ordering::SeqCst)] {
            if let Some(mut kept) = slot.0.try_lock() {
                kept.view = None;
            }
        }
    }
}

/// The slot of the thread that calls: threads get them in turn.
fn slot_of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS;
    }
    SLOT.with(|slot| *slot)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;

    /// Reads, with views that carry the number of their making; which view it was.
    fn read(views: &ThreadViews<u32>, made: &Cell<u32>) -> u32 {
        let begin = |_| {
            made.set(made.get() + 1);
            Ok::<_, ()>(made.get())
        };
        views.read(begin, |view| Ok(*view)).unwrap()
    }

    #[test]
    fn a_view_is_kept_from_the_second_read_after_a_write_to_the_next_write() {
        let (views, made) = (ThreadViews::new(), Cell::new(0));
        let reads = || (0..4).map(|_| read(&views, &made)).collect::<Vec<_>>();
        assert_eq!(reads(), [1, 2, 2, 2]);
        views.invalidate();
        assert_eq!(reads(), [3, 4, 4, 4]);
    }

    #[test]
    fn a_view_for_one_read_is_begun_as_such() {
        let views = ThreadViews::new();
        let lifetime = || views.read(Ok::<_, ()>, |lifetime| Ok(*lifetime)).unwrap();
        assert_eq!(
            [lifetime(), lifetime(), lifetime()],
            [ViewLifetime::OneRead, ViewLifetime::UntilWrite, ViewLifetime::UntilWrite]
        );
    }

    #[test]
    fn a_write_drops_the_kept_view_of_a_thread_that_reads_no_more() {
        let views = ThreadViews::new();
        let view = Arc::new(());
        std::thread::scope(|scope| {
            let read = || views.read(|_| Ok::<_, ()>(Arc::clone(&view)), |_| Ok(())).unwrap();
            scope.spawn(move || (0..2).for_each(|_| read()));
        });
        assert_eq!(Arc::strong_count(&view), 2, "the thread kept its view");
        views.invalidate();
        assert_eq!(Arc::strong_count(&view), 1);
    }

    #[test]
    fn a_write_during_a_read_invalidates_the_view_that_is_read() {
        let views = ThreadViews::new();
        let view = Rc::new(());
        let begin = |_| Ok::<_, ()>(Rc::clone(&view));
        views.read(begin, |_| Ok(())).unwrap();
        let invalidate = |_: &Rc<()>| {
            views.invalidate();
            Ok(())
        };
        views.read(begin, invalidate).unwrap();
        assert_eq!(Rc::strong_count(&view), 1, "nothing is kept");
    }

    #[test]
    fn a_read_within_a_read_gets_a_view_of_its_own() {
        let (views, made) = (ThreadViews::new(), Cell::new(0));
        let outer = views.read(|_| Ok::<_, ()>(0), |_| Ok(read(&views, &made))).unwrap();
        assert_eq!(outer, 1);
    }
}
