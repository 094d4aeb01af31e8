//! A process that runs out of file descriptors for a moment.

use std::sync::Arc;

use bitcask::Bitcask;
use durable::{Fault, Inject, Plan};
use kv::{Durability, Kv};

use crate::world::{STORE, World, key};

/// Opens a store with no descriptor at call `at`, and fills some files. `None`: it could not be opened. Otherwise whether the
/// fault was met, and the answer to a last synced put.
fn run(at: usize) -> Option<(bool, kv::Result<()>)> {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::once(at, Fault::TooManyFiles));
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    let engine = Bitcask::open(STORE, options).ok()?;
    for round in 0..3 {
        for number in 0..20 {
            drop(engine.put(&key(number), &[round; 100], Durability::Buffered));
        }
        world.executor.run_all();
    }
    let put = engine.put(b"later", b"1", Durability::Sync).map(drop);
    Some((inject.injected() > 0, put))
}

#[test]
fn a_process_without_descriptors_for_a_moment_poisons_nothing() {
    let mut met = 0;
    for at in 0..400 {
        let Some((is_met, put)) = run(at) else { continue };
        met += usize::from(is_met);
        assert!(put.is_ok(), "no descriptor at call {at}: {put:?}");
    }
    assert!(met > 20, "{met} calls were without a descriptor");
}
