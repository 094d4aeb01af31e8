//! The rule for the tail of a chain, and its repair, on the smallest owner of a chain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::chain::{ChainReader, ChainTail, RepairChain, TailSegment};
use durable::log::{Frame, GroupSync, Segment, SegmentLayout, Writer, frame_len, scan_segment};
use durable::publish::PublishedFile;
use durable::{Fs, Mapped, SimFs, SyncFailure};
use kv::{Error, Result};

use crate::store::{Log, STORE, identity, number_of, path, read_tail};

/// The segments of a log, by id; `true`: sealed. What a manifest says after an edit that is durable.
type Named = BTreeMap<u64, bool>;

/// An owner whose edits are durable at once, as synced edits of a manifest are.
struct Owner {
    disk: SimFs,
    named: Named,
    /// Every state of the manifest, and how many operations the disk had seen when it became durable.
    history: Vec<(usize, Named)>,
}

impl Owner {
    fn new(disk: &SimFs, named: Named) -> Self {
        let history = vec![(disk.ops(), named.clone())];
        Self { disk: disk.clone(), named, history }
    }

    fn edited(&mut self) {
        self.history.push((self.disk.ops(), self.named.clone()));
    }
}

impl RepairChain for Owner {
    fn path(&self, id: u64) -> PathBuf {
        path(id)
    }

    fn discard(&mut self, id: u64) -> Result<()> {
        assert_eq!(self.named.remove(&id), Some(false), "a segment that was not sealed");
        self.edited();
        self.disk.remove(&path(id))
    }

    fn seal(
        &mut self,
        segment: &TailSegment,
        bytes: &dyn Mapped,
        file: PublishedFile,
    ) -> Result<()> {
        assert_eq!(bytes.bytes().len() as u64, segment.len);
        assert_eq!(file.len_bytes(), segment.len);
        assert_eq!(self.named.insert(segment.id(), true), Some(false));
        self.edited();
        Ok(())
    }
}

/// The batches of a log, and the tail that is to be repaired.
fn recover(disk: &SimFs, named: &Named) -> Result<(Vec<u64>, ChainTail)> {
    let mut batches = Vec::new();
    for (&id, _) in named.iter().filter(|(_, sealed)| **sealed) {
        let bytes = disk.contents(&path(id)).unwrap();
        let scan = scan_segment(&bytes, STORE, id, &path(id), &mut |batch| {
            batches.push(number_of(batch));
            Ok(())
        })?;
        assert_eq!(scan.len, bytes.len() as u64, "a sealed segment is whole");
    }
    let unsealed = named.iter().filter(|(_, sealed)| !**sealed).map(|(&id, _)| id);
    let tail = read_tail(disk, unsealed, &mut batches)?;
    Ok((batches, tail))
}

fn run(steps: &[(usize, usize, bool)]) -> Log {
    let mut log = Log::new();
    for &(frames, len, sync) in steps {
        log.append(frames, len).unwrap();
        if sync {
            log.sync();
        }
    }
    log
}

fn unsealed(log: &Log, point: usize) -> Named {
    let created = log.created.iter().filter(|&&ops| ops <= point).count();
    (0..created as u64).map(|id| (id, false)).collect()
}

/// A torn segment, and two behind it.
fn torn() -> Log {
    run(&[(1, 100, true), (2, 150, false), (1, 300, false), (1, 300, false), (1, 90, false)])
}

