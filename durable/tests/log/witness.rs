//! Damage to the end of a segment, after each round of syncs: at most the last round goes unnoticed.

use durable::SimFs;
use durable::log::SegmentLayout;

use crate::store::{Log, path, recover};

/// A way to lose the end of a file.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The bytes from here on are overwritten.
    Overwritten(usize),
    /// The bytes from here on are zero, all but the last 8.
    Zeroed(usize),
    /// One byte is gone, and those behind it moved.
    Removed(usize),
    /// The file ends here.
    Cut(usize),
}

impl Loss {
    fn all(len: usize) -> impl Iterator<Item = Self> {
        let places = (0..len).step_by(4);
        places.flat_map(|at| {
            [Self::Overwritten(at), Self::Zeroed(at), Self::Removed(at), Self::Cut(at)]
        })
    }

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        let kept = bytes.len() - 8;
        match self {
            Self::Overwritten(at) => damaged[at..].fill(0xa5),
            Self::Zeroed(at) => damaged[at.min(kept)..kept].fill(0),
            Self::Removed(at) => drop(damaged.remove(at)),
            Self::Cut(at) => damaged.truncate(at),
        }
        damaged
    }
}

/// The fewest batches that any damage to segment `damaged` leaves without an error, on a disk with `segments`.
fn fewest_left(disk: &SimFs, segments: usize, damaged: u64) -> usize {
    let whole = disk.contents(&path(damaged)).unwrap();
    let found = recover(disk, segments).unwrap();
    let mut fewest = found.len();
    for loss in Loss::all(whole.len()) {
        let image = disk.duplicate();
        image.set_contents(&path(damaged), loss.of(&whole));
        if let Ok(left) = recover(&image, segments) {
            assert_eq!(left[..], found[..left.len()], "{loss:?}");
            fewest = fewest.min(left.len());
        }
    }
    fewest
}

/// One segment with `rounds` batches, each synced by itself: after a power cut that takes all that can go, and after the
/// death of the process.
fn after_rounds(layout: SegmentLayout, rounds: usize) -> [SimFs; 2] {
    let mut log = Log::with(layout, 4096);
    for _ in 0..rounds {
        log.append(2, 30).unwrap();
        log.sync();
    }
    [log.disk.crash(log.disk.ops(), &"strict/none".parse().unwrap()), log.disk]
}

#[test]
fn damage_to_the_end_of_a_segment_hides_at_most_the_last_round() {
    for rounds in 1..7 {
        let [cut, killed] = after_rounds(SegmentLayout::Witnessed, rounds);
        assert_eq!(recover(&cut, 1).unwrap().len(), rounds, "a power cut takes nothing synced");
        assert_eq!(fewest_left(&cut, 1, 0), rounds - 1, "after a power cut");
        assert_eq!(fewest_left(&killed, 1, 0), rounds, "after the death of the process");
    }
}

#[test]
fn without_a_witness_all_rounds_of_a_segment_can_go_unnoticed() {
    let [cut, killed] = after_rounds(SegmentLayout::Plain, 6);
    assert_eq!(fewest_left(&cut, 1, 0), 0, "a plain segment has this limit");
    assert_eq!(fewest_left(&killed, 1, 0), 0, "a plain segment has this limit");
}

/// All frames were written before the first sync, so none of them proves anything.
#[test]
fn a_claim_alone_proves_that_an_earlier_segment_was_durable() {
    for layout in [SegmentLayout::Plain, SegmentLayout::Witnessed] {
        let mut log = Log::with(SegmentLayout::Plain, 512);
        log.append(1, 150).unwrap();
        log.append(1, 150).unwrap();
        log.layout = layout;
        log.append(1, 150).unwrap();
        log.sync();
        assert_eq!(log.created.len(), 2);
        let mut first = log.disk.contents(&path(0)).unwrap();
        first[64 + 176 + 30] ^= 1;
        log.disk.set_contents(&path(0), first);
        match recover(&log.disk, 2) {
            Ok(found) => assert_eq!((layout, &found[..]), (SegmentLayout::Plain, &[1][..])),
            Err(error) => assert!(layout == SegmentLayout::Witnessed && error.is_corruption()),
        }
    }
}

/// A sync that is acknowledged because its segment was finished begins no round.
#[test]
fn after_the_death_of_the_process_damage_hides_no_sync_that_finishing_a_segment_acknowledged() {
    let mut log = Log::with(SegmentLayout::Witnessed, 512);
    log.append(1, 100).unwrap();
    log.sync();
    // The last batch of the first segment. Its writer is about to wait for the sync.
    log.append(1, 100).unwrap();
    let target = log.writer.position();
    let first = log.writer.active().unwrap().clone();
    while log.created.len() == 1 {
        log.append(1, 100).unwrap();
    }
    log.sync.finish(&first).unwrap();
    let rounds = log.sync.syncs();
    log.sync.sync_to(target).unwrap();
    assert_eq!(log.sync.syncs(), rounds, "acknowledged without a round");
    let killed = log.disk.restarted();
    assert!(recover(&killed, 2).unwrap().len() >= 3);
    let mut bytes = killed.contents(&path(0)).unwrap();
    bytes[target.offset as usize - 128..].fill(0);
    killed.set_contents(&path(0), bytes);
    let found = recover(&killed, 2);
    assert!(found.is_err(), "batch 2 was synced, and is cut like a torn tail: {found:?}");
}

/// The manifest has a checksum of a finished segment, so a crash must not take its last claim back.
#[test]
fn the_last_claim_of_a_finished_segment_is_durable() {
    let mut log = Log::with(SegmentLayout::Witnessed, 512);
    log.append(1, 100).unwrap();
    log.sync();
    log.append(1, 100).unwrap();
    let first = log.writer.end().unwrap().unwrap();
    log.sync.finish(&first).unwrap();
    let whole = log.disk.contents(&path(0)).unwrap();
    let cut = log.disk.crash(log.disk.ops(), &"strict/none".parse().unwrap());
    assert_eq!(cut.contents(&path(0)).unwrap(), whole);
}

#[test]
fn the_bound_holds_across_segments() {
    let mut log = Log::with(SegmentLayout::Witnessed, 512);
    for rounds in 1..12 {
        log.append(1, 150).unwrap();
        log.sync();
        let cut = log.disk.crash(log.disk.ops(), &"strict/none".parse().unwrap());
        let segments = log.created.len();
        for damaged in 0..segments as u64 {
            assert!(fewest_left(&cut, segments, damaged) + 1 >= rounds, "{rounds}, {damaged}");
        }
    }
    assert!(log.created.len() > 3, "{:?}", log.created);
}
