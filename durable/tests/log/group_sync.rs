//! Group commit, one thread at a time: the order of syncs and guard, and what becomes of failures. The schedules of several
//! threads are in `tests/schedules`.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use durable::log::{
    Frame, GroupSync, Segment, SegmentIdentity, SegmentLayout, Writer, scan_segment,
};
use durable::{Fs, Inject, OpKind, Plan, SimFs};
use kv::{Error, Result};

use crate::store::{STORE, path};

/// Segment `id`, begun on a disk with the folder of the log.
fn begin(disk: &SimFs, id: u64) -> Segment {
    begin_on(disk, id)
}

fn begin_on(disk: &dyn Fs, id: u64) -> Segment {
    let identity = SegmentIdentity { store: STORE, id, epoch: 1, edit_number: 1 };
    let layout = SegmentLayout::Plain;
    let file = Segment::create_file(disk, &path(id), 4096, layout, identity).unwrap();
    Segment::begin(disk, file).unwrap()
}

fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir(Path::new("log")).unwrap();
    disk
}

fn append(writer: &mut Writer, sequence: u64) {
    let frame = Frame { kind: 1, payload: [&[7; 40], &[], &[]] };
    writer.append(sequence, std::iter::once(frame)).unwrap();
}

fn failure(path: &str) -> Error {
    Error::io("sync", path, std::io::ErrorKind::Other.into())
}

