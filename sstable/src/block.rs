//! Blocks: sorted entries with prefix compression, restart points, and an array of key heads for fast searches.
//!
//! All blocks of a table that hold entries have this one format: data, index, directory and properties.
//!
//! Three ideas make a search cheap. The prefix that all stems of the block share is stored once and compared once. At each
//! restart point the next bytes of the stem, its *head*, lie in one dense array of fixed width, so a binary search over
//! them touches one to three cache lines and needs no offsets (normalized keys: Graefe and Larson, B-Tree Indexes and CPU
//! Caches, 2001). And suffixes have a column of their own, where the bytes that all of them share are stored once, so a
//! table whose versions are all alike pays nothing for them.
//!
//! `FORMAT.md` has the tables of the fields.

mod builder;
mod cursor;
mod entry;
mod heads;
mod layout;
mod search;

#[cfg(test)]
mod tests;

pub(crate) use builder::BlockBuilder;
pub use builder::{ADAPTIVE_GROUP, Restarts};
pub(crate) use cursor::BlockCursor;
pub(crate) use layout::{Block, BlockLayout};
