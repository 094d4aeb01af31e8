//! Files with right checksums and a content that no writer of ours leaves.

use std::path::Path;
use std::sync::Arc;

use bitcask::Bitcask;
use durable::SimFs;
use durable::log::{
    Frame, GroupSync, Segment, SegmentHeader, SegmentIdentity, SegmentLayout, StoreId, Writer,
};
use kv::{Durability, Error, Kv};

use crate::world::{FIRST_RECORD, STORE, World, entries, fill, key};

/// The last sequence number that a store gives to a batch.
const LAST: u64 = (1 << 48) - 1;

/// How long the frame is of a put of [`fill`].
const RECORD_LEN: usize = 136;

/// The header of data file `id`.
fn header(world: &World, id: u64) -> SegmentHeader {
    let path = world.data_path(id);
    let bytes = world.disk.contents(&path).unwrap();
    let store = StoreId(std::array::from_fn(|at| bytes[8 + at]));
    SegmentHeader::decode(&bytes, store, id, &path).unwrap()
}

/// A data file of that identity with one put in each batch: its number and its key. The value is that of `fill` in round 1.
fn file_of(identity: SegmentIdentity, puts: &[(u64, u32)], is_ended: bool) -> Vec<u8> {
    let (disk, path) = (SimFs::new(), Path::new("forged"));
    let layout = SegmentLayout::Witnessed;
    let file = Segment::create_file(&disk, path, 8192, layout, identity).unwrap();
    let mut writer = Writer::new(Arc::new(GroupSync::new()));
    let segment = writer.begin(Segment::begin(&disk, file).unwrap());
    for &(sequence, number) in puts {
        let frame = Frame { kind: 1, payload: [&[4, 0], &key(number), &[1; 100]] };
        writer.append(sequence, std::iter::once(frame)).unwrap();
    }
    if is_ended {
        writer.end().unwrap();
    }
    let mut bytes = disk.contents(path).unwrap();
    bytes.truncate(segment.end() as usize);
    bytes
}

/// A closed store with `fill` of keys 0 to 39 in round 1. Its first file has the batches `puts` in the place of its own,
/// and the same length.
fn store_with_forged_file(puts: impl Fn(u32) -> Vec<(u64, u32)>) -> World {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..40, 1);
    engine.close().unwrap();
    drop(engine);
    let identity = header(&world, 0).identity;
    let victim = world.data_path(0);
    let len = world.disk.contents(&victim).unwrap().len();
    let records = ((len - FIRST_RECORD - 24) / RECORD_LEN) as u32;
    let forged = file_of(identity, &puts(records), true);
    assert_eq!(forged.len(), len, "the length is that of the manifest");
    world.disk.set_contents(&victim, forged);
    world
}

/// Merges a store whose first file has wrong numbers. The key 30 is overwritten first, so that another file is worth merging.
fn assert_first_file_is_refused_at(world: &World, record: usize) {
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..3, 2);
    fill(&engine, 30..31, 2);
    let refused = engine.merge().unwrap_err();
    let Error::Corruption { path, offset, .. } = &refused else { panic!("{refused:?}") };
    assert!(path.ends_with("000000.data"), "{refused}");
    assert_eq!(*offset, (FIRST_RECORD + record * RECORD_LEN) as u64, "{refused}");
    // The next one leaves the input alone.
    engine.merge().unwrap();
    assert!(engine.statistics().merges > 0);
    assert!(world.data_files().contains(&0), "the damaged file is not thrown away");
    engine.put(b"later", b"1", Durability::Sync).unwrap();
}

/// The hint has the right numbers, so the opening does not notice.
#[test]
fn an_input_whose_numbers_descend_fails_the_merge_and_is_left_alone() {
    let descending =
        |records| (0..records).rev().map(|number| (u64::from(number) + 1, number)).collect();
    assert_first_file_is_refused_at(&store_with_forged_file(descending), 1);
}

#[test]
fn an_input_with_two_batches_of_one_number_fails_the_merge_and_is_left_alone() {
    let twice = |records| {
        let numbers = (0..records).map(|number| (u64::from(number.max(1)), number));
        numbers.collect()
    };
    assert_first_file_is_refused_at(&store_with_forged_file(twice), 1);
}

/// The number after the last one would not fit into the keydir.
#[test]
fn a_store_whose_numbers_have_run_out_refuses_writes_and_appends_nothing() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..1, 1);
    drop(engine);
    let forged = file_of(header(&world, 0).identity, &[(LAST - 1, 0)], false);
    world.disk.set_contents(&world.data_path(0), forged);
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 1..2, 1);
    assert_eq!(engine.newest_sequence().0, LAST, "the last number is given to a batch");
    let ops = world.disk.ops();
    for durability in [Durability::Buffered, Durability::Sync] {
        let refused = engine.put(b"b", b"2", durability).unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument(_)), "{refused}");
        let refused = engine.delete(&key(0), durability).unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument(_)), "{refused}");
    }
    assert_eq!(world.disk.ops(), ops, "a refused batch changes nothing on the disk");
    engine.merge().unwrap();
    engine.close().unwrap();
    drop(engine);
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    assert_eq!(entries(&engine).len(), 2);
    assert_eq!(engine.newest_sequence().0, LAST);
}
