use std::path::Path;

use super::*;
use crate::store_dir::OpenMode;
use crate::{Fs as _, Inject, ManualClock, ManualExecutor, OpKind, Plan, SimFs};

const DATA: NamePattern = NamePattern::new("", ".data");
const HINT: NamePattern = NamePattern::new("", ".hint");

struct World {
    disk: SimFs,
    dir: StoreDir,
    executor: Arc<ManualExecutor>,
    reclaimer: Arc<FileReclaimer>,
}

impl World {
    fn with(files: &[&str]) -> kv::Result<Self> {
        let disk = SimFs::new();
        let fs = Arc::new(disk.clone());
        let dir = StoreDir::open(fs, Path::new("store"), OpenMode::Create)?;
        for name in files {
            disk.create(&dir.file(name))?.sync()?;
        }
        disk.sync_dir(dir.path())?;
        let executor = Arc::new(ManualExecutor::new(Arc::new(ManualClock::new())));
        let reclaimer = FileReclaimer::new(dir.clone(), Arc::clone(&executor) as _);
        Ok(Self { disk, dir, executor, reclaimer })
    }

    fn track(&self, id: u64) -> FileLifetime {
        self.reclaimer.track([HINT.name(id), DATA.name(id)])
    }

    fn names(&self) -> kv::Result<Vec<String>> {
        let names = self.dir.list()?.into_iter().map(|entry| entry.name);
        let mut names: Vec<String> = names.filter(|name| name != "LOCK").collect();
        names.sort_unstable();
        Ok(names)
    }
}

#[test]
fn a_retired_file_is_unlinked_by_a_job_after_its_last_reader_and_not_before() -> kv::Result<()> {
    let world = World::with(&["000001.data", "000001.hint"])?;
    let (engine, reader) = {
        let lifetime = Arc::new(world.track(1));
        (Arc::clone(&lifetime), lifetime)
    };
    engine.retire();
    drop(engine);
    world.executor.run_all();
    assert_eq!(world.names()?.len(), 2, "a reader holds the file");
    drop(reader);
    assert_eq!(world.names()?.len(), 2, "the reader itself unlinks nothing");
    world.executor.run_all();
    assert_eq!(world.names()?, [""; 0]);
    assert_eq!(world.reclaimer.reclaimed(), 1);
    Ok(())
}

#[test]
fn a_file_that_was_not_retired_stays() -> kv::Result<()> {
    let world = World::with(&["000001.data"])?;
    drop(world.track(1));
    world.executor.run_all();
    assert_eq!(world.names()?, ["000001.data"]);
    Ok(())
}

#[test]
fn names_are_unlinked_in_the_given_order_at_every_crash() -> kv::Result<()> {
    let world = World::with(&["000001.data", "000001.hint"])?;
    let before = world.disk.ops();
    let lifetime = world.track(1);
    lifetime.retire();
    drop(lifetime);
    world.executor.run_all();
    assert!(world.disk.ops() > before);
    for at in before..=world.disk.ops() {
        // The process is killed between any two calls: a hint without its data file never exists.
        let image = world.disk.crash(at, &"all".parse().unwrap());
        let has = |name: &str| image.files().contains(&world.dir.file(name));
        assert!(has("000001.data") || !has("000001.hint"), "at operation {at}");
    }
    Ok(())
}

#[test]
fn after_a_stop_nothing_is_unlinked_and_the_lock_is_free() -> kv::Result<()> {
    for waits in [true, false] {
        let World { disk, dir, executor, reclaimer } = World::with(&["000001.data"])?;
        let (early, late) = (reclaimer.track([DATA.name(1)]), reclaimer.track([DATA.name(1)]));
        early.retire();
        drop(early);
        if waits {
            reclaimer.stop();
        } else {
            reclaimer.abandon();
        }
        late.retire();
        drop(late);
        executor.run_all();
        assert!(disk.files().contains(&dir.file("000001.data")), "it is left to the next opening");
        drop(dir);
        StoreDir::open(Arc::new(disk), Path::new("store"), OpenMode::Write)?;
    }
    Ok(())
}

/// The job holds the directory while it unlinks; a handle that is dropped meanwhile does not wait for it.
#[test]
fn a_job_that_unlinks_while_the_store_is_dropped_lets_go_of_the_lock() -> kv::Result<()> {
    let disk = SimFs::new();
    let inject = Inject::over_sim(disk.clone(), Plan::none());
    let dir = StoreDir::open(Arc::new(inject.clone()), Path::new("store"), OpenMode::Create)?;
    disk.create(&dir.file("000001.data"))?;
    let executor = Arc::new(ManualExecutor::new(Arc::new(ManualClock::new())));
    let reclaimer = FileReclaimer::new(dir.clone(), Arc::clone(&executor) as _);
    drop(dir);
    let dropped = Arc::clone(&reclaimer);
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Remove {
            dropped.abandon();
        }
    }));
    let lifetime = reclaimer.track([DATA.name(1)]);
    lifetime.retire();
    drop(lifetime);
    executor.run_all();
    StoreDir::open(Arc::new(disk), Path::new("store"), OpenMode::Write)?;
    Ok(())
}

#[test]
fn an_unlink_that_fails_leaves_an_orphan() -> kv::Result<()> {
    let world = World::with(&["000001.data", "000002.data", "000002.hint", "notes.txt"])?;
    let is_orphan = |pattern: &NamePattern, number| *pattern != DATA || number != 2;
    let entries = world.dir.list()?;
    let removed = remove_orphans(&world.dir, &entries, &[HINT, DATA], &is_orphan);
    assert_eq!(removed, 2);
    assert_eq!(world.names()?, ["000002.data", "notes.txt"]);
    assert_eq!(remove_orphans(&world.dir, &entries, &[HINT, DATA], &is_orphan), 0, "they are gone");
    Ok(())
}
