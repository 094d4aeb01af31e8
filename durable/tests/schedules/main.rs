//! Schedules of the log's protocols, under `--cfg shuttle`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod executor;
mod locks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::{
    Frame, GroupSync, Segment, SegmentIdentity, SegmentLayout, StoreId, Writer, scan_segment,
};
use durable::sync::Mutex;
use durable::{Fault, Fs, Inject, Plan, SimFs};

const STORE: StoreId = StoreId([3; 16]);

fn path(segment: u64) -> PathBuf {
    PathBuf::from(format!("log/{segment}"))
}

struct Log {
    fs: Arc<dyn Fs>,
    sync: Arc<GroupSync>,
    writer: Mutex<(Writer, u64, u64)>,
    batches_per_segment: u64,
}

impl Log {
    fn new(fs: Arc<dyn Fs>, batches_per_segment: u64) -> Arc<Self> {
        let sync = Arc::new(GroupSync::new());
        let writer = Mutex::new((Writer::new(Arc::clone(&sync)), 0, 0));
        Arc::new(Self { fs, sync, writer, batches_per_segment })
    }

    /// Appends one batch and waits for it to be durable; rotates when the segment is full.
    fn write(&self) -> kv::Result<u64> {
        let mut state = self.writer.lock();
        let (writer, segments, sequence) = &mut *state;
        if !writer.has_room(64) {
            let identity =
                SegmentIdentity { store: STORE, id: *segments, epoch: 1, edit_number: 1 };
            let capacity = 64 + 64 * self.batches_per_segment + 24;
            let (fs, path) = (&*self.fs, path(*segments));
            let layout = SegmentLayout::Plain;
            let file = Segment::create_file(fs, &path, capacity, layout, identity)?;
            let next = Segment::begin(fs, file)?;
            *segments += 1;
            let ended = writer.end()?;
            writer.begin(next);
            if let Some(ended) = ended {
                let sync = Arc::clone(&self.sync);
                durable::sync::spawn("seal", move || drop(sync.finish(&ended)));
            }
        }
        *sequence += 1;
        let mine = *sequence;
        let payload = [mine as u8; 40];
        let frame = Frame { kind: 1, payload: [&payload, &[], &[]] };
        let span = writer.append(mine, std::iter::once(frame))?;
        drop(state);
        self.sync.sync_to(span.end())?;
        Ok(mine)
    }
}

/// Whether batch `sequence` is on the disk when everything unsynced is lost.
fn is_durable(disk: &SimFs, sequence: u64) -> bool {
    let left = disk.crash(disk.ops(), &"strict/none".parse().unwrap());
    let mut found = false;
    for segment in 0.. {
        let Some(bytes) = left.contents(&path(segment)) else { break };
        scan_segment(&bytes, STORE, segment, &path(segment), &mut |batch| {
            found |= batch[0].sequence == sequence;
            Ok(())
        })
        .unwrap();
    }
    found
}

fn new_disk() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir(Path::new("log")).unwrap();
    disk
}

#[test]
fn a_write_that_returned_is_durable_whoever_led_the_group() {
    let scenario = || {
        let disk = new_disk();
        let log = Log::new(Arc::new(disk.clone()), 2);
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (log, disk) = (Arc::clone(&log), disk.clone());
                shuttle::thread::spawn(move || {
                    for _ in 0..2 {
                        let sequence = log.write().unwrap();
                        assert!(is_durable(&disk, sequence), "batch {sequence}");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

#[test]
fn a_sync_that_failed_for_one_caller_does_not_succeed_for_another() {
    let scenario = || {
        let disk = new_disk();
        // Calls 0 to 4 begin the first segment; one of the syncs that follow fails, once.
        let plan = Plan { at: 11, fault: Fault::Eio, sticky: false };
        let log = Log::new(Arc::new(Inject::over_sim(disk.clone(), plan)), 1);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (log, disk) = (Arc::clone(&log), disk.clone());
                shuttle::thread::spawn(move || {
                    for _ in 0..3 {
                        if let Ok(sequence) = log.write() {
                            assert!(is_durable(&disk, sequence), "batch {sequence}");
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
    };
    shuttle::check_random(scenario, 3_000);
    shuttle::check_pct(scenario, 3_000, 3);
}

#[test]
fn a_failed_sync_reaches_every_waiter_and_nobody_is_left_waiting() {
    let scenario = || {
        let disk = new_disk();
        // The only segment takes four calls to create; then come appends and syncs.
        let plan = Plan { at: 7, fault: Fault::Eio, sticky: true };
        let log = Log::new(Arc::new(Inject::over_sim(disk.clone(), plan)), 9);
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (log, disk) = (Arc::clone(&log), disk.clone());
                shuttle::thread::spawn(move || {
                    for _ in 0..3 {
                        match log.write() {
                            Ok(sequence) => assert!(is_durable(&disk, sequence)),
                            Err(_) => return true,
                        }
                    }
                    false
                })
            })
            .collect();
        let failures = writers.into_iter().map(|writer| writer.join().unwrap());
        assert!(failures.filter(|&failed| failed).count() > 0);
        assert!(log.sync.check().is_err());
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}
