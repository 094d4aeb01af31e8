//! Forged tables: the corpus of the fuzz target `table`, every byte changed with right checksums, and the memory that it
//! takes to refuse them. The invariant is in `fuzz/src/table.rs`.
#![expect(clippy::disallowed_methods, reason = "the corpus is in real files")]

#[expect(unreachable_pub, reason = "it is public where it is fuzzed")]
#[path = "../../../fuzz/src/table.rs"]
mod table;
mod verify;

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Fs, SimFs, seeded_crc32};
use kv::{Cursor, Error, Result};
use sstable::{BlockCache, ReadMode, ReadOptions, SalvageCursor, SalvageHints, Table};

fn open(bytes: Vec<u8>, options: &ReadOptions) -> Result<Arc<Table>> {
    let disk = SimFs::new();
    let path = Path::new("table");
    disk.set_contents(path, bytes);
    Table::open(disk.open(path)?, options).map(Arc::new)
}

#[test]
fn every_input_of_the_corpus_keeps_the_invariant() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/table");
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        table::run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 10, "the corpus has inputs");
    table::run(&[]);
}

#[test]
fn every_changed_byte_with_right_checksums_keeps_the_invariant() {
    for (number, fixture) in table::FIXTURES.iter().enumerate() {
        let mut refused = 0;
        for at in 0..fixture.bytes.len() {
            for xor in [0x01, 0x04, 0x80, 0xff] {
                let mut bytes = fixture.bytes.clone();
                bytes[at] ^= xor;
                fixture.put_sums_right(&mut bytes);
                let used = table::use_table(bytes, (at % 4) as u8, fixture);
                refused += usize::from(used.is_err());
            }
        }
        // A changed value is a right table with another value; most of the other bytes matter.
        assert!(refused > fixture.bytes.len(), "{refused} refusals of table {number}");
    }
}

#[test]
fn pairs_of_changed_bytes_with_right_checksums_keep_the_invariant() {
    let mut number = 1_u64;
    for _ in 0..20_000 {
        // A linear congruential generator: the same inputs in every run.
        let mut next = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 33).to_le_bytes()
        };
        let (choice, places, bits) = (next(), next(), next());
        let script =
            [choice[0], choice[1], 1, places[0], places[1], bits[0], places[2], places[3], bits[1]];
        table::run(&script);
    }
}

#[test]
fn every_changed_byte_of_an_index_block_is_reached_by_a_script() {
    // As the corpus does it: table, mode, an edit of the index, and the edit.
    for at in 0..300_u16 {
        let [low, high] = at.to_le_bytes();
        for (block, xor) in [(0, 0x01), (1, 0x80), (2, 0xff), (7, 0x04)] {
            table::run(&[at as u8 % 3, at as u8 % 4, 2, block, low, high, xor]);
        }
    }
}

#[test]
fn a_filter_of_another_kind_is_no_filter_and_verify_says_so() {
    for fixture in table::FIXTURES.iter() {
        let mut bytes = fixture.bytes.clone();
        // The kind is the first field of the filter block.
        bytes[fixture.filter.0.start] = 0xee;
        fixture.put_sums_right(&mut bytes);
        let table = open(bytes, &ReadOptions::default()).unwrap();
        let mut cursor = table.scan((Bound::Unbounded, Bound::Unbounded)).unwrap();
        while cursor.next().unwrap() {
            let (key, value) = cursor.entry().unwrap();
            assert_eq!(table.get(key).unwrap().as_deref(), Some(value));
        }
        assert!(table.may_contain(0).unwrap(), "without a filter every key may be there");
        assert!(matches!(table.verify(), Err(Error::Unsupported(_))));
    }
}

/// A table whose filter lies over its data blocks, with right checksums.
fn with_a_filter_over_its_blocks(fixture: &table::Fixture) -> Vec<u8> {
    const LINES: u32 = 4;
    let mut bytes = fixture.bytes.clone();
    let fields = &mut bytes[fixture.filter.0.start..];
    // Lines alone, without hints.
    fields[0] = 5;
    fields[4..8].copy_from_slice(&LINES.to_le_bytes());
    fields[8..16].copy_from_slice(&0_u64.to_le_bytes());
    fixture.put_sums_right(&mut bytes);
    let sum = seeded_crc32(table::seed(0), &bytes[..64 * LINES as usize]).to_le_bytes();
    bytes[fixture.filter.0.start + 16..][..4].copy_from_slice(&sum);
    table::put_sum_right(&mut bytes, &fixture.filter.0);
    bytes
}

