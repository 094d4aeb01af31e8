//! Range tombstones: one of them deletes all older entries of a range of keys.
//!
//! A batch that deletes a range writes one record, whatever the range holds. The batch's number is that of the range
//! tombstone. It deletes entries with lower numbers. An entry with the same number is of the same batch and stays, because the
//! ranges of a batch are deleted before its other operations are applied.
//!
//! # Fragments
//!
//! Range tombstones overlap each other. They are cut where others begin and end, as in `RocksDB` and Pebble. The
//! resulting *fragments* lie side by side, and each has the numbers of all range tombstones that cover it. So the range
//! tombstones that cover a key are found by one binary search ([`Fragments`]). A fragment also has the number of the newest
//! entry that lies beside it in the same memtable or table. If this is lower than the number of a range tombstone, all the
//! entries beside the fragment are deleted, and a walk passes them with one search.
//!
//! # Where they are
//!
//! A memtable has its range tombstones beside its entries. So has a table, in a block of its own (`block`). When a run of
//! tables is written, fragments are cut where a table ends. So a range tombstone of a table lies between the bounds of the
//! table, and the bounds of a table contain its fragments.
//!
//! The order of ages holds for range tombstones as for entries: a range tombstone in a newer memtable or run is newer than all
//! entries of its keys in an older one. So it covers all of these, and none in a newer place.

mod block;
mod deleted_range;
mod fragment;
mod fragments;
mod spanning;

pub(crate) use block::{BLOCK_NAME, decode, encode, put_range, read_range};
pub(crate) use deleted_range::DeletedRange;
pub(crate) use fragment::Fragment;
pub(crate) use fragments::{Fragments, Surroundings};
pub(crate) use spanning::spanning;
