//! What `Table::verify` finds in tables with right checksums.

use std::collections::BTreeMap;
use std::path::Path;

use durable::{FileWriter, SimFs, seeded_crc32};
use kv::Result;
use sstable::{BuildOptions, ReadOptions, TableBuilder, TableId, hash_stem};

use crate::open;
use crate::table::{self, Fixture};

/// A table of `keys` with equal values, and two named blocks.
fn build(keys: &[&[u8]], value: &[u8], options: BuildOptions) -> Result<Fixture> {
    let disk = SimFs::new();
    let path = Path::new("table");
    let id = TableId(table::ID);
    let mut builder = TableBuilder::new(FileWriter::create(&disk, path)?, id, options)?;
    for key in keys {
        builder.add(key, value)?;
    }
    builder.add_named_block("x", vec![1; 10])?;
    builder.add_named_block("y", vec![2; 10])?;
    builder.finish(&disk)?;
    let bytes = disk.contents(path).expect("it was built");
    Ok(Fixture::describe(bytes, BTreeMap::new()))
}

/// The text of the error of `verify` for the table in `bytes`.
fn refusal(bytes: Vec<u8>) -> String {
    let table = open(bytes, &ReadOptions::default()).expect("right checksums");
    table.verify().expect_err("a mistake that verify finds").to_string()
}

#[test]
fn verify_finds_a_fence_that_is_not_the_head_behind_it() {
    for fixture in table::FIXTURES.iter() {
        assert!(fixture.fences.len() > 1, "a top block and an index block");
        for &fence in &fixture.fences {
            let mut bytes = fixture.bytes.clone();
            bytes[fence] ^= 1;
            fixture.put_sums_right(&mut bytes);
            let refused = table::use_table(bytes, 0, fixture).unwrap_err().to_string();
            assert!(refused.contains("a fence"), "{refused}");
        }
    }
}

#[test]
fn verify_finds_a_head_that_hides_its_key() -> Result<()> {
    let fixture = build(&[b"", b"b"], b"value", BuildOptions::default())?;
    let mut bytes = fixture.bytes.clone();
    // The header of the data block has 12 bytes, and its keys share no prefix. So the next byte is the head of the empty key.
    assert_eq!(bytes[12..14], *b"\0b");
    bytes[12] = 1;
    fixture.put_sums_right(&mut bytes);
    let table = open(bytes.clone(), &ReadOptions::default())?;
    assert_eq!(table.get(b"b")?.as_deref(), Some(&b"value"[..]), "the checksum is right");
    assert_eq!(table.get(b"")?, None, "the key is hidden");
    let refused = refusal(bytes);
    assert!(refused.contains("a key that a search does not find"), "{refused}");
    Ok(())
}

#[test]
fn verify_finds_properties_that_do_not_count_right() {
    for fixture in table::FIXTURES.iter() {
        let mut bytes = fixture.bytes.clone();
        // The end of the name `sstable.entries`, and the number.
        let property = *b"ntries\x18\0\0\0\0\0\0\0";
        let at = bytes.windows(property.len()).position(|window| window == property).unwrap();
        bytes[at + 6] += 1;
        fixture.put_sums_right(&mut bytes);
        let refused = table::use_table(bytes, 0, fixture).unwrap_err().to_string();
        assert!(refused.contains("properties that do not count right"), "{refused}");
    }
}

#[test]
fn verify_finds_a_head_of_the_index_that_hides_its_data_block() -> Result<()> {
    let options = BuildOptions { block_bytes: 64, ..BuildOptions::default() };
    let fixture = build(&[b"", b"b"], &[7; 50], options)?;
    let mut bytes = fixture.bytes.clone();
    // The fence and the heads of the empty separator and of "b".
    let fence = fixture.fences[1];
    assert_eq!(bytes[fence..fence + 3], *b"\0\0b");
    bytes[fence..fence + 2].fill(1);
    fixture.put_sums_right(&mut bytes);
    let table = open(bytes.clone(), &ReadOptions::default())?;
    assert_eq!(table.get(b"b")?.as_deref(), Some(&[7; 50][..]), "the checksum is right");
    assert_eq!(table.get(b"")?, None, "the data block is hidden");
    let refused = refusal(bytes);
    assert!(refused.contains("a separator that a search does not find"), "{refused}");
    Ok(())
}

