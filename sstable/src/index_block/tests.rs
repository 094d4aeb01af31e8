//! An index block against the sorted list of its separators.

use durable::{Entropy, SeededEntropy};

use super::*;
use crate::damage::Damage;
use crate::handle::BlockHandle;
use crate::key_layout::{KeyLayout, SplitKey};

/// Where the first block is in the file.
const BASE: u64 = 1 << 40;

/// Separators of different lengths, that share more or less, and of which some have the stem of the one before.
fn lists(layout: KeyLayout) -> Vec<Vec<Vec<u8>>> {
    let random = SeededEntropy::new(5);
    let separator = |shape: usize| -> Vec<u8> {
        let number = random.next_u64();
        let mut stem = match shape {
            0 => number.to_be_bytes()[..=(number % 4) as usize].to_vec(),
            1 => format!("user{}", number % 10_000).into_bytes(),
            2 => vec![0; (number % 20) as usize],
            3 => vec![0xff; (number % 12) as usize],
            4 => format!("/a/path/{}/{:020}", number % 3, number % 700).into_bytes(),
            _ => vec![(number % 3) as u8; (number / 3 % 3) as usize],
        };
        let suffix = (number >> 32) % 3;
        stem.extend_from_slice(&suffix.to_be_bytes()[8 - layout.suffix_len()..]);
        stem
    };
    let mut lists = vec![Vec::new()];
    for shape in 0..6 {
        for count in [1, 2, 15, 16, 17, 32, 33, 150] {
            let mut list: Vec<Vec<u8>> = (0..count).map(|_| separator(shape)).collect();
            list.sort_by(|a, b| split(layout, a).cmp(&split(layout, b)));
            list.dedup();
            lists.push(list);
        }
    }
    lists
}

fn split(layout: KeyLayout, key: &[u8]) -> SplitKey<'_> {
    layout.split(key).unwrap()
}

/// The handles of so many blocks that lie side by side.
fn handles(count: usize) -> Vec<BlockHandle> {
    let mut offset = BASE;
    let handle = |at: usize| {
        let handle = BlockHandle { offset, len: (at * 37 % 5_000) as u32 };
        offset += u64::from(handle.len) + 5;
        handle
    };
    (0..count).map(handle).collect()
}

fn build(layout: KeyLayout, separators: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = IndexBlockBuilder::new(layout);
    let mut bytes = Vec::new();
    for _ in 0..2 {
        // The second block of a builder is the same as its first.
        bytes.clear();
        for (separator, handle) in separators.iter().zip(handles(separators.len())) {
            assert!(builder.reaches(handle));
            builder.add(separator, handle);
        }
        builder.finish(&mut bytes);
        assert!(builder.is_empty());
    }
    bytes
}

/// Runs `check` with blocks of every kind, and the separators that they should hold.
fn on_every_block(check: impl Fn(KeyLayout, &[u8], &[Vec<u8>])) {
    for suffix_len in [0, 1, 8] {
        let layout = KeyLayout::with_suffix(suffix_len);
        for separators in lists(layout) {
            check(layout, &build(layout, &separators), &separators);
        }
    }
}

#[test]
fn a_search_finds_the_last_separator_that_is_not_greater() {
    on_every_block(|layout, bytes, separators| {
        let block = IndexBlock::parse(bytes, layout.suffix_len()).unwrap();
        let mut sought = separators.to_vec();
        for separator in separators {
            for at in 0..=separator.len() {
                sought.push([&separator[..at], &[0], &separator[at..]].concat());
                sought.push([&separator[..at], &[0xff], &separator[at..]].concat());
                sought.push([&separator[..at], &vec![0; layout.suffix_len()]].concat());
                sought.push([&separator[..at], &vec![1; layout.suffix_len()]].concat());
            }
        }
        for key in sought.iter().filter(|key| key.len() >= layout.suffix_len()) {
            let key = split(layout, key);
            let up_to = separators.partition_point(|other| split(layout, other) <= key);
            assert_eq!(block.floor(&key), Ok(up_to.checked_sub(1)), "{key:?}");
        }
    });
}

#[test]
fn every_separator_and_handle_reads_back() {
    on_every_block(|layout, bytes, separators| {
        let block = IndexBlock::parse(bytes, layout.suffix_len()).unwrap();
        assert_eq!(block.count(), separators.len());
        assert!(block.has_right_fences());
        let mut found = Vec::new();
        for (index, handle) in handles(separators.len()).into_iter().enumerate() {
            block.separator(index, &mut found).unwrap();
            assert_eq!((&found, block.handle(index)), (&separators[index], Ok(handle)));
        }
    });
}

#[test]
fn a_block_out_of_reach_needs_another_index_block() {
    let mut builder = IndexBlockBuilder::new(KeyLayout::PLAIN);
    let first = BlockHandle { offset: BASE, len: u32::MAX - 5 };
    assert!(builder.reaches(first));
    builder.add(b"a", first);
    assert!(!builder.reaches(BlockHandle { offset: BASE + u64::from(u32::MAX), len: 0 }));
    let mut bytes = Vec::new();
    builder.finish(&mut bytes);
    assert_eq!(IndexBlock::parse(&bytes, 0).unwrap().handle(0), Ok(first));
}

