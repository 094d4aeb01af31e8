//! Logs of older formats stay readable. The fixtures hold whole segments, as an older build wrote them.

use std::path::Path;

use durable::SimFs;
use durable::log::{SegmentFormat, SegmentHeader};

use crate::store::{STORE, path, read_tail, recover};

/// The disk that a fixture describes.
fn disk(fixture: &str) -> SimFs {
    SimFs::from_fixture(Path::new("log"), fixture).unwrap()
}

/// Five batches in two segments. The first segment is ended; of the second, the last batch was not synced.
fn fixtures() -> [(SegmentFormat, SimFs); 2] {
    [
        (SegmentFormat::V1, disk(include_str!("../golden/log-1.hex"))),
        (SegmentFormat::V2, disk(include_str!("../golden/log-2.hex"))),
    ]
}

#[test]
fn a_log_of_an_older_format_is_read_as_it_was_written() {
    for (format, disk) in fixtures() {
        let mut found = Vec::new();
        let tail = read_tail(&disk, 0..2, &mut found).unwrap();
        assert_eq!(found, [1, 2, 3, 4], "{format:?}");
        assert_eq!(tail.kept.len(), 2);
        for segment in tail.kept {
            assert_eq!(segment.header.format, format);
            let bytes = disk.contents(&path(segment.id())).unwrap();
            let header = SegmentHeader::decode(&bytes, STORE, segment.id(), Path::new("segment"));
            assert_eq!(header.unwrap(), segment.header);
        }
    }
}

#[test]
fn damage_to_a_log_of_an_older_format_is_noticed() {
    for (format, disk) in fixtures() {
        let first = format.first_frame() as usize;
        let whole = disk.contents(&path(0)).unwrap();
        // The first batch was synced before the others were written.
        for at in (first..first + 2 * 64).filter(|at| whole[*at] != 0) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            disk.set_contents(&path(0), damaged);
            assert!(recover(&disk, 2).unwrap_err().is_corruption(), "{format:?}, byte {at}");
        }
    }
}

#[test]
fn the_witness_of_format_2_still_notices_a_lost_end() {
    let [_, (_, disk)] = fixtures();
    let mut cut = disk.contents(&path(0)).unwrap();
    cut[2048..].fill(0);
    disk.set_contents(&path(0), cut);
    let error = recover(&disk, 2).unwrap_err();
    assert!(error.to_string().contains("was durable"), "{error}");
}
