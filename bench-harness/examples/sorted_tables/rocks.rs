//! The side of RocksDB.

use std::path::Path;

use kv::Direction;
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, FlushOptions};
use rocksdb::{Options, WriteOptions};

use crate::data::{Keys, value_of};
use crate::tables::part_of;
use crate::walk::{check, in_order, use_up};

/// More than all files: every block is in memory, checked and ready.
const CACHE_BYTES: usize = 2 << 30;
/// More than a part of the keys: the flush of a part makes one file.
const MEMTABLE_BYTES: usize = 1 << 30;

/// A database with a file in level 0 for each of `count` random parts of the keys. No compression, as in the tables.
pub(crate) fn load(folder: &Path, keys: &Keys, count: usize) -> DB {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_disable_auto_compactions(true);
    options.set_block_based_table_factory(&table);
    let database = DB::open(&options, folder).expect("a new database");
    let mut without_log = WriteOptions::default();
    without_log.disable_wal(true);
    for part in 0..count {
        for key in part_of(keys, part, count).iter() {
            database.put_opt(key, value_of(key), &without_log).expect("a put that works");
        }
        database.flush_opt(&FlushOptions::default()).expect("a flush that works");
    }
    let files = database.live_files().expect("a list of files").len();
    assert_eq!(files, count, "a file for each part");
    database
}

/// Merges all files into one level.
pub(crate) fn compact(database: &DB) {
    database.compact_range(None::<&[u8]>, None::<&[u8]>);
}

/// Steps of a walk, as [`crate::walk::steps`] has them for cursors.
pub(crate) fn steps(database: &DB, keys: &Keys, direction: Direction) -> impl FnMut(usize) {
    let begin = move |iterator: &mut DBRawIterator<'_>| match direction {
        Direction::Forward => iterator.seek_to_first(),
        Direction::Backward => iterator.seek_to_last(),
    };
    let step = move |iterator: &mut DBRawIterator<'_>| match direction {
        Direction::Forward => iterator.next(),
        Direction::Backward => iterator.prev(),
    };
    let mut iterator = database.raw_iterator();
    begin(&mut iterator);
    for key in in_order(keys, direction) {
        check(key, iterator.item().expect("a walk over all keys"));
        step(&mut iterator);
    }
    move |calls| {
        for _ in 0..calls {
            if !iterator.valid() {
                iterator.status().expect("a scan that works");
                begin(&mut iterator);
            }
            use_up(iterator.item().expect("an entry that can be read"));
            step(&mut iterator);
        }
    }
}
