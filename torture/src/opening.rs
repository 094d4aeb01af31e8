//! Opening an engine, and running code that may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use durable::SimFs;
use kv::Error;

use crate::subject::{Opened, Subject};
use crate::world::World;

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
