//! Read views that threads keep between calls, for engines in which a fresh view costs a good part of a read.
//!
//! A kept view is as new as a fresh one: it is used only while no write was acknowledged since it was made. The first read
//! behind a write makes a view for itself alone; the second makes one to keep, so that a mix of reads and writes pays nothing
//! for views that it would use once. A write drops the kept views, because an old view keeps old pages from being used again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Threads that can keep a view at one time; threads beyond share places.
const PLACES: usize = 64;

/// The views that threads keep, one each.
pub(super) struct KeptViews<V> {
    /// How many writes were acknowledged.
    writes: AtomicU64,
    /// Places that were ever used, from the first.
    used: AtomicUsize,
    places: Box<[Place<V>]>,
}

/// How long a view is meant to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// For a single read.
    OneRead,
    /// Until a write is acknowledged.
    UntilWrite,
}

/// The place of one thread, on cache lines of its own.
#[repr(align(128))]
struct Place<V>(Mutex<Kept<V>>);

/// The view of a thread.
struct Kept<V> {
    /// The writes that were acknowledged before the last read on this thread.
    writes: u64,
    view: Option<V>,
}

impl<V> KeptViews<V> {
    /// No views yet.
    pub(super) fn new() -> Self {
        let place = |_| Place(Mutex::new(Kept { writes: u64::MAX, view: None }));
        Self {
            writes: AtomicU64::new(0),
            used: AtomicUsize::new(0),
            places: (0..PLACES).map(place).collect(),
        }
    }

    /// Reads with `read` in a view that shows every write acknowledged before this call; `begin` makes one.
    pub(super) fn read<T, E>(
        &self,
        begin: impl FnOnce(Lasts) -> Result<V, E>,
        read: impl FnOnce(&V) -> Result<T, E>,
    ) -> Result<T, E> {
        let at = place_of_this_thread();
        // Another thread reads in this place, or this one does and reads again within.
        let Some(mut kept) = self.places[at].0.try_lock() else {
            return read(&begin(Lasts::OneRead)?);
        };
        let writes = self.writes.load(Ordering::SeqCst);
        if kept.writes != writes {
            kept.view = None;
            kept.writes = writes;
            return read(&begin(Lasts::OneRead)?);
        }
        let view = if let Some(view) = kept.view.take() {
            view
        } else {
            self.used.fetch_max(at + 1, Ordering::SeqCst);
            begin(Lasts::UntilWrite)?
        };
        let answer = read(kept.view.insert(view));
        // A write that came meanwhile could not drop the view.
        if self.writes.load(Ordering::SeqCst) != writes {
            kept.view = None;
        }
        answer
    }

    /// Counts a write, before it is acknowledged, and drops the views that do not show it.
    pub(super) fn outdate(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        for place in &self.places[..self.used.load(Ordering::SeqCst)] {
            if let Some(mut kept) = place.0.try_lock() {
                kept.view = None;
            }
        }
    }
}

/// The place of the thread that calls: threads get them in turn.
fn place_of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PLACES;
    }
    PLACE.with(|place| *place)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;

    /// Reads, with views that carry the number of their making; which view it was.
    fn read(views: &KeptViews<u32>, made: &Cell<u32>) -> u32 {
        let begin = |_| {
            made.set(made.get() + 1);
            Ok::<_, ()>(made.get())
        };
        views.read(begin, |view| Ok(*view)).unwrap()
    }

    #[test]
    fn a_view_is_kept_from_the_second_read_behind_a_write_to_the_next_write() {
        let (views, made) = (KeptViews::new(), Cell::new(0));
        let reads = || (0..4).map(|_| read(&views, &made)).collect::<Vec<_>>();
        assert_eq!(reads(), [1, 2, 2, 2]);
        views.outdate();
        assert_eq!(reads(), [3, 4, 4, 4]);
    }

    #[test]
    fn a_view_for_one_read_is_begun_as_such() {
        let views = KeptViews::new();
        let lasts = || views.read(Ok::<_, ()>, |lasts| Ok(*lasts)).unwrap();
        assert_eq!(
            [lasts(), lasts(), lasts()],
            [Lasts::OneRead, Lasts::UntilWrite, Lasts::UntilWrite]
        );
    }

    #[test]
    fn a_write_drops_the_kept_view_of_a_thread_that_reads_no_more() {
        let views = KeptViews::new();
        let view = Arc::new(());
        std::thread::scope(|scope| {
            let read = || views.read(|_| Ok::<_, ()>(Arc::clone(&view)), |_| Ok(())).unwrap();
            scope.spawn(move || (0..2).for_each(|_| read()));
        });
        assert_eq!(Arc::strong_count(&view), 2, "the thread kept its view");
        views.outdate();
        assert_eq!(Arc::strong_count(&view), 1);
    }

    #[test]
    fn a_write_during_a_read_outdates_the_view_that_is_read() {
        let views = KeptViews::new();
        let view = Rc::new(());
        let begin = |_| Ok::<_, ()>(Rc::clone(&view));
        views.read(begin, |_| Ok(())).unwrap();
        let outdate = |_: &Rc<()>| {
            views.outdate();
            Ok(())
        };
        views.read(begin, outdate).unwrap();
        assert_eq!(Rc::strong_count(&view), 1, "nothing is kept");
    }

    #[test]
    fn a_read_within_a_read_gets_a_view_of_its_own() {
        let (views, made) = (KeptViews::new(), Cell::new(0));
        let outer = views.read(|_| Ok::<_, ()>(0), |_| Ok(read(&views, &made))).unwrap();
        assert_eq!(outer, 1);
    }
}
