//! A small engine, to try the suites on and to show how to use them.
//!
//! A store is one log and the file `CURRENT`, which names it. All entries are in memory.
//!
//! - A write appends one frame to the log. A batch of class `Sync` then waits in a queue until it is durable, and every
//!   later batch waits behind it. Syncs run outside the lock, so several writers share one.
//! - A compaction writes all entries as the first frame of the next log and swaps `CURRENT`.
//! - Opening reads the log that `CURRENT` names and compacts at once. So nothing is appended to a log that a crash may
//!   have cut. The content of a handle is durable before the handle serves it.
//!
//! The module `format` specifies the bytes of both files. The toy keeps the whole contract but expiry and range
//! deletion, and passes all suites. With a [`Bug`] planted it fails one of them.

mod bug;
mod commit;
mod engine;
mod format;
mod log;
mod recovery;
mod subject;

pub use bug::Bug;
pub use engine::Toy;
pub use subject::ToySubject;
