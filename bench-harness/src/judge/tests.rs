//! Right and wrong answers of threads that read beside a writer.

use std::ops::Range;
use std::time::Duration;

use super::{Judge, Part, Timeline};
use crate::client::{EntryStamp, NOT_FOUND, Sample, StreamPosition, Window, WindowCapacity};
use crate::dataset::Dataset;
use crate::failure::Outcome;
use crate::keys::{KeyOrder, KeyShape, KeySpace};
use crate::model::{KeyState, Model};
use crate::operation::{Operation, Step};
use crate::recorder::Recorder;
use crate::values::{Values, digest};

const SECOND_NS: u64 = 1_000_000_000;
const KEYS: u32 = 4;
const VALUE_BYTES: u32 = 100;
/// A padded key and its value.
const ENTRY_BYTES: u64 = 16 + VALUE_BYTES as u64;

/// Thread 0 makes `write`, thread 1 makes `read` meanwhile and gets `answer` and `entries`; the keys had version 2.
fn judge(write: Step, read: Step, answer: u32, entries: &[(u32, u32)]) -> Outcome<()> {
    judge_with_missing_bytes(write, read, answer, entries, 0)
}

/// The same where the values of the answer lack `missing_bytes` together.
fn judge_with_missing_bytes(
    write: Step,
    read: Step,
    answer: u32,
    entries: &[(u32, u32)],
    missing_bytes: u32,
) -> Outcome<()> {
    let times = [0..SECOND_NS, 0..SECOND_NS / 2];
    judge_at(times, (write, read), answer, entries, missing_bytes)
}

/// The same where the write and the read take these times, in nanoseconds.
fn judge_at(
    times: [Range<u64>; 2],
    (write, read): (Step, Step),
    answer: u32,
    entries: &[(u32, u32)],
    missing_bytes: u32,
) -> Outcome<()> {
    let keys = KeySpace::Shaped(KeyShape::Padded);
    let order = Some(KeyOrder::new(&keys, KEYS));
    let common_value_bytes = Some(VALUE_BYTES);
    let values = Values::Pooled;
    let dataset = Dataset { keys, values, common_value_bytes, capacity: KEYS, order };
    let mut model = Model::new(KEYS);
    for version in 1..=2 {
        (0..KEYS).for_each(|id| model.write(id, KeyState::new(version, true), VALUE_BYTES));
    }
    model.raise_newest_version(2);
    let position = |thread| StreamPosition {
        thread,
        threads: 2,
        first_new: KEYS,
        capacity: KEYS,
        base_version: 2,
        ..StreamPosition::default()
    };
    let capacity = WindowCapacity { ops: 1, answers: 1, samples: 1, entries: 8 };
    let mut windows = [Window::new(capacity), Window::new(capacity)];
    let begun = windows[0].begun;
    for ((thread, window), time) in windows.iter_mut().enumerate().zip(times) {
        window.restart(position(thread as u32), 1);
        window.begun = begun + Duration::from_nanos(time.start);
        window.ended = begun + Duration::from_nanos(time.end);
        window.ops = 1;
        let kind = if thread == 0 { write.operation() } else { read.operation() } as u32;
        let end_ns = time.end - time.start;
        window.samples.push(Sample { at: 0, kind, start_ns: 0, end_ns, late_ns: 0 });
    }
    windows[0].sums[write.operation() as usize].bytes_written = 100;
    windows[1].answers.push(answer);
    let found = if read.operation() == Operation::Scan { answer } else { u32::from(answer > 0) };
    let bytes_read = u64::from(found) * ENTRY_BYTES - u64::from(missing_bytes);
    windows[1].sums[read.operation() as usize].bytes_read = bytes_read;
    let mut key = Vec::new();
    for &(id, version) in entries {
        dataset.keys.write_key(id, &mut key);
        windows[1].entries.push(EntryStamp { id, version, key_digest: digest(&key) });
    }
    let timeline = Timeline::new(2, 1, KEYS);
    let mut judge = Judge { dataset: &dataset, model, is_strict: true, timeline };
    let (writes, reads) = ([write], [read]);
    let part = |steps, window| Part { steps, window, prefix_bytes: None };
    let parts = [part(&writes[..], &windows[0]), part(&reads[..], &windows[1])];
    judge.check_window(&parts, &mut [Recorder::new(), Recorder::new()])
}