/// How far segment `id` was durable when each of its batches was written.
fn durable_before(disk: &SimFs, id: u64) -> Vec<Option<u64>> {
    let mut found = Vec::new();
    let bytes = disk.contents(&path(id)).unwrap();
    scan_segment(&bytes, STORE, id, &path(id), &mut |batch| {
        found.push(batch[0].durable_before());
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn a_failure_behind_the_target_does_not_concern_the_writer() {
    let (disk, sync) = (disk(), Arc::new(GroupSync::new()));
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin(&disk, 1));
    append(&mut writer, 1);
    let first = writer.position();
    sync.sync_to(first).unwrap();
    append(&mut writer, 2);
    sync.poison(failure("log"));
    sync.sync_to(first).unwrap();
    assert!(matches!(sync.sync_to(writer.position()), Err(Error::Poisoned { .. })));
}

#[test]
fn the_first_failure_is_kept_and_later_callers_get_it_as_the_cause() {
    let sync = GroupSync::new();
    assert_eq!(sync.poison(failure("first")).to_string(), failure("first").to_string());
    sync.poison(failure("second"));
    for _ in 0..2 {
        let Err(Error::Poisoned { cause }) = sync.check() else { panic!("the log is poisoned") };
        assert_eq!(cause.to_string(), failure("first").to_string());
    }
}

/// A check before the sync would say nothing about appends that the sync covers, too.
#[test]
fn the_guard_is_asked_when_everything_is_synced() {
    let (disk, segment) = (disk(), Arc::new(Mutex::new(None::<Arc<Segment>>)));
    let (asked, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&segment));
    let count = Arc::clone(&asked);
    let sync = Arc::new(GroupSync::guarded(move || {
        let segment = seen.lock().unwrap().clone().unwrap();
        assert_eq!(segment.durable(), segment.end(), "asked before the sync has ended");
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    let mut writer = Writer::new(Arc::clone(&sync));
    *segment.lock().unwrap() = Some(writer.begin(begin(&disk, 1)));
    append(&mut writer, 1);
    sync.sync_to(writer.position()).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_finished_segment_of_a_store_that_was_taken_away_poisons_the_log() {
    let disk = disk();
    let sync = Arc::new(GroupSync::guarded(|| Err(failure("LOCK"))));
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin(&disk, 1));
    append(&mut writer, 1);
    let ended = writer.end().unwrap().unwrap();
    assert!(sync.finish(&ended).is_err());
    assert!(matches!(sync.check(), Err(Error::Poisoned { .. })));
}

/// What one call of the guard does.
type Step = Box<dyn FnOnce() -> Result<()> + Send>;

/// A leader has synced the second segment, and its guard has not answered yet, when the first segment is finished.
#[expect(clippy::disallowed_methods, reason = "the leader is a thread of the test")]
#[test]
fn finishing_a_segment_acknowledges_no_sync_that_the_guard_has_not_admitted() {
    let steps: Arc<Mutex<VecDeque<Step>>> = Arc::default();
    let script = Arc::clone(&steps);
    let sync = Arc::new(GroupSync::guarded(move || {
        let step = script.lock().unwrap().pop_front().unwrap();
        step()
    }));
    let (disk, mut writer) = (disk(), Writer::new(Arc::clone(&sync)));
    let first = writer.begin(begin(&disk, 1));
    append(&mut writer, 1);
    writer.end().unwrap();
    writer.begin(begin(&disk, 2));
    append(&mut writer, 2);
    let target = writer.position();
    writer.end().unwrap();
    writer.begin(begin(&disk, 3));
    append(&mut writer, 3);
    let (at_guard, guard_reached) = channel::<()>();
    let (finished, is_finished) = channel::<()>();
    let (result, synced) = channel();
    let leader = Arc::clone(&sync);
    *steps.lock().unwrap() = VecDeque::from([
        // The lock file is there when the first segment is finished. Then it is lost, and a writer syncs.
        Box::new(move || {
            std::thread::spawn(move || result.send(leader.sync_to(target)).unwrap());
            guard_reached.recv().unwrap();
            Ok(())
        }) as Step,
        // The guard of that writer.
        Box::new(move || {
            at_guard.send(()).unwrap();
            is_finished.recv().unwrap();
            Err(failure("LOCK"))
        }),
    ]);
    sync.finish(&first).unwrap();
    assert_eq!(sync.durable().segment, 1, "the finished segment and no more");
    finished.send(()).unwrap();
    assert!(synced.recv().unwrap().is_err(), "the lock file was lost before the sync");
}

#[test]
fn frames_say_how_far_the_log_was_durable_once_all_earlier_segments_are() {
    let (disk, sync) = (disk(), Arc::new(GroupSync::new()));
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin(&disk, 3));
    append(&mut writer, 1);
    writer.end().unwrap();
    writer.begin(begin(&disk, 4));
    append(&mut writer, 2);
    sync.sync_to(writer.position()).unwrap();
    append(&mut writer, 3);
    assert_eq!(durable_before(&disk, 3), [Some(64)], "no segment is before the first one");
    assert_eq!(durable_before(&disk, 4), [None, Some(128)]);
}

/// The guard ends the test if the leader syncs round after round and never reaches the target.
#[test]
fn a_segment_that_is_still_written_stays_in_the_chain_when_an_earlier_one_is_finished() {
    let (disk, rounds) = (disk(), AtomicUsize::new(0));
    let guard = move || -> Result<()> {
        let is_stuck = rounds.fetch_add(1, Ordering::Relaxed) > 10;
        if is_stuck { Err(failure("the sync never reaches its target")) } else { Ok(()) }
    };
    let sync = Arc::new(GroupSync::guarded(guard));
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin(&disk, 1));
    append(&mut writer, 1);
    let ended = writer.end().unwrap().unwrap();
    writer.begin(begin(&disk, 2));
    append(&mut writer, 2);
    sync.sync_to(writer.position()).unwrap();
    // The newer segment is wholly durable at this moment.
    sync.finish(&ended).unwrap();
    append(&mut writer, 3);
    sync.sync_to(writer.position()).unwrap();
    assert_eq!(sync.durable(), writer.position());
}

#[test]
fn a_failed_round_gives_its_failure_once_and_poisons_then() {
    let sync = Arc::new(GroupSync::guarded(|| Err(failure("LOCK"))));
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin(&disk(), 1));
    append(&mut writer, 1);
    assert!(matches!(sync.sync_to(writer.position()), Err(Error::Io { .. })));
    assert!(matches!(sync.sync_to(writer.position()), Err(Error::Poisoned { .. })));
}

#[test]
fn a_finished_segment_can_be_read_with_its_witness() {
    let disk = disk();
    let identity = SegmentIdentity { store: STORE, id: 1, epoch: 1, edit_number: 1 };
    let layout = SegmentLayout::Witnessed;
    let file = Segment::create_file(&disk, &path(1), 512, layout, identity).unwrap();
    let sync = Arc::new(GroupSync::new());
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(Segment::begin(&disk, file).unwrap());
    append(&mut writer, 1);
    let ended = writer.end().unwrap().unwrap();
    sync.finish(&ended).unwrap();
    let mut read = Vec::new();
    ended.read(0, ended.end() as usize, &mut |bytes| read.extend_from_slice(bytes)).unwrap();
    assert_eq!(read, disk.contents(&path(1)).unwrap());
}

#[test]
fn a_retired_segment_leaves_the_chain_unsynced_and_its_batches_count_as_durable() {
    let (disk, sync) = (disk(), Arc::new(GroupSync::new()));
    let mut writer = Writer::new(Arc::clone(&sync));
    let first = writer.begin(begin(&disk, 1));
    append(&mut writer, 1);
    writer.end().unwrap();
    let second = writer.begin(begin(&disk, 2));
    append(&mut writer, 2);
    let behind_two = writer.position();
    append(&mut writer, 3);
    // Batches 1 and 2 are durable in a table. The manifest no longer names segment 1.
    let syncs = sync.syncs();
    sync.retire(behind_two, &[1]);
    sync.sync_to(behind_two).unwrap();
    assert_eq!(sync.syncs(), syncs, "nobody has to sync for them");
    assert!(first.durable() < first.end() && second.durable() < second.end(), "nothing was synced");
    assert_eq!(sync.durable(), behind_two);
    append(&mut writer, 4);
    sync.sync_to(writer.position()).unwrap();
    assert!(first.durable() < first.end(), "it has left the chain");
    assert_eq!(second.durable(), second.end());
    assert_eq!(durable_before(&disk, 2)[2], Some(64), "no earlier segment is waited for");
}

#[test]
fn a_writer_that_waits_behind_the_end_mark_of_a_retired_segment_returns() {
    let (disk, sync) = (disk(), Arc::new(GroupSync::new()));
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin(&disk, 1));
    append(&mut writer, 1);
    let behind_one = writer.position();
    writer.end().unwrap();
    let behind_mark = writer.position();
    assert!(behind_one < behind_mark);
    sync.retire(behind_one, &[1]);
    sync.sync_to(behind_mark).unwrap();
    assert_eq!(sync.syncs(), 0, "there is nothing to sync");
}

