//! Logs with right checksums and a content that no writer of ours leaves.

use std::path::Path;
use std::sync::Arc;

use durable::SimFs;
use durable::log::{
    Frame, GroupSync, Segment, SegmentHeader, SegmentIdentity, SegmentLayout, StoreId, Writer,
};
use kv::{Durability, Kv};

use crate::world::{STORE, World, entries};

/// The bytes of a log of that identity with one batch.
fn log_of(identity: SegmentIdentity, batch: &[Frame<'_>]) -> Vec<u8> {
    let (disk, path) = (SimFs::new(), Path::new("forged"));
    let layout = SegmentLayout::Witnessed;
    let file =
        Segment::create_file(&disk, path, 8192, layout, identity).expect("the disk is whole");
    let mut writer = Writer::new(Arc::new(GroupSync::new()));
    let segment = writer.begin(Segment::begin(&disk, file).expect("the disk is whole"));
    writer.append(1, batch.iter().copied()).expect("the disk is whole");
    let mut bytes = disk.contents(path).expect("it was created");
    bytes.truncate(segment.end() as usize);
    bytes
}

/// A store that was killed after one write, whose log has `batch` in the place of that.
fn store_with_batch(batch: &[Frame<'_>]) -> World {
    let world = World::new();
    let engine = world.open().expect("the store is new");
    engine.put(b"key", b"value", Durability::Sync).expect("the disk is whole");
    drop(engine);
    let [name] = &world.files("log")[..] else { panic!("there is one log") };
    let path = Path::new(STORE).join(name);
    let bytes = world.disk.contents(&path).expect("it was listed");
    let store = StoreId(std::array::from_fn(|at| bytes[8 + at]));
    let id = name.trim_end_matches(".log").parse().expect("a name is a number");
    let header = SegmentHeader::decode(&bytes, store, id, &path).expect("it is whole");
    world.disk.set_contents(&path, log_of(header.identity, batch));
    world
}

const PUT: Frame<'_> = Frame { kind: 1, payload: [b"\x01\0", b"a", b"value"] };
const OTHER_PUT: Frame<'_> = Frame { kind: 1, payload: [b"\x01\0", b"b", b"value"] };
const DELETE: Frame<'_> = Frame { kind: 2, payload: [b"a", b"", b""] };
const DELETE_RANGE: Frame<'_> = Frame { kind: 3, payload: [b"\x01\0", b"a", b"b"] };

#[test]
fn a_batch_that_our_writer_could_have_written_is_replayed() {
    let world = store_with_batch(&[DELETE_RANGE, DELETE_RANGE, OTHER_PUT, PUT]);
    assert_eq!(entries(&world.open().unwrap()).len(), 2);
}

#[test]
fn a_batch_with_two_operations_on_a_key_is_damage() {
    for batch in [&[PUT, PUT][..], &[PUT, OTHER_PUT, DELETE], &[DELETE_RANGE, DELETE, PUT]] {
        let world = store_with_batch(batch);
        let refused = world.open().unwrap_err();
        assert!(refused.is_corruption() && refused.to_string().contains("same key"), "{refused}");
    }
}

#[test]
fn a_batch_that_deletes_a_range_last_is_damage() {
    let refused = store_with_batch(&[PUT, DELETE_RANGE]).open().unwrap_err();
    assert!(refused.is_corruption() && refused.to_string().contains("range"), "{refused}");
}