fn put() -> Step {
    Step::new(Operation::Put, 0, 100)
}

fn scan() -> Step {
    Step::new(Operation::Scan, 0, KEYS)
}

#[test]
fn the_judge_takes_right_answers() {
    judge(put(), Step::new(Operation::Get, 0, 0), 2, &[]).unwrap();
    judge(put(), Step::new(Operation::Get, 0, 0), 3, &[]).unwrap();
    judge(put(), scan(), 4, &[(0, 2), (1, 2), (2, 2), (3, 2)]).unwrap();
    judge(put(), scan(), 4, &[(0, 3), (1, 2), (2, 2), (3, 2)]).unwrap();
}

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
fn entries_of_a_scan_in_another_order_than_that_of_their_keys_are_a_wrong_answer() {
    let swapped = [(0, 2), (2, 2), (1, 2), (3, 2)];
    let failure = judge(put(), scan(), KEYS, &swapped).unwrap_err();
    assert!(failure.text.ends_with(" out of order"), "{failure}");
    let twice = [(0, 2), (1, 2), (1, 2), (2, 2)];
    let failure = judge(put(), scan(), KEYS, &twice).unwrap_err();
    assert!(failure.text.ends_with(" out of order"), "{failure}");
}

#[test]
fn a_key_that_vanishes_while_it_is_overwritten_is_a_wrong_answer() {
    // Nobody deletes: before, while and after the put the key is there.
    let answer = judge(put(), Step::new(Operation::Get, 0, 0), NOT_FOUND, &[]);
    assert!(answer.is_err(), "a get that lost a present key was taken");
}

#[test]
fn a_scan_beside_a_writer_that_loses_keys_is_a_wrong_answer() {
    // Keys 1 and 3 belong to the reader, 2 to the writer, which leaves it alone; nobody deletes the one that is put.
    for lost in 0..KEYS {
        let all = [(0, 2), (1, 2), (2, 2), (3, 2)];
        let rest: Vec<_> = all.into_iter().filter(|(id, _)| *id != lost).collect();
        let answer = judge(put(), scan(), KEYS - 1, &rest);
        assert!(answer.is_err(), "a scan that left out key {lost} was taken");
    }
    assert!(judge(put(), scan(), 0, &[]).is_err(), "an empty scan of four present keys was taken");
}

#[test]
fn a_scan_beside_a_writer_that_returns_old_values_or_some_of_the_future_is_a_wrong_answer() {
    for id in 0..KEYS {
        for wrong in [1, 4] {
            let mut entries = [(0, 3), (1, 2), (2, 2), (3, 2)];
            entries[id as usize].1 = wrong;
            let answer = judge(put(), scan(), KEYS, &entries);
            assert!(answer.is_err(), "version {wrong} of key {id} was taken");
        }
    }
}

#[test]
fn a_key_that_is_deleted_meanwhile_may_be_missing() {
    let delete = Step::new(Operation::Delete, 0, 0);
    judge(delete, Step::new(Operation::Get, 0, 0), NOT_FOUND, &[]).unwrap();
    judge(delete, Step::new(Operation::Get, 0, 0), 2, &[]).unwrap();
    judge(delete, scan(), 3, &[(1, 2), (2, 2), (3, 2)]).unwrap();
    judge(delete, scan(), 4, &[(0, 2), (1, 2), (2, 2), (3, 2)]).unwrap();
    let other = judge(delete, scan(), 3, &[(0, 2), (1, 2), (3, 2)]);
    assert!(other.is_err(), "another key than the one that is deleted was missing");
}

#[test]
fn values_of_another_length_than_was_put_are_wrong_answers() {
    let get = |id| Step::new(Operation::Get, id, 0);
    let all = [(0, 2), (1, 2), (2, 2), (3, 2)];
    // Key 1 belongs to the reader, key 0 to the writer.
    let own = judge_with_missing_bytes(put(), get(1), 2, &[], 88).unwrap_err();
    assert_eq!(own.text, "gets returned 28 bytes where 116 were expected");
    assert!(judge_with_missing_bytes(put(), get(0), 2, &[], 1).is_err());
    let scanned = judge_with_missing_bytes(put(), scan(), 4, &all, 1).unwrap_err();
    assert_eq!(scanned.text, "scans returned 463 bytes where 464 were expected");
}
