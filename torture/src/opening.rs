//! Opening an engine, and running code that may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::{Env, SimFs};
use kv::Error;

use crate::subject::{Opened, Subject};
use crate::world::World;

/// The tries for a lock that a thread may still hold, and the pause between two of them: ten seconds in all.
const LOCK_TRIES: usize = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The abilities of the engine. `None`: it does not open, and the first history will report that.
pub(crate) fn capabilities(subject: &dyn Subject, option_set: usize) -> Option<kv::Capabilities> {
    let world = World::on(Arc::new(SimFs::new()), 0);
    let opened = without_panic(|| open(subject, option_set, &world));
    opened.ok().map(|opened| opened.engine().capabilities())
}

/// Opens the engine of `subject`, which must succeed.
pub(crate) fn open(
    subject: &dyn Subject,
    option_set: usize,
    world: &World,
) -> Result<Opened, String> {
    subject.open(&world.env, &world.dir, option_set).map_err(failed("open"))
}

/// Opens a store whose last handle is gone. A job that runs in another thread keeps the engine, and so the lock, until
/// it ends.
pub(crate) fn open_unlocked(
    subject: &dyn Subject,
    option_set: usize,
    env: &Env,
    dir: &Path,
) -> Result<Opened, String> {
    for _ in 0..LOCK_TRIES {
        match subject.open(env, dir, option_set) {
            Err(Error::Locked { .. }) => std::thread::sleep(LOCK_PAUSE),
            opened => return opened.map_err(failed("open")),
        }
    }
    subject.open(env, dir, option_set).map_err(failed("open"))
}

/// Turns the error of a call that must succeed into a message.
pub(crate) fn failed(call: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{call} failed: {error}")
}

/// Runs `test`. A panic is a broken invariant like any other.
pub(crate) fn without_panic<T>(test: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(test)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("the engine panicked: {}", text.unwrap_or_default()))
    })
}
