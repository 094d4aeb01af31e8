//! Reads: look-ups, and walks over a view.
//!
//! **A look-up** asks the memtables and then the runs, the newest first. The first version that the reader may see is the
//! answer. A tombstone is an answer too, and so is a range tombstone that covers the key.
//!
//! **A walk** merges cursors over all memtables and runs. If there are range tombstones, these cursors pass over the entries
//! that are covered ([`CoveredCursor`](covered::CoveredCursor)). The merged cursor shows every other version; [`ViewCursor`]
//! shows one entry for each key, or none if its newest visible version is a tombstone.

mod cover;
mod covered;
mod cursor;
mod get;
mod newer_keys;
mod pinned;
mod size;
mod source;

pub(crate) use cover::Ranges;
pub(crate) use cursor::ViewCursor;
pub(crate) use get::{get, newest_version};
pub use newer_keys::NewerSeen;
pub use pinned::{NewestVersion, Pinned, VersionRead};
pub(crate) use size::size_in_tables;
pub(crate) use source::Sources;