#[test]
#[should_panic(expected = "the oldest segments are retired first")]
fn a_segment_is_not_retired_before_an_older_one() {
    let (disk, sync) = (disk(), Arc::new(GroupSync::new()));
    let mut writer = Writer::new(Arc::clone(&sync));
    for id in 1..=2 {
        writer.begin(begin(&disk, id));
        append(&mut writer, id);
        writer.end().unwrap();
    }
    sync.retire(writer.position(), &[2]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the leader is a thread of the test")]
fn a_leader_in_its_sync_does_not_hold_writers_back_whose_batches_are_retired() {
    let (disk, sync) = (disk(), Arc::new(GroupSync::new()));
    let inject = Inject::over_sim(disk.clone(), Plan::none());
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(begin_on(&inject, 1));
    append(&mut writer, 1);
    let (held, is_held) = channel();
    let (go, goes) = channel::<()>();
    let goes = Mutex::new(goes);
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::SyncFile {
            held.send(()).unwrap();
            goes.lock().unwrap().recv().unwrap_or_default();
        }
    }));
    let (behind_one, leading) = (writer.position(), Arc::clone(&sync));
    let leader = std::thread::spawn(move || leading.sync_to(behind_one));
    is_held.recv().unwrap();
    append(&mut writer, 2);
    let (behind_two, waiting) = (writer.position(), Arc::clone(&sync));
    let waiter = std::thread::spawn(move || waiting.sync_to(behind_two));
    sync.retire(behind_two, &[]);
    waiter.join().unwrap().unwrap();
    assert!(!leader.is_finished(), "its sync is held");
    drop(go);
    leader.join().unwrap().unwrap();
}
