//! A frame counts only in the segment that it was written to.

use std::path::Path;
use std::sync::Arc;

use durable::log::{
    Frame, GroupSync, Segment, SegmentIdentity, SegmentLayout, StoreId, Writer, scan_segment,
};
use durable::{Fs, SimFs};
use kv::Error;

const IDENTITY: SegmentIdentity =
    SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 17 };

/// The same file at another place, each differing in one field.
const OTHERS: [SegmentIdentity; 4] = [
    SegmentIdentity { store: StoreId([8; 16]), ..IDENTITY },
    SegmentIdentity { id: 4, ..IDENTITY },
    SegmentIdentity { epoch: 1, ..IDENTITY },
    SegmentIdentity { edit_number: 16, ..IDENTITY },
];

const LAYOUTS: [SegmentLayout; 2] = [SegmentLayout::Plain, SegmentLayout::Witnessed];

/// Where the first frame of a segment starts.
fn first_frame(layout: SegmentLayout) -> usize {
    if layout == SegmentLayout::Plain { 64 } else { 2048 }
}

/// A segment with one batch for each of `payloads`, each synced by itself. Each frame takes 64 bytes.
fn segment(identity: SegmentIdentity, layout: SegmentLayout, payloads: &[[u8; 40]]) -> Vec<u8> {
    let (disk, path) = (SimFs::new(), Path::new("log/segment"));
    disk.create_dir(Path::new("log")).unwrap();
    let file = Segment::create_file(&disk, path, 512, layout, identity).unwrap();
    let sync = Arc::new(GroupSync::new());
    let mut writer = Writer::new(Arc::clone(&sync));
    writer.begin(Segment::begin(&disk, file).unwrap());
    for (number, payload) in payloads.iter().enumerate() {
        let frame = Frame { kind: 1, payload: [payload, &[], &[]] };
        writer.append(number as u64 + 1, std::iter::once(frame)).unwrap();
        sync.sync_to(writer.position()).unwrap();
    }
    disk.contents(path).unwrap()
}

/// The payloads of the batches of `bytes`, a segment with [`IDENTITY`].
fn scan(bytes: &[u8]) -> kv::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    scan_segment(bytes, IDENTITY.store, IDENTITY.id, Path::new("segment"), &mut |batch| {
        found.extend(batch.iter().map(|frame| frame.payload.to_vec()));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn a_frame_of_another_segment_at_the_same_offset_is_refused() {
    for (layout, other) in LAYOUTS.into_iter().flat_map(|layout| OTHERS.map(|id| (layout, id))) {
        let own = segment(IDENTITY, layout, &[[1; 40], [2; 40], [3; 40]]);
        let foreign = segment(other, layout, &[[7; 40], [8; 40], [9; 40]]);
        assert_eq!(scan(&own).unwrap().len(), 3);
        let second = first_frame(layout) + 64;
        let mut mixed = own;
        mixed[second..second + 64].copy_from_slice(&foreign[second..second + 64]);
        let error = scan(&mixed).unwrap_err();
        let Error::Corruption { offset, .. } = error else { panic!("{error}") };
        assert_eq!(offset, second as u64, "{layout:?}, {other:?}");
    }
}

/// The frames of the older opening say that everything in front of them was durable, and they stand where the next frames
/// of this opening would stand. They are neither the end of the log nor a proof that a frame in front of them is damaged.
#[test]
fn left_over_frames_of_an_older_opening_behind_a_torn_tail_are_no_later_frames() {
    let older = SegmentIdentity { epoch: IDENTITY.epoch - 1, ..IDENTITY };
    for layout in LAYOUTS {
        let own = segment(IDENTITY, layout, &[[1; 40]]);
        let left_over = segment(older, layout, &[[7; 40]; 4]);
        let end = first_frame(layout) + 64;
        for start in [end, end + 64] {
            let mut mixed = own.clone();
            mixed[start..].copy_from_slice(&left_over[start..own.len()]);
            assert_eq!(scan(&mixed).unwrap(), [[1; 40]], "{layout:?}, from {start} on");
        }
    }
}

#[test]
fn the_witness_of_another_segment_is_no_witness() {
    for other in OTHERS {
        let mut mixed = segment(IDENTITY, SegmentLayout::Witnessed, &[[1; 40]]);
        let foreign = segment(other, SegmentLayout::Witnessed, &[[1; 40]]);
        mixed[512..2048].copy_from_slice(&foreign[512..2048]);
        let error = scan(&mixed).unwrap_err();
        assert!(error.to_string().contains("no readable witness"), "{other:?}: {error}");
    }
}
