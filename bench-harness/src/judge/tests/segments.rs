//! Answers at the edges of segments.

use super::*;
use crate::operation::{RMW_GET, RMW_PUT};

#[test]
fn threads_may_see_one_moment_ten_microseconds_apart_and_no_more() {
    let get =
        |times, answer| judge_at(times, (put(), Step::new(Operation::Get, 0, 0)), answer, &[], 0);
    // The old version after the end of the put.
    let read_after = |ns| [0..SECOND_NS, SECOND_NS + ns..2 * SECOND_NS];
    get(read_after(9_000), 2).unwrap();
    assert!(get(read_after(11_000), 2).is_err(), "a stale answer was taken");
    get(read_after(11_000), 3).unwrap();
    // The new version before the begin of the put.
    let read_before = |ns| [SECOND_NS + ns..2 * SECOND_NS, 0..SECOND_NS];
    get(read_before(9_000), 3).unwrap();
    assert!(get(read_before(11_000), 3).is_err(), "an answer of the future was taken");
    get(read_before(11_000), 2).unwrap();
}

#[test]
fn an_old_version_is_wrong_in_a_segment_that_begins_after_the_end_of_the_put() {
    // The second get lasts from 1 s to 2 s, the put ended after half a second.
    let get = Step::new(Operation::Get, 0, 0);
    let judge_second = |version| {
        let times = [0..SECOND_NS / 2, 0..2 * SECOND_NS];
        let mut windows = windows_at(times, [put(), get]);
        windows[0].sums[Operation::Put as usize].bytes_written = 100;
        let reads = &mut windows[1];
        (reads.ops, reads.answers) = (2, vec![2, version]);
        reads.sums[Operation::Get as usize].bytes_read = 2 * ENTRY_BYTES;
        let first =
            Sample { at: 0, kind: Operation::Get as u32, end_ns: SECOND_NS, ..Sample::default() };
        let second = Sample { at: 1, start_ns: SECOND_NS, end_ns: 2 * SECOND_NS, ..first };
        reads.samples = vec![first, second];
        check(&dataset(), &[put(), get], &windows)
    };
    judge_second(3).unwrap();
    assert!(judge_second(2).is_err(), "a stale answer was taken");
}

#[test]
fn a_read_modify_write_ends_with_its_put() {
    // Its get ends after a millisecond, its put after a second. The other thread reads in between.
    let (rmw, get) =
        (Step::new(Operation::ReadModifyWrite, 0, 100), Step::new(Operation::Get, 0, 0));
    let judge_get_at_ms = |ms: u64, version| {
        let times = [0..SECOND_NS, ms * 1_000_000..(ms + 1) * 1_000_000];
        let mut windows = windows_at(times, [rmw, get]);
        let writes = &mut windows[0];
        let sums = &mut writes.sums[Operation::ReadModifyWrite as usize];
        (sums.bytes_written, sums.bytes_read) = (100, ENTRY_BYTES);
        writes.answers.push(2);
        let read = Sample { at: 0, kind: RMW_GET as u32, end_ns: 1_000_000, ..Sample::default() };
        let put = Sample { kind: RMW_PUT as u32, start_ns: 1_000_000, end_ns: SECOND_NS, ..read };
        writes.samples = vec![read, put];
        windows[1].answers.push(version);
        windows[1].sums[Operation::Get as usize].bytes_read = ENTRY_BYTES;
        check(&dataset(), &[rmw, get], &windows)
    };
    judge_get_at_ms(500, 2).unwrap();
    judge_get_at_ms(500, 3).unwrap();
    judge_get_at_ms(1_500, 3).unwrap();
    assert!(judge_get_at_ms(1_500, 2).is_err(), "a stale answer was taken");
}