#[test]
fn a_fence_that_is_not_its_head_is_noticed() {
    let separators: Vec<Vec<u8>> = (0..40_u8).map(|at| vec![at]).collect();
    let mut bytes = build(KeyLayout::PLAIN, &separators);
    assert!(IndexBlock::parse(&bytes, 0).unwrap().has_right_fences());
    // Three fences of one byte follow the header of 16 bytes.
    for at in 16..19 {
        bytes[at] ^= 1;
        assert!(!IndexBlock::parse(&bytes, 0).unwrap().has_right_fences());
        bytes[at] ^= 1;
    }
}

#[test]
fn long_separators_get_wide_ends() {
    let separators: Vec<Vec<u8>> = (0..3_u8).map(|at| vec![at; 40_000]).collect();
    let bytes = build(KeyLayout::PLAIN, &separators);
    assert_eq!(bytes[1], 4);
    let block = IndexBlock::parse(&bytes, 0).unwrap();
    let mut found = Vec::new();
    for (index, separator) in separators.iter().enumerate() {
        block.separator(index, &mut found).unwrap();
        assert_eq!(&found, separator);
    }
}

#[test]
fn bytes_behind_the_last_rest_and_missing_ones_are_refused() {
    let mut bytes = build(KeyLayout::PLAIN, &[b"a".to_vec(), b"b".to_vec()]);
    bytes.push(0);
    assert!(IndexBlock::parse(&bytes, 0).is_err());
    bytes.truncate(bytes.len() - 2);
    assert!(IndexBlock::parse(&bytes, 0).is_err());
}

#[test]
fn an_unknown_width_of_ends_is_refused() {
    let mut bytes = build(KeyLayout::PLAIN, &[b"a".to_vec()]);
    for width in [0, 1, 3, 8] {
        bytes[1] = width;
        assert!(IndexBlock::parse(&bytes, 0).is_err(), "{width}");
    }
}

#[test]
fn a_forged_base_makes_no_place_overflow() {
    let mut bytes = build(KeyLayout::PLAIN, &[b"a".to_vec(), b"b".to_vec()]);
    bytes[8..16].fill(0xff);
    let block = IndexBlock::parse(&bytes, 0).unwrap();
    assert_eq!(block.handle(1).unwrap().offset, u64::MAX);
}

#[test]
fn a_block_that_ends_before_its_trailer_has_no_handle() {
    let mut bytes = build(KeyLayout::PLAIN, &[b"a".to_vec(), b"b".to_vec()]);
    // The header, a fence and two heads of a byte each come before the ends.
    for (end, is_right) in [(4, false), (5, true), (42, true), (43, false)] {
        bytes[19] = end;
        let block = IndexBlock::parse(&bytes, 0).unwrap();
        let handles = [block.handle(0), block.handle(1)];
        assert_eq!(handles.iter().all(Result::is_ok), is_right, "{end}");
    }
}

/// Does everything that a reader of an index block can do.
fn use_block(bytes: &[u8], layout: KeyLayout, sought: &[Vec<u8>]) -> Result<(), Damage> {
    let block = IndexBlock::parse(bytes, layout.suffix_len())?;
    let mut outcome = Ok(());
    for key in sought {
        match block.floor(&split(layout, key)) {
            Ok(found) => assert!(found.is_none_or(|index| index < block.count()), "an index"),
            Err(damage) => outcome = Err(damage),
        }
    }
    block.has_right_fences();
    let mut separator = Vec::new();
    for index in 0..block.count().min(300) {
        let done = block.handle(index).and_then(|_| block.separator(index, &mut separator));
        assert!(done.is_err() || separator.len() >= layout.suffix_len());
        outcome = outcome.and(done);
    }
    outcome
}

#[test]
fn a_damaged_index_block_is_refused_or_read_without_a_panic() {
    for suffix_len in [0, 8] {
        let layout = KeyLayout::with_suffix(suffix_len);
        for separators in lists(layout).into_iter().filter(|list| list.len() < 20) {
            let mut bytes = build(layout, &separators);
            use_block(&bytes, layout, &separators).unwrap();
            for cut in 0..bytes.len() {
                assert!(use_block(&bytes[..cut], layout, &separators).is_err(), "cut to {cut}");
            }
            for bit in 0..8 * bytes.len().min(400) {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let _any = use_block(&bytes, layout, &separators);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn ends_are_wide_from_64_kib_of_rests_on() {
    // Each rest has a length of 3 bytes, and the stem without its head of 8 bytes.
    for (lens, width) in [([32_773, 32_772], 2), ([32_773, 32_773], 4)] {
        let separators = [vec![0; lens[0]], vec![1; lens[1]]];
        let bytes = build(KeyLayout::PLAIN, &separators);
        assert_eq!(bytes[1], width, "{lens:?}");
        let block = IndexBlock::parse(&bytes, 0).unwrap();
        let mut found = Vec::new();
        for (index, separator) in separators.iter().enumerate() {
            block.separator(index, &mut found).unwrap();
            assert_eq!(&found, separator);
        }
    }
}
