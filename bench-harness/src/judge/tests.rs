//! Right and wrong answers of threads that read beside a writer.

mod segments;

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
    let dataset = dataset();
    let mut windows = windows_at(times, [write, read]);
    windows[0].sums[write.operation() as usize].bytes_written = 100;
    windows[1].answers.push(answer);
    let found = if read.operation() == Operation::Scan { answer } else { u32::from(answer > 0) };
    let bytes_read = u64::from(found) * ENTRY_BYTES - u64::from(missing_bytes);
    windows[1].sums[read.operation() as usize].bytes_read = bytes_read;
    add_entries(&mut windows[1], &dataset, entries);
    check(&dataset, &[write, read], &windows)
}

/// Checks the windows of threads that made one of `steps` each.
fn check(dataset: &Dataset, steps: &[Step], windows: &[Window]) -> Outcome<()> {
    let timeline = Timeline::new(steps.len(), 1, KEYS);
    let mut judge = Judge { dataset, model: model(), is_strict: true, timeline };
    let part = |(steps, window)| Part { steps, window, prefix_bytes: None };
    let parts: Vec<_> = steps.chunks(1).zip(windows).map(part).collect();
    let mut recorders: Vec<_> = parts.iter().map(|_| Recorder::new()).collect();
    judge.check_window(&parts, &mut recorders)
}

/// Notes that a scan found these ids and versions.
fn add_entries(window: &mut Window, dataset: &Dataset, entries: &[(u32, u32)]) {
    let mut key = Vec::new();
    for &(id, version) in entries {
        dataset.keys.write_key(id, &mut key);
        window.entries.push(EntryStamp { id, version, key_digest: digest(&key) });
    }
}

/// One thread makes a scan of up to four entries from key `first` on and finds `entries`. Nobody else works.
fn judge_scan_alone(first: u32, entries: &[(u32, u32)]) -> Outcome<()> {
    let (dataset, count) = (dataset(), entries.len() as u32);
    let capacity = WindowCapacity { ops: 1, answers: 1, samples: 1, entries: 8 };
    let mut window = Window::new(capacity);
    window.restart(StreamPosition { threads: 1, ..position(0) }, 1);
    (window.ops, window.sums[Operation::Scan as usize].bytes_read) =
        (1, u64::from(count) * ENTRY_BYTES);
    window.answers.push(count);
    add_entries(&mut window, &dataset, entries);
    check(&dataset, &[Step::new(Operation::Scan, first, KEYS)], &[window])
}

fn dataset() -> Dataset {
    let keys = KeySpace::Shaped(KeyShape::Padded);
    let order = Some(KeyOrder::new(&keys, KEYS));
    let common_value_bytes = Some(VALUE_BYTES);
    Dataset { keys, values: Values::Pooled, common_value_bytes, capacity: KEYS, order }
}

/// All keys have version 2.
fn model() -> Model {
    let mut model = Model::new(KEYS);
    for version in 1..=2 {
        (0..KEYS).for_each(|id| model.write(id, KeyState::new(version, true), VALUE_BYTES));
    }
    model.raise_newest_version(2);
    model
}

/// The windows of two threads, each of which makes one of `steps` at its time. No answer is noted yet.
fn windows_at(times: [Range<u64>; 2], steps: [Step; 2]) -> [Window; 2] {
    let capacity = WindowCapacity { ops: 2, answers: 2, samples: 2, entries: 8 };
    let mut windows = [Window::new(capacity), Window::new(capacity)];
    let begun = windows[0].begun;
    for ((thread, window), time) in windows.iter_mut().enumerate().zip(times) {
        let step = steps[thread];
        window.restart(position(thread as u32), 2);
        window.begun = begun + Duration::from_nanos(time.start);
        window.ended = begun + Duration::from_nanos(time.end);
        window.ops = 1;
        let (kind, end_ns) = (step.operation() as u32, time.end - time.start);
        window.samples.push(Sample { at: 0, kind, start_ns: 0, end_ns, late_ns: 0 });
    }
    windows
}

/// The begin of one of two threads.
fn position(thread: u32) -> StreamPosition {
    StreamPosition {
        thread,
        threads: 2,
        first_new: KEYS,
        capacity: KEYS,
        base_version: 2,
        ..StreamPosition::default()
    }
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
fn entries_of_a_scan_in_another_order_than_that_of_their_keys_are_a_wrong_answer() {
    let swapped = [(0, 2), (2, 2), (1, 2), (3, 2)];
    let failure = judge(put(), scan(), KEYS, &swapped).unwrap_err();
    assert!(failure.text.ends_with(" out of order"), "{failure}");
    let twice = [(0, 2), (1, 2), (1, 2), (2, 2)];
    let failure = judge(put(), scan(), KEYS, &twice).unwrap_err();
    assert!(failure.text.ends_with(" out of order"), "{failure}");
}

#[test]
fn a_scan_of_a_thread_alone_that_loses_a_key_is_a_wrong_answer() {
    judge_scan_alone(1, &[(1, 2), (2, 2), (3, 2)]).unwrap();
    let failure = judge_scan_alone(1, &[(1, 2), (3, 2)]).unwrap_err();
    assert!(failure.text.ends_with(" found nothing where version 2 was expected"), "{failure}");
}

#[test]
fn an_entry_before_the_first_key_of_a_scan_is_out_of_order() {
    let failure = judge_scan_alone(2, &[(1, 2), (2, 2), (3, 2)]).unwrap_err();
    assert!(failure.text.ends_with(" out of order"), "{failure}");
}

#[test]
fn threads_that_all_read_get_the_newest_versions_of_the_keys_of_others() {
    // Key 0 belongs to the first thread.
    let get = Step::new(Operation::Get, 0, 0);
    let judge_second = |version| {
        let mut windows = windows_at([0..SECOND_NS, 0..SECOND_NS], [get, get]);
        for (window, version) in windows.iter_mut().zip([2, version]) {
            window.answers.push(version);
            window.sums[Operation::Get as usize].bytes_read = ENTRY_BYTES;
        }
        check(&dataset(), &[get, get], &windows)
    };
    judge_second(2).unwrap();
    assert!(judge_second(1).is_err(), "a stale answer was taken");
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
