//! The system's allocator, watched: what each thread asks for and holds. The tests of several crates include this file.
//!
//! It is in test binaries of their own, because a global allocator needs `unsafe` and the libraries have none.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a thread has asked for since its last [`forget`], in bytes.
#[derive(Clone, Copy)]
struct Watch {
    /// The largest request.
    largest: usize,
    /// The most that it held, beyond what it held at the beginning.
    most: isize,
    /// What it holds now, beyond what it held at the beginning.
    live: isize,
}

const NOTHING: Watch = Watch { largest: 0, most: 0, live: 0 };

thread_local! {
    static WATCH: Cell<Watch> = const { Cell::new(NOTHING) };
}

struct Watched;

#[global_allocator]
static WATCHED: Watched = Watched;

/// Begins the watch of this thread anew.
pub(crate) fn forget() {
    WATCH.set(NOTHING);
}

/// The largest request of this thread since the last [`forget`], and the most memory that it held since, in bytes.
pub(crate) fn largest_and_most() -> (usize, usize) {
    let Watch { largest, most, .. } = WATCH.get();
    (largest, most.cast_unsigned())
}

fn note(taken: usize, given_back: usize) {
    // The cell is gone while a thread ends; what is allocated then does not matter.
    let _gone = WATCH.try_with(|watch| {
        let seen = watch.get();
        let live = seen.live + taken.cast_signed() - given_back.cast_signed();
        watch.set(Watch { largest: seen.largest.max(taken), most: seen.most.max(live), live });
    });
}

// SAFETY: every call goes to `System` unchanged. Noting a size allocates nothing: the cell is initialised at compile time.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}
