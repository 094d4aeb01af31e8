//! Opening a store: failures of its threads, and of its files.

use std::io::ErrorKind;
use std::panic::panic_any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bitcask::{Bitcask, Options};
use durable::{Env, Fault, Fs as _, Inject, OpKind, Plan, ThreadPool};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World, entries, fill, key};

/// A file system on which the first thread, other than this one, that opens a hint panics there. This thread waits for
/// that before it opens one.
fn panics_in_a_loading_thread(world: &World) -> Inject {
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (opener, panicked) = (thread::current().id(), Arc::new(AtomicBool::new(false)));
    inject.on_call(Arc::new(move |call| {
        if call.kind != OpKind::Open || call.path.extension().is_none_or(|e| e != "hint") {
            return;
        }
        if thread::current().id() == opener {
            while !panicked.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        } else if !panicked.swap(true, Ordering::SeqCst) {
            panic_any("injected by this test");
        }
    }));
    inject
}

fn options(world: &World, fs: Inject) -> Options {
    let env = Env {
        fs: Arc::new(fs),
        clock: Arc::clone(&world.clock) as _,
        executor: Arc::new(ThreadPool::new(2, Arc::clone(&world.clock) as _)),
        entropy: Arc::new(durable::SeededEntropy::new(7)),
    };
    Options::in_env(env).data_file_bytes(2048)
}

#[test]
fn a_loading_thread_that_panics_fails_the_opening() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..100, 7);
    engine.close().unwrap();
    let refused = Bitcask::open(STORE, options(&world, panics_in_a_loading_thread(&world)));
    assert!(refused.unwrap_err().to_string().contains("load"), "the error names the work");
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine).len(), 100);
    assert_eq!(engine.get(&key(99)).unwrap().as_deref(), Some(&[7; 100][..]));
}

/// Options with a disk on which these kinds of calls to files with `path` in their names fail.
fn failing(world: &World, kinds: &[OpKind], path: &str) -> Options {
    let mut options = world.options();
    for &kind in kinds {
        let fault = Fault::EioOf { kind, path: path.into() };
        let plan = Plan { at: 0, fault, sticky: true };
        options.env.fs = Arc::new(Inject::new(options.env.fs, plan));
    }
    options
}

#[test]
fn a_hint_that_cannot_be_read_does_not_block_opening() {
    for kind in [OpKind::Open, OpKind::Read, OpKind::Map] {
        let world = World::new();
        let engine = world.open().unwrap();
        fill(&engine, 0..50, 1);
        engine.close().unwrap();
        drop(engine);
        let engine = Bitcask::open(STORE, failing(&world, &[kind], ".hint"));
        let engine = engine.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(entries(&engine).len(), 50, "{kind}");
        fill(&engine, 50..60, 1);
        engine.close().unwrap();
        drop(engine);
        let engine = world.open().unwrap();
        assert_eq!(entries(&engine).len(), 60, "{kind}");
        engine.verify().unwrap();
    }
}

/// A file under the name of a hint that cannot be opened is left alone, and files are sealed without hints.
#[test]
fn a_hint_that_cannot_be_opened_blocks_no_sealing() {
    let world = World::new();
    let engine = Bitcask::open(STORE, failing(&world, &[OpKind::Open], ".hint")).unwrap();
    fill(&engine, 0..50, 1);
    world.executor.run_all();
    engine.put(b"later", b"1", Durability::Sync).unwrap();
    engine.close().unwrap();
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()).len(), 51);
}

/// Its bytes may be damaged by the disk only for now, or be those of somebody else.
#[test]
fn a_hint_that_cannot_be_opened_is_not_replaced() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    engine.close().unwrap();
    drop(engine);
    let hint = Path::new("store/000001.hint");
    world.disk.set_contents(hint, b"foreign".to_vec());
    let engine = Bitcask::open(STORE, failing(&world, &[OpKind::Open], "000001.hint")).unwrap();
    assert_eq!(engine.statistics().files_scanned_at_open, 1);
    assert_eq!(entries(&engine).len(), 50);
    assert_eq!(world.disk.contents(hint).unwrap(), b"foreign");
}

#[test]
fn a_data_file_that_cannot_be_read_fails_the_opening_with_its_path() {
    // A file that cannot be mapped is read.
    let cases: [&[OpKind]; 3] = [&[OpKind::Open], &[OpKind::Len], &[OpKind::Map, OpKind::Read]];
    for kinds in cases {
        let world = World::new();
        let engine = world.open().unwrap();
        fill(&engine, 0..50, 1);
        engine.close().unwrap();
        drop(engine);
        // Without its hint, the file is read whole.
        world.disk.remove(Path::new("store/000001.hint")).unwrap();
        let refused = Bitcask::open(STORE, failing(&world, kinds, "000001.data")).unwrap_err();
        assert!(refused.to_string().contains("000001.data"), "{kinds:?}: {refused}");
        assert!(matches!(refused, Error::Io { .. }), "{kinds:?}: {refused}");
        assert_eq!(entries(&world.open().unwrap()).len(), 50);
    }
}

#[test]
fn opening_an_empty_directory_without_creating_leaves_nothing() {
    let world = World::new();
    world.disk.create_dir(Path::new(STORE)).unwrap();
    let ops = world.disk.ops();
    let refused = Bitcask::open(STORE, world.options().create(false)).unwrap_err();
    assert_eq!(refused.io_kind(), Some(ErrorKind::NotFound), "{refused}");
    assert!(refused.to_string().contains("no store"), "{refused}");
    assert_eq!(world.disk.ops(), ops);
    assert_eq!(world.disk.files(), Vec::<std::path::PathBuf>::new());
    world.open().unwrap().close().unwrap();
    Bitcask::open(STORE, world.options().create(false)).unwrap().close().unwrap();
}

#[test]
fn an_empty_path_is_refused_with_a_clear_message() {
    let world = World::new();
    let refused = [
        Bitcask::open("", world.options()).unwrap_err(),
        Bitcask::open_read_only("", world.options()).unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Error::InvalidArgument(_)), "{refused:?}");
        assert!(refused.to_string().contains("path"), "{refused}");
    }
    assert_eq!(world.disk.ops(), 0);
}
