//! Sealed files without records.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bitcask::{Bitcask, MergeOptions};
use durable::{Fault, Inject, OpKind, Plan};
use kv::{Durability, Kv};

use crate::tombstones::tombstones;
use crate::world::{STORE, World, entries, fill, key};

/// A store through `inject`, whose first put was asked for.
fn put_once(world: &World, inject: &Inject) -> (Bitcask, kv::Result<kv::SequenceNumber>) {
    let mut options = world.options().merge(None);
    options.env.fs = Arc::new(inject.clone());
    let engine = Bitcask::open(STORE, options).unwrap();
    let put = engine.put(b"a", b"1", Durability::Buffered);
    (engine, put)
}

/// The number of the call that appends the first put.
fn first_append() -> usize {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let append = Arc::new(AtomicUsize::new(0));
    let last = Arc::clone(&append);
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Append {
            last.store(call.index, Ordering::SeqCst);
        }
    }));
    put_once(&world, &inject).1.unwrap();
    append.load(Ordering::SeqCst)
}

/// A closed store of one sealed file without records: its first append found no space.
fn store_with_an_empty_file() -> World {
    let world = World::new();
    let plan = Plan::once(first_append(), Fault::NoSpace);
    let (engine, put) = put_once(&world, &Inject::over_sim(world.disk.clone(), plan));
    assert!(put.unwrap_err().is_out_of_resources());
    engine.close().unwrap();
    drop(engine);
    let dump = bitcask::dump(STORE, &world.options().env).unwrap();
    assert_eq!(dump["data_files"].as_array().unwrap().len(), 1, "{dump}");
    assert_eq!(world.data_files(), [0]);
    world
}

#[test]
fn a_sealed_file_without_records_is_dropped_by_the_next_look_for_merges() {
    let world = store_with_an_empty_file();
    let merge = MergeOptions::default();
    let engine = Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
    world.executor.run_all();
    assert!(world.data_files().is_empty(), "{:?}", engine.statistics());
    assert!(entries(&engine).is_empty());
}

/// The file is damaged, so that no merge takes it, and has no hint. It has no put that could come back.
#[test]
fn no_tombstone_stays_for_a_file_without_records() {
    let world = store_with_an_empty_file();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    let path = world.data_path(0);
    let mut bytes = world.disk.contents(&path).unwrap();
    bytes.pop();
    world.disk.set_contents(&path, bytes);
    world.disk.delete(Path::new("store/000000.hint"));
    fill(&engine, 0..30, 1);
    engine.delete(&key(5), Durability::Buffered).unwrap();
    assert!(engine.merge().unwrap_err().is_corruption());
    assert_eq!(tombstones(&world), 1);
    engine.merge().unwrap();
    assert!(world.data_files().contains(&0), "the damaged file stays");
    assert_eq!(tombstones(&world), 0);
    assert_eq!(engine.get(&key(5)).unwrap(), None);
}
