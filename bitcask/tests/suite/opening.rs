//! Opening a store: failures of its threads, and of its files.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bitcask::{Bitcask, Options};
use durable::{Env, Inject, OpKind, Plan, ThreadPool};
use kv::Kv;

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
