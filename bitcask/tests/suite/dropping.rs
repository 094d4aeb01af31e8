//! Handles that are dropped or closed while a job runs, and what a handle shows of itself.

use std::path::Path;
use std::sync::Arc;

use bitcask::{Bitcask, Options};
use durable::Env;
use kv::{Durability, Kv};
use torture::StoppedJob;

use crate::world::{STORE, World};

fn open(env: &Env, dir: &Path) -> kv::Result<Arc<dyn Kv>> {
    Ok(Arc::new(Bitcask::open(dir, Options::in_env(env.clone()).data_file_bytes(2048))?))
}

/// The job that writes the first hint file.
const HINTING: StoppedJob<'_> = StoppedJob { open: &open, writes_to: ".hint.tmp", puts: 40 };

/// Opening right after a drop said `Locked` in most tries, because a job kept the store.
#[test]
fn a_store_that_was_dropped_while_a_job_runs_opens_again_in_this_process() {
    HINTING.a_dropped_store_opens_again(Path::new("dropped-while-a-job-runs")).unwrap();
}

#[test]
fn a_close_waits_for_the_job_that_runs_and_loses_nothing() {
    let dir = Path::new("closed-while-a-job-runs");
    let env = HINTING.a_close_waits_for_the_job(dir).unwrap();
    HINTING.check(&*open(&env, dir).unwrap()).unwrap();
}

#[test]
fn debug_of_a_handle_is_a_summary_without_keys_and_values() {
    let world = World::new();
    let engine = world.open().unwrap();
    for number in 0..500_u32 {
        let key = format!("secret-key-{number}");
        engine.put(key.as_bytes(), b"secret-value", Durability::Buffered).unwrap();
    }
    let reader = Bitcask::open_read_only(STORE, world.options()).unwrap();
    for shown in [format!("{engine:?}"), format!("{reader:?}")] {
        assert!(shown.len() < 500 && shown.contains("500"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("115, 101, 99"), "{shown}");
    }
}
