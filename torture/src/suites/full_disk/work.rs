//! The work that an engine must do on a disk with space.

use kv::{Durability, WriteBatch};

use crate::observe::describe;
use crate::opening::failed;
use crate::subject::Opened;
use crate::universe;
use crate::world::World;

/// The key that [`work`] writes.
pub(super) const WORK_KEY: u8 = universe::KEYS as u8 - 1;

/// The write of [`work`].
pub(super) fn work_batch() -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(universe::key(WORK_KEY), &[7; 100]);
    batch
}

/// What an engine must do on a disk with space: write, maintain itself, and read the write.
pub(super) fn work(opened: &Opened, world: &World) -> Result<(), String> {
    let engine = opened.engine();
    world.drain()?;
    engine.write(&work_batch(), Durability::Sync).map_err(failed("a write"))?;
    opened.maintain().map_err(failed("maintain"))?;
    world.drain()?;
    let found = engine.get(universe::key(WORK_KEY)).map_err(failed("get"))?;
    if found.as_deref() == Some(&[7; 100][..]) {
        return Ok(());
    }
    Err(format!("a put is {} afterwards", found.map_or("lost".into(), |found| describe(&found))))
}

/// No file is left that the store does not know.
pub(super) fn check_orphans(opened: &Opened, world: &World) -> Result<(), String> {
    world.drain()?;
    let orphans = opened.orphans().map_err(failed("a listing"))?;
    orphans.first().map_or(Ok(()), |path| Err(format!("{} is left as an orphan", path.display())))
}
