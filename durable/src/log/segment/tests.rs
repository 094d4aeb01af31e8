use super::super::format::SegmentLayout;
use super::super::header::SegmentIdentity;
use super::*;
use crate::identity::StoreId;
use crate::{Fault, Inject, Plan, SimFs};

const IDENTITY: SegmentIdentity =
    SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 1 };

#[test]
fn a_segment_whose_directory_cannot_be_opened_leaves_no_file() {
    let last_call_to_begin = 4;
    let inject =
        Inject::over_sim(SimFs::new(), Plan::once(last_call_to_begin, Fault::TooManyFiles));
    let path = Path::new("segment");
    let begin = || {
        let file =
            Segment::create_file(&inject, path, 4096, SegmentLayout::Plain, IDENTITY).unwrap();
        Segment::begin(&inject, file)
    };
    assert!(begin().unwrap_err().is_out_of_file_handles());
    assert_eq!(inject.injected(), 1, "the sync of the directory failed");
    begin().expect("the name is free again");
}

/// The operating system reports a failed sync once. A second attempt may succeed without having written anything.
#[test]
fn a_failed_sync_is_remembered_and_not_tried_again() {
    let calls_to_begin = 5;
    let plan = Plan::once(calls_to_begin + 1, Fault::Eio);
    let inject = Inject::over_sim(SimFs::new(), plan);
    let path = Path::new("segment");
    let file = Segment::create_file(&inject, path, 4096, SegmentLayout::Plain, IDENTITY).unwrap();
    let segment = Segment::begin(&inject, file).unwrap();
    assert_eq!(inject.calls(), calls_to_begin, "create, reserve, append and two syncs");
    segment.append(&[1; 8]).unwrap();
    let failed = segment.sync().unwrap_err().to_string();
    assert_eq!(inject.injected(), 1, "the sync failed");
    let calls = inject.calls();
    assert_eq!(segment.sync().unwrap_err().to_string(), failed);
    assert!(segment.durable() < segment.end() && inject.calls() == calls, "no second attempt");
    assert_eq!(segment.finish().unwrap_err().to_string(), failed);
}

/// The bytes of an append that failed may be in the file, and they belong to no batch.
#[test]
fn the_bytes_of_an_append_that_failed_are_not_read() {
    let inject = Inject::over_sim(SimFs::new(), Plan::none());
    let path = Path::new("segment");
    let file = Segment::create_file(&inject, path, 4096, SegmentLayout::Plain, IDENTITY).unwrap();
    let segment = Segment::begin(&inject, file).unwrap();
    segment.append(&[1; 8]).unwrap();
    inject.arm(Plan::once(inject.calls(), Fault::Late));
    assert!(matches!(segment.append(&[2; 8]), Err(AppendFailure::Unknown(_))));
    let end = segment.end();
    segment.read(end - 8, 8, &mut |bytes| assert_eq!(bytes, [1; 8])).unwrap();
    let read = segment.read(end - 8, 16, &mut |_| panic!("a part of it belongs to no batch"));
    assert!(read.unwrap_err().is_corruption());
}
