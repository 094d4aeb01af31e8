//! Blocks: sorted entries with prefix compression, restart points, and an array of key heads for fast searches.
//!
//! The data blocks of a table, its directory and its properties have this one format.
//!
//! Three ideas make a search cheap:
//!
//! - The block stores the prefix of all its stems once, and a search compares it once.
//! - The next bytes of each restart point's stem are its *head*. Heads lie in one dense array of fixed width. A binary search
//!   over them touches one to three cache lines and needs no offsets (Graefe and Larson, B-Tree Indexes and CPU Caches, 2001).
//! - Suffixes have a column of their own, which stores the bytes that all of them share once. A table whose versions are all
//!   alike pays nothing for them.
//!
//! `FORMAT.md` has the tables of the fields.

mod builder;
mod cursor;
mod entry;
mod key_buffer;
mod layout;
mod passed_group;
mod search;

#[cfg(test)]
mod tests;

pub(crate) use builder::BlockBuilder;
pub use builder::{ADAPTIVE_GROUP, Restarts};
pub(crate) use cursor::BlockCursor;
pub(crate) use layout::{Block, BlockLayout};
pub(crate) use search::SuffixBuffer;