#[test]
fn a_forged_filter_over_a_data_block_does_not_get_the_cached_bytes_of_the_block() {
    for fixture in table::FIXTURES.iter() {
        let bytes = with_a_filter_over_its_blocks(fixture);
        let cache = Some(Arc::new(BlockCache::new(1 << 20)));
        let options = ReadOptions { mode: ReadMode::Positional, cache };
        let table = open(bytes, &options).unwrap();
        let mut cursor = table.scan((Bound::Unbounded, Bound::Unbounded)).unwrap();
        let mut keys = Vec::new();
        // The walk brings the data blocks into the cache.
        while cursor.next().unwrap() {
            keys.push(cursor.key().to_vec());
        }
        for key in keys {
            // A wrong filter may hide a key. It is no filter of somebody honest.
            table.get(&key).unwrap();
        }
        for hash in 0..64_u64 {
            table.may_contain(hash << 58).unwrap();
        }
    }
}

#[test]
fn an_index_block_without_separators_is_passed_by_and_verify_finds_it() {
    for fixture in table::FIXTURES.iter() {
        for index in &fixture.indexes {
            let mut bytes = fixture.bytes.clone();
            // No separators, and a prefix up to the end of the block.
            let prefix_len = (index.len() - 16) as u16;
            bytes[index.start + 2..index.start + 4].copy_from_slice(&prefix_len.to_le_bytes());
            bytes[index.start + 4..index.start + 8].fill(0);
            fixture.put_sums_right(&mut bytes);
            for mode in 0..4 {
                let used = table::use_table(bytes.clone(), mode, fixture);
                assert!(used.is_err(), "verify finds the missing data blocks");
            }
        }
    }
}

#[test]
fn a_compressed_block_in_a_table_whose_footer_names_no_codec_is_refused() {
    let fixture = &table::FIXTURES[2];
    let mut bytes = fixture.bytes.clone();
    let required = bytes.len() - 64 + 40;
    assert_eq!(bytes[required..required + 4], [1, 0, 0, 0], "LZ4");
    bytes[required] = 0;
    fixture.put_sums_right(&mut bytes);
    for mode in 0..4 {
        let refused = table::use_table(bytes.clone(), mode, fixture).unwrap_err().to_string();
        assert!(refused.contains("a codec that the footer does not name"), "{refused}");
    }
}

#[test]
fn hints_of_any_content_change_no_answer() {
    for fixture in &table::FIXTURES[..2] {
        let lines = fixture.filter.1.clone();
        for content in [0, 1, 0x7f, 0xff] {
            let mut bytes = fixture.bytes.clone();
            // The hints of a line are the 64 bytes behind it.
            for (at, line) in bytes[lines.clone()].chunks_mut(64).enumerate().skip(1).step_by(2) {
                line.iter_mut()
                    .enumerate()
                    .for_each(|(cell, byte)| *byte = content ^ (cell * at) as u8);
            }
            fixture.put_sums_right(&mut bytes);
            for mode in 0..4 {
                let is_right = table::use_table(bytes.clone(), mode, fixture).unwrap();
                assert!(is_right, "{content} in mode {mode}");
            }
        }
    }
    assert_eq!(table::FIXTURES[2].bytes[table::FIXTURES[2].filter.0.start], 5, "no hints with LZ4");
}

/// Walks over what can be read of `bytes`, and returns the number of entries.
fn salvage(bytes: Vec<u8>, hints: SalvageHints) -> usize {
    let (disk, path, len) = (SimFs::new(), Path::new("table"), bytes.len() as u64);
    disk.set_contents(path, bytes);
    let file = disk.open(path).expect("it is there");
    let mut cursor = SalvageCursor::open(&file, hints).expect("damage is no error");
    let (mut entries, mut last) = (0, None::<Vec<u8>>);
    while cursor.next().expect("damage is skipped") {
        let (key, _) = cursor.entry().expect("the block was checked");
        let is_greater = |last: &Vec<u8>| hints.key_layout.compare(last, key).is_lt();
        assert!(last.as_ref().is_none_or(is_greater), "keys ascend");
        last = Some(key.to_vec());
        entries += 1;
    }
    assert!(cursor.skipped().iter().all(|skipped| skipped.bytes.end <= len));
    entries
}

#[test]
fn a_salvage_of_any_forged_table_ends_and_its_keys_ascend() {
    for fixture in table::FIXTURES.iter() {
        let right = open(fixture.bytes.clone(), &ReadOptions::default()).unwrap();
        let hints = SalvageHints { id: None, key_layout: right.key_layout(), entries: None };
        let entries = right.properties().unwrap().entries;
        assert_eq!(salvage(fixture.bytes.clone(), hints) as u64, entries);
        for at in 0..fixture.bytes.len() {
            for xor in [0x01, 0x80, 0xff] {
                let mut bytes = fixture.bytes.clone();
                bytes[at] ^= xor;
                fixture.put_sums_right(&mut bytes);
                salvage(bytes, hints);
            }
        }
    }
}
