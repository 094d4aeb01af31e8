//! The side of RocksDB.

use std::hint::black_box;
use std::path::Path;

use kv::Direction;
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, FlushOptions};
use rocksdb::{Options, WriteOptions};

use crate::data::{Keys, value};
use crate::tables::part_of;

/// More than all files: every block is in memory, checked and ready.
const CACHE_BYTES: usize = 2 << 30;
/// More than a file.
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
            database.put_opt(key, value(), &without_log).expect("a put that works");
        }
        database.flush_opt(&FlushOptions::default()).expect("a flush that works");
    }
    assert_eq!(files(&database), count, "a file for each part");
    database
}

/// Merges all files.
pub(crate) fn compact(database: &DB) {
    database.compact_range(None::<&[u8]>, None::<&[u8]>);
}

fn files(database: &DB) -> usize {
    database.live_files().expect("a list of files").len()
}

/// Steps of a scan that begins anew at its end. The first scan is over when this returns, so all blocks are in memory.
pub(crate) fn walk(database: &DB, direction: Direction) -> impl FnMut() {
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
    while iterator.valid() {
        read(&iterator);
        step(&mut iterator);
    }
    begin(&mut iterator);
    move || {
        read(&iterator);
        step(&mut iterator);
        if !iterator.valid() {
            iterator.status().expect("a scan that works");
            begin(&mut iterator);
        }
    }
}

#[inline]
fn read(iterator: &DBRawIterator<'_>) {
    let (key, value) = iterator.item().expect("an entry that can be read");
    black_box((key[0], value[0]));
}