#[test]
fn verify_finds_keys_that_do_not_ascend() -> Result<()> {
    let keys: Vec<[u8; 1]> = (b'a'..=b'z').map(|letter| [letter]).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let fixture = build(&keys, b"", BuildOptions::default())?;
    let mut bytes = fixture.bytes.clone();
    // The header of the data block has 12 bytes, and its keys share no prefix. So the heads follow, which are the keys.
    assert_eq!(bytes[12 + 12..12 + 14], *b"mn");
    // A search compares the first of these two before all others, and so it finds that one in its place.
    bytes.swap(12 + 12, 12 + 13);
    fixture.put_sums_right(&mut bytes);
    let refused = refusal(bytes);
    assert!(refused.contains("keys that do not ascend"), "{refused}");
    Ok(())
}

#[test]
fn verify_finds_names_that_do_not_ascend() -> Result<()> {
    let fixture = build(&[b"a"], b"value", BuildOptions::default())?;
    let mut bytes = fixture.bytes.clone();
    // The last heads of the directory are two names.
    let heads = *b"x\0\0\0\0\0\0\0y\0\0\0\0\0\0\0";
    let at = bytes.windows(16).position(|window| window == heads).unwrap();
    (bytes[at], bytes[at + 8]) = (b'y', b'x');
    fixture.put_sums_right(&mut bytes);
    let refused = refusal(bytes);
    assert!(refused.contains("names that do not ascend"), "{refused}");
    Ok(())
}

#[test]
fn verify_finds_an_index_block_with_another_first_separator_than_the_top_block() -> Result<()> {
    let options =
        BuildOptions { block_bytes: 64, index_block_bytes: 64, ..BuildOptions::default() };
    // A data block each, and five separators for each index block.
    let keys: [&[u8]; 8] = [b"a", b"d", b"g", b"j", b"m", b"p", b"s", b"v"];
    let fixture = build(&keys, &[7; 50], options)?;
    assert_eq!(fixture.indexes.len(), 3, "the top block and two index blocks");
    let mut bytes = fixture.bytes.clone();
    // A fence is in front of the two heads, which are separators.
    let heads = fixture.fences[0] + 1;
    assert_eq!(bytes[heads..heads + 2], *b"ap");
    // This separator separates as well, and it is not the one in the index block.
    bytes[heads + 1] = b'o';
    fixture.put_sums_right(&mut bytes);
    let table = open(bytes.clone(), &ReadOptions::default())?;
    assert!(keys.iter().all(|key| table.get(key).unwrap().is_some()));
    let refused = refusal(bytes);
    assert!(refused.contains("an index block with another first separator"), "{refused}");
    Ok(())
}

#[test]
fn verify_finds_two_parts_that_overlap() -> Result<()> {
    // With two lines, the filter reaches into the index block, which is longer than a line. The hash of the key belongs to the
    // first of the lines, as before.
    let key = (0..=u8::MAX).map(|byte| [byte; 100]).find(|key| hash_stem(key) >> 63 == 0).unwrap();
    let fixture =
        build(&[&key[..]], b"value", BuildOptions { hints: false, ..BuildOptions::default() })?;
    let (filter, lines) = fixture.filter.clone();
    assert_eq!((lines.len(), lines.end), (64, fixture.indexes[1].start));
    assert!(fixture.indexes[1].len() > 64);
    let mut bytes = fixture.bytes.clone();
    let two_lines = lines.start..lines.end + 64;
    let sum = seeded_crc32(table::seed(lines.start), &bytes[two_lines]).to_le_bytes();
    bytes[filter.start + 4..filter.start + 8].copy_from_slice(&2_u32.to_le_bytes());
    bytes[filter.start + 16..filter.start + 20].copy_from_slice(&sum);
    table::put_sum_right(&mut bytes, &filter);
    let table = open(bytes.clone(), &ReadOptions::default())?;
    assert_eq!(table.get(&key)?.as_deref(), Some(&b"value"[..]), "all checksums are right");
    let refused = refusal(bytes);
    assert!(refused.contains("bytes that belong to no part, or to two"), "{refused}");
    Ok(())
}
