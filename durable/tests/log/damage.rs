//! Damage to what was durable is an error with a place, never a shorter log.

use durable::log::Frame;
use kv::Error;

use crate::store::{Log, path, recover};

#[test]
fn a_flipped_byte_in_a_synced_batch_with_a_later_write_is_an_error_at_that_batch() {
    let mut log = Log::new();
    for _ in 0..3 {
        log.append(1, 40).unwrap();
    }
    log.sync();
    log.append(1, 40).unwrap();
    let whole = log.disk.contents(&path(0)).unwrap();
    for at in 64..64 + 3 * 64 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        log.disk.set_contents(&path(0), damaged);
        let error = recover(&log.disk, log.created.len()).unwrap_err();
        let Error::Corruption { offset, .. } = error else { panic!("{error}") };
        assert_eq!(offset as usize, at / 64 * 64);
    }
}

#[test]
fn damage_in_a_segment_is_noticed_when_a_later_one_was_synced_after_it() {
    let mut log = Log::new();
    log.append(1, 300).unwrap();
    log.sync();
    log.append(1, 300).unwrap();
    log.sync();
    log.append(1, 60).unwrap();
    let mut damaged = log.disk.contents(&path(0)).unwrap();
    damaged[100] ^= 1;
    log.disk.set_contents(&path(0), damaged);
    assert!(recover(&log.disk, log.created.len()).unwrap_err().is_corruption());
}

#[test]
fn damage_to_what_only_the_last_sync_covered_looks_like_a_torn_tail() {
    let mut log = Log::new();
    log.append(1, 40).unwrap();
    log.sync();
    log.append(1, 40).unwrap();
    log.sync();
    let mut damaged = log.disk.contents(&path(0)).unwrap();
    damaged[64 + 64 + 30] ^= 1;
    log.disk.set_contents(&path(0), damaged);
    assert_eq!(recover(&log.disk, log.created.len()).unwrap(), [1], "the stated limit of the rule");
}

#[test]
fn a_segment_in_the_place_of_another_is_refused() {
    let mut log = Log::new();
    for _ in 0..4 {
        log.append(1, 300).unwrap();
    }
    let other = log.disk.contents(&path(2)).unwrap();
    log.disk.set_contents(&path(1), other);
    assert!(recover(&log.disk, log.created.len()).unwrap_err().is_corruption());
}

#[test]
fn a_value_that_is_an_image_of_a_log_is_never_taken_for_frames() {
    use durable::log::{
        Frame, GroupSync, Segment, SegmentIdentity, SegmentLayout, StoreId, Writer, scan_segment,
    };
    use durable::{Fs, SimFs};
    use std::path::Path;
    use std::sync::Arc;

    let mut log = Log::new();
    log.append(2, 40).unwrap();
    let image = log.disk.contents(&path(0)).unwrap();
    let disk = SimFs::new();
    disk.create_dir(Path::new("log")).unwrap();
    let identity = SegmentIdentity { store: StoreId([1; 16]), id: 0, epoch: 1, edit_number: 0 };
    let layout = SegmentLayout::Plain;
    let file = Segment::create_file(&disk, &path(0), 8192, layout, identity).unwrap();
    let segment = Segment::begin(&disk, file).unwrap();
    let mut writer = Writer::new(Arc::new(GroupSync::new()));
    writer.begin(segment);
    let frame = Frame { kind: 1, payload: [&image, &[], &[]] };
    writer.append(1, std::iter::once(frame)).unwrap();
    let mut bytes = disk.contents(&path(0)).unwrap();
    bytes[64] ^= 1; // The frame around the image is torn.
    let scan = scan_segment(&bytes, identity.store, 0, &path(0), &mut |_| panic!("no batch"));
    assert_eq!(scan.unwrap().len, 64);
}

#[test]
fn batches_whose_numbers_do_not_ascend_are_refused() {
    for (second, is_right) in [(6, true), (5, false), (4, false)] {
        let mut log = Log::new();
        log.append(1, 40).unwrap();
        let frame = || Frame { kind: 1, payload: [&[5; 8], &[], &[]] };
        log.writer.append(5, std::iter::once(frame())).unwrap();
        let frame = Frame { kind: 1, payload: [&[second as u8; 8], &[], &[]] };
        log.writer.append(second, std::iter::once(frame)).unwrap();
        assert_eq!(recover(&log.disk, 1).is_ok(), is_right, "{second}");
    }
}
