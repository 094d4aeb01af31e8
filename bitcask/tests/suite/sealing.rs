//! Sealing a full data file: how it is read back.

use std::sync::{Arc, Mutex};

use bitcask::Bitcask;
use durable::{Inject, OpKind, Plan};
use kv::Kv;

use crate::world::{STORE, World, entries, fill};

/// Through the segment, which is mapped for reads anywhere, sealing read a file that had left memory page by page, and twice:
/// once for its records and once for its checksum.
#[test]
fn a_full_file_is_read_back_through_a_mapping_of_its_own_for_one_pass() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    inject.on_call(Arc::new(move |call| {
        if call.path.ends_with("000000.data") || call.path.to_string_lossy().contains(".hint") {
            seen.lock().unwrap().push(call.kind);
        }
    }));
    let mut options = world.options();
    options.env.fs = Arc::new(inject);
    let engine = Bitcask::open(STORE, options).unwrap();
    fill(&engine, 0..20, 200);
    calls.lock().unwrap().clear();
    world.executor.run_all();
    let calls = calls.lock().unwrap().clone();
    let finished = calls.iter().position(|kind| *kind == OpKind::Finish).unwrap();
    let hinted = calls.iter().position(|kind| *kind == OpKind::Create).unwrap();
    let between = &calls[finished + 1..hinted];
    assert!(between.contains(&OpKind::Map) && !between.contains(&OpKind::Read), "{between:?}");
    assert_eq!(entries(&engine).len(), 20);
    engine.close().unwrap();
}
