//! Panics inside the engine: what was half changed takes no more writes.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitcask::{Bitcask, Options};
use durable::{Inject, OpKind, Plan};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World, fill, key};

/// Options with a disk that panics once, at the next call of `kind` after the flag is set.
fn panicking_at(world: &World, kind: OpKind) -> (Options, Arc<AtomicBool>) {
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    inject.on_call(Arc::new(move |call| {
        if call.kind == kind && armed.swap(false, Ordering::SeqCst) {
            panic_any("injected by this test");
        }
    }));
    let mut options = world.options().merge(None);
    options.env.fs = Arc::new(inject);
    (options, is_armed)
}

/// The panic comes while a batch is appended, while the next file is begun, and while a batch is read back for publication.
#[test]
fn a_panic_inside_the_commit_section_poisons_the_store() {
    let cases = [
        (OpKind::Append, Durability::Buffered, 0..1),
        (OpKind::CreateLog, Durability::Buffered, 0..60),
        (OpKind::Read, Durability::Sync, 0..1),
    ];
    for (kind, durability, keys) in cases {
        let world = World::new();
        let (options, is_armed) = panicking_at(&world, kind);
        let engine = Bitcask::open(STORE, options).unwrap();
        fill(&engine, 100..105, 1);
        engine.sync().unwrap();
        is_armed.store(true, Ordering::SeqCst);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            for number in keys {
                engine.put(&key(number), &[2; 100], durability).unwrap();
            }
        }));
        assert!(unwound.is_err(), "{kind}: the disk has panicked");
        for durability in [Durability::Buffered, Durability::Sync] {
            let refused = engine.put(b"later", b"1", durability).unwrap_err();
            assert!(matches!(refused, Error::Poisoned { .. }), "{kind}: {refused}");
        }
        assert!(engine.sync().is_err(), "{kind}");
        assert_eq!(engine.get(&key(101)).unwrap().as_deref(), Some(&[1; 100][..]), "reads go on");
        drop(engine);
        let engine = world.open().unwrap();
        assert_eq!(engine.get(&key(101)).unwrap().as_deref(), Some(&[1; 100][..]));
        engine.put(b"later", b"1", Durability::Sync).unwrap();
        engine.verify().unwrap();
    }
}

/// A destructor may write while another panic unwinds its thread.
#[test]
fn a_write_during_another_panic_poisons_nothing() {
    struct Writes<'e>(&'e Bitcask);
    impl Drop for Writes<'_> {
        fn drop(&mut self) {
            self.0.put(b"last words", b"1", Durability::Buffered).unwrap();
        }
    }
    let world = World::new();
    let engine = world.open().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _writes = Writes(&engine);
        panic_any("injected by this test");
    }));
    assert!(unwound.is_err());
    assert!(engine.get(b"last words").unwrap().is_some());
    engine.put(b"later", b"1", Durability::Sync).unwrap();
}
