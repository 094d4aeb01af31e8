//! Reads: look-ups, and walks over a view.
//!
//! **A look-up** asks the memtables and then the runs, the newest first. The first version that the reader may see is the
//! answer, and a tombstone is an answer too.
//!
//! **A walk** merges cursors over all memtables and runs. The merged cursor shows every version; [`ViewCursor`] shows one
//! entry for each key, or none if its newest visible version is a tombstone.

mod cursor;
mod get;
mod snapshot;
mod source;

pub(crate) use cursor::ViewCursor;
pub(crate) use get::{get, newest_sequence};
pub(crate) use snapshot::LsmSnapshot;
pub(crate) use source::sources_of;
