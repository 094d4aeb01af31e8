//! No length field of a damaged file makes an engine allocate more than the file could fill.
//!
//! The allocator below remembers the largest request of each thread. It is here, in a test binary of its own, because
//! counting allocations needs `unsafe` and the library has none.

#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use torture::damage;
use torture::toy::ToySubject;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, watched.
struct Watched;

#[global_allocator]
static WATCHED: Watched = Watched;

fn note(size: usize) {
    // The cell is gone while a thread ends; what is allocated then does not matter.
    let _gone = LARGEST.try_with(|largest| largest.set(largest.get().max(size))).is_err();
}

// SAFETY: every call goes to `System` unchanged. Noting a size allocates nothing: the cell is initialised at compile time.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

fn take_largest() -> usize {
    LARGEST.with(Cell::take)
}

#[test]
fn a_damaged_toy_allocates_no_more_than_its_files_could_fill() {
    drop(vec![0_u8; 3 << 20]);
    assert!(take_largest() >= 3 << 20, "the watch works");
    let largest_allocation = Some(take_largest as fn() -> usize);
    damage::run(
        &ToySubject::default(),
        &damage::Options { largest_allocation, ..Default::default() },
    )
    .unwrap();
}

#[test]
fn an_allocation_above_the_cap_is_a_failure() {
    let options = damage::Options { largest_allocation: Some(|| 1 << 30), ..Default::default() };
    let failure = damage::run(&ToySubject::default(), &options).expect_err("1 GiB is too much");
    assert!(failure.what.contains("allocation"), "{failure}");
}
