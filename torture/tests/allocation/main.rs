//! No length field of a damaged file makes an engine allocate more than the file could fill.
//!
//! The allocator of this test binary, [`watched`], remembers the largest request of each thread.

mod watched;

use torture::damage;
use torture::toy::ToySubject;

/// The largest request since the last call.
fn take_largest() -> usize {
    let (largest, _) = watched::largest_and_most();
    watched::forget();
    largest
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