#[test]
fn a_torn_segment_ends_the_log_and_later_ones_are_discarded() {
    let log = torn();
    let last = log.created.len() as u64 - 1;
    assert!(last >= 2);
    let mut bytes = log.disk.contents(&path(0)).unwrap();
    // Only the end mark is lost.
    bytes.truncate(64 + 128);
    log.disk.set_contents(&path(0), bytes);
    let (batches, tail) = recover(&log.disk, &unsealed(&log, usize::MAX)).unwrap();
    assert_eq!(batches, [1]);
    assert_eq!(tail.newest_sequence, 1);
    assert_eq!(tail.kept.iter().map(TailSegment::id).collect::<Vec<_>>(), [0]);
    assert_eq!(tail.discarded, (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_segment_without_a_batch_is_discarded() {
    let log = torn();
    let last = log.created.len() as u64 - 1;
    let mut bytes = log.disk.contents(&path(last)).unwrap();
    bytes[64..].fill(0);
    log.disk.set_contents(&path(last), bytes);
    let (batches, tail) = recover(&log.disk, &unsealed(&log, usize::MAX)).unwrap();
    assert_eq!(tail.discarded, [last]);
    assert_eq!(tail.newest_sequence, *batches.last().unwrap());
    assert_eq!(tail.kept.len() as u64, last);
}

#[test]
fn a_segment_whose_numbers_do_not_ascend_from_the_one_before_is_refused() {
    let disk = SimFs::new();
    disk.create_dir(Path::new("log")).unwrap();
    let mut writer = Writer::new(Arc::new(GroupSync::new()));
    let mut chain = ChainReader::new(STORE);
    for (id, number) in [(0, 7), (1, 8), (2, 8)] {
        let layout = SegmentLayout::Plain;
        let file = Segment::create_file(&disk, &path(id), 512, layout, identity(id)).unwrap();
        writer.end().unwrap();
        writer.begin(Segment::begin(&disk, file).unwrap());
        let frame = Frame { kind: 1, payload: [b"payload", &[], &[]] };
        writer.append(number, std::iter::once(frame)).unwrap();
    }
    writer.end().unwrap();
    for id in 0..2 {
        let bytes = disk.contents(&path(id)).unwrap();
        chain.read(&bytes, id, &path(id), &mut |_| Ok(())).unwrap();
    }
    let bytes = disk.contents(&path(2)).unwrap();
    let refused = chain.read(&bytes, 2, &path(2), &mut |_| Ok(())).unwrap_err();
    assert!(refused.to_string().contains("do not ascend"), "{refused}");
}

/// Nothing in the cut segment itself says that it was durable.
#[test]
fn a_segment_that_was_cut_is_damage_if_a_later_one_proves_that_it_was_durable() {
    let log = run(&[(1, 300, true), (1, 300, true), (1, 60, false)]);
    let end = 64 + frame_len(300);
    let mut bytes = log.disk.contents(&path(0)).unwrap();
    bytes.truncate(end);
    log.disk.set_contents(&path(0), bytes);
    let refused = recover(&log.disk, &unsealed(&log, usize::MAX)).unwrap_err();
    let Error::Corruption { path: named, offset, .. } = refused else { panic!("{refused}") };
    assert_eq!((named, offset), (path(0), end as u64));
}

#[test]
fn every_crash_during_a_repair_leaves_the_same_batches() {
    let log = torn();
    let (mut images, mut sealed) = (0, 0);
    let mut sweep = log.disk.sweep();
    while let Some(point) = sweep.next_point() {
        let named = unsealed(&log, point);
        for variant in sweep.all_variants(2) {
            let disk = sweep.image(&variant);
            let (expected, tail) = recover(&disk, &named).unwrap();
            let mut owner = Owner::new(&disk, named.clone());
            tail.repair(&disk, &mut owner).unwrap();
            sealed = sealed.max(tail.kept.len());
            images += check_crashes_of_repair(&owner, &expected);
        }
    }
    assert!(images > 1_000 && sealed > 1, "{images} images, {sealed} segments sealed");
}

fn check_crashes_of_repair(owner: &Owner, expected: &[u64]) -> usize {
    let mut images = 0;
    let mut sweep = owner.disk.sweep();
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(2) {
            let image = sweep.image(&variant);
            // A crash between two operations can come before or after the edit between them.
            for (at, (ops, named)) in owner.history.iter().enumerate() {
                let until = owner.history.get(at + 1).map_or(usize::MAX, |(ops, _)| *ops);
                if *ops <= point && point <= until {
                    let (batches, _) = recover(&image, named)
                        .unwrap_or_else(|error| panic!("point {point}, {variant}: {error}"));
                    assert_eq!(batches, expected, "point {point}, {variant}, edit {at}");
                    images += 1;
                }
            }
        }
    }
    images
}

/// The bytes are in the page cache and marked clean, so a sync alone writes nothing.
#[test]
fn a_repair_makes_bytes_durable_that_a_failed_sync_left_clean() {
    let log = run(&[(1, 100, false), (1, 40, false)]);
    log.disk.set_sync_failure(SyncFailure::KeepsNew);
    log.disk.fail_sync(&path(0));
    let disk = log.disk.restarted();
    let named = unsealed(&log, usize::MAX);
    let (batches, tail) = recover(&disk, &named).unwrap();
    assert_eq!(batches, [1, 2]);
    let mut owner = Owner::new(&disk, named);
    tail.repair(&disk, &mut owner).unwrap();
    let image = disk.crash(disk.ops(), &"strict/none".parse().unwrap());
    assert_eq!(recover(&image, &owner.named).unwrap().0, batches);
}

#[test]
fn repair_discards_the_newest_segment_first_and_seals_the_oldest_first() {
    let log = torn();
    let named = unsealed(&log, usize::MAX);
    let (_, mut tail) = recover(&log.disk, &named).unwrap();
    let first_discarded = tail.kept.len() as u64 - 2;
    for segment in tail.kept.split_off(first_discarded as usize) {
        tail.discarded.push(segment.id());
    }
    let mut owner = Owner::new(&log.disk, named.clone());
    tail.repair(&log.disk, &mut owner).unwrap();
    let steps: Vec<(usize, usize)> = owner
        .history
        .iter()
        .map(|(_, named)| (named.len(), named.values().filter(|sealed| **sealed).count()))
        .collect();
    let all = named.len();
    let mut expected = vec![(all, 0), (all - 1, 0), (all - 2, 0)];
    expected.extend((1..=all - 2).map(|sealed| (all - 2, sealed)));
    assert_eq!(steps, expected);
    assert!(owner.history[1].1.contains_key(&first_discarded), "the newest goes first");
}
