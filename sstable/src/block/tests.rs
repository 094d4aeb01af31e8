//! A block against the sorted list of its entries.

use durable::{Entropy, SeededEntropy};

use super::*;
use crate::damage::Damage;
use crate::key_layout::KeyLayout;

mod other_writer;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Lists of entries whose keys differ in length, in what they share, and in how often a stem comes again.
fn shapes(layout: KeyLayout) -> Vec<Entries> {
    let random = SeededEntropy::new(7);
    let key = |shape: usize| -> Vec<u8> {
        let number = random.next_u64();
        let mut stem = match shape {
            0 => number.to_be_bytes().to_vec(),
            1 => format!("user{}", number % 100_000).into_bytes(),
            2 => vec![b'a'; (number % 12) as usize],
            3 => format!("https://example.org/a/long/path/{:04}", number % 10_000).into_bytes(),
            4 => vec![0; (number % 20) as usize],
            _ => vec![(number % 3) as u8; (number / 3 % 3) as usize],
        };
        let suffix = (number >> 32) % 50;
        stem.extend_from_slice(&suffix.to_be_bytes()[8 - layout.suffix_len()..]);
        stem
    };
    let mut lists = vec![Entries::new()];
    for shape in 0..6 {
        for count in [1, 2, 17, 100] {
            let mut keys: Vec<Vec<u8>> = (0..count).map(|_| key(shape)).collect();
            keys.sort_by(|a, b| layout.split(a).unwrap().cmp(&layout.split(b).unwrap()));
            keys.dedup();
            let value = |index: usize| vec![index as u8; index * 7 % 200];
            lists.push(keys.into_iter().enumerate().map(|(at, key)| (key, value(at))).collect());
        }
    }
    lists
}

const RESTARTS: [Restarts; 5] = [
    Restarts::Adaptive,
    Restarts::Every(1),
    Restarts::Every(2),
    Restarts::Every(16),
    Restarts::Every(u16::MAX),
];

fn build(layout: KeyLayout, restarts: Restarts, entries: &Entries) -> Vec<u8> {
    let mut builder = BlockBuilder::new(layout, restarts);
    let mut bytes = Vec::new();
    for _ in 0..2 {
        // The second block of a builder is the same as its first.
        bytes.clear();
        for (key, value) in entries {
            builder.add(key, value);
        }
        let estimated = builder.estimated_len();
        builder.finish(&mut bytes);
        assert!(bytes.len() <= estimated + 8 * entries.len() + 8, "{} {estimated}", bytes.len());
    }
    bytes
}

/// Runs `check` with blocks of every kind, and the entries that they should hold.
fn on_every_block(check: impl Fn(KeyLayout, &[u8], &Entries)) {
    for suffix_len in [0, 1, 8] {
        let layout = KeyLayout::with_suffix(suffix_len);
        for entries in shapes(layout) {
            for restarts in RESTARTS {
                check(layout, &build(layout, restarts, &entries), &entries);
            }
        }
    }
}

/// Looks for the keys of the block, and for keys beside them.
fn check_searches(layout: KeyLayout, bytes: &[u8], entries: &Entries) {
    let block = Block::parse(bytes, layout.suffix_len()).unwrap();
    let mut sought: Vec<Vec<u8>> = entries.iter().map(|(key, _)| key.clone()).collect();
    for (key, _) in entries {
        for at in 0..=key.len() {
            sought.push([&key[..at], &[0], &key[at..]].concat());
            sought.push([&key[..at], &[0xff], &key[at..]].concat());
            sought.push([&key[..at], &vec![0; layout.suffix_len()]].concat());
        }
    }
    for key in sought.iter().filter(|key| key.len() >= layout.suffix_len()) {
        let key = layout.split(key).unwrap();
        let index = entries.partition_point(|(other, _)| layout.split(other).unwrap() < key);
        let found = block.search(key).unwrap();
        let entry = entries.get(index);
        let is_equal = entry.is_some_and(|(other, _)| layout.split(other).unwrap() == key);
        assert_eq!((found.index, found.is_equal), (index, is_equal), "{key:?}");
        let value = is_equal.then(|| &entries[index].1[..]);
        assert_eq!(block.find(&key).unwrap().map(|value| &bytes[value]), value);
        if let Some((other, value)) = entry {
            assert_eq!(&bytes[block.value_of(index).unwrap()], value);
            let other = layout.split(other).unwrap();
            assert_eq!(block.has_stem(index, key.stem).unwrap(), key.stem == other.stem);
            assert_eq!(block.suffix(index, &mut [0; 255]), other.suffix);
        }
    }
}

#[test]
fn a_search_finds_the_first_entry_that_is_not_less() {
    on_every_block(check_searches);
}

/// Walks over the block in both directions, from each of its first entries on.
fn check_walks(layout: KeyLayout, bytes: &[u8], entries: &Entries) {
    let parsed = BlockLayout::parse(bytes, layout.suffix_len()).unwrap();
    let block = parsed.block(bytes);
    assert_eq!(parsed.count(), entries.len());
    let mut cursor = BlockCursor::default();
    let shows = |cursor: &BlockCursor, index: usize| {
        let (key, value) = &entries[index];
        assert_eq!(cursor.index(), index);
        assert_eq!((cursor.key(), &bytes[cursor.value()]), (&key[..], &value[..]));
    };
    for start in 0..entries.len().min(20) {
        cursor.set(&block, start).unwrap();
        shows(&cursor, start);
        for index in start + 1..entries.len() {
            cursor.next(&block).unwrap();
            shows(&cursor, index);
        }
        for index in (0..entries.len() - 1).rev() {
            cursor.prev(&block).unwrap();
            shows(&cursor, index);
        }
    }
}

#[test]
fn a_cursor_shows_each_entry_in_both_directions_and_from_anywhere() {
    on_every_block(check_walks);
}

/// Walks over the block with many turns.
fn check_turns(random: &SeededEntropy, layout: KeyLayout, bytes: &[u8], entries: &Entries) {
    let block = Block::parse(bytes, layout.suffix_len()).unwrap();
    let Some(last) = entries.len().checked_sub(1) else { return };
    let mut cursor = BlockCursor::default();
    let mut index = random.next_u64() as usize % entries.len();
    cursor.set(&block, index).unwrap();
    for _ in 0..60 {
        let (is_forward, steps) = (random.next_u64().is_multiple_of(2), random.next_u64() % 20);
        for _ in 0..steps {
            match is_forward {
                true if index < last => {
                    index += 1;
                    cursor.next(&block).unwrap();
                }
                false if index > 0 => {
                    index -= 1;
                    cursor.prev(&block).unwrap();
                }
                _ => {}
            }
            let (key, value) = &entries[index];
            assert_eq!((cursor.key(), &bytes[cursor.value()]), (&key[..], &value[..]));
        }
    }
}

#[test]
fn a_cursor_turns_around_anywhere_in_a_block() {
    let random = SeededEntropy::new(11);
    on_every_block(|layout, bytes, entries| check_turns(&random, layout, bytes, entries));
}

#[test]
fn long_shared_prefixes_make_groups_and_hashed_keys_do_not() {
    let entries = |prefix: &str| -> Entries {
        let keys = (0..60_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut keys: Vec<Vec<u8>> =
            keys.map(|key| format!("{}{prefix}{key:016x}", key >> 60).into_bytes()).collect();
        keys.sort();
        keys.into_iter().map(|key| (key, vec![0; 8])).collect()
    };
    let interval = |entries: &Entries| {
        let bytes = build(KeyLayout::PLAIN, Restarts::Adaptive, entries);
        Block::parse(&bytes, 0).unwrap().interval()
    };
    assert_eq!(interval(&entries("/a/path/that/several/keys/share/")), 16);
    assert_eq!(interval(&entries("")), 1);
}

#[test]
fn suffixes_that_are_all_alike_take_no_space() {
    let keys = |suffix: &dyn Fn(u8) -> Vec<u8>| -> Entries {
        (0..100).map(|at| ([vec![at], suffix(at)].concat(), Vec::new())).collect()
    };
    let len = |suffix_len, entries: &Entries| {
        build(KeyLayout::with_suffix(suffix_len), Restarts::Adaptive, entries).len()
    };
    let plain = len(0, &keys(&|_| Vec::new()));
    assert_eq!(len(8, &keys(&|_| vec![9; 8])), plain + 8);
    assert_eq!(len(8, &keys(&|at| vec![9, 9, 9, 9, 9, 9, at, 0])), plain + 6 + 2 * 100);
}

#[test]
fn values_past_64_kib_get_wide_ends() {
    let entries: Entries = (0..3_u8).map(|at| (vec![at], vec![at; 40_000])).collect();
    let bytes = build(KeyLayout::PLAIN, Restarts::Every(1), &entries);
    let block = Block::parse(&bytes, 0).unwrap();
    assert_eq!(bytes[1], 4);
    for (index, (_, value)) in entries.iter().enumerate() {
        assert_eq!(&bytes[block.value_of(index).unwrap()], value);
    }
}

/// Does everything that a reader of a block can do.
fn use_block(bytes: &[u8], suffix_len: usize) -> Result<(), Damage> {
    let block = Block::parse(bytes, suffix_len)?;
    let layout = KeyLayout::with_suffix(suffix_len as u8);
    let mut cursor = BlockCursor::default();
    for index in 0..block.count().min(300) {
        cursor.set(&block, index)?;
        let (key, value) = (cursor.key().to_vec(), &bytes[cursor.value()]);
        assert!(value.len() <= bytes.len() && key.len() >= suffix_len);
        let key = layout.split(&key).unwrap();
        let found = block.search(key)?;
        assert!(found.index <= block.count(), "an index of the block");
        block.has_stem(index, key.stem)?;
        block.find(&key)?;
        if index + 1 < block.count() {
            cursor.next(&block)?;
            assert!(cursor.value().len() <= bytes.len() && cursor.value().end <= bytes.len());
        }
        for _ in 0..cursor.index().min(20) {
            cursor.prev(&block)?;
        }
    }
    Ok(())
}

#[test]
fn a_damaged_block_is_refused_or_read_without_a_panic() {
    for suffix_len in [0, 8] {
        let layout = KeyLayout::with_suffix(suffix_len);
        for entries in shapes(layout).into_iter().filter(|entries| entries.len() < 20) {
            for restarts in RESTARTS {
                let mut bytes = build(layout, restarts, &entries);
                use_block(&bytes, layout.suffix_len()).unwrap();
                for cut in 0..bytes.len() {
                    assert!(use_block(&bytes[..cut], layout.suffix_len()).is_err(), "cut to {cut}");
                }
                for bit in 0..8 * bytes.len().min(400) {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let _any = use_block(&bytes, layout.suffix_len());
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
    }
}

#[test]
fn ends_are_wide_from_64_kib_of_entries_on() {
    for (value_len, width) in [(65_534, 2), (65_535, 4)] {
        let entries: Entries = vec![(b"k".to_vec(), vec![7; value_len])];
        let bytes = build(KeyLayout::PLAIN, Restarts::Every(1), &entries);
        // The length of the rest of the stem, which the prefix has already, is in front of the value.
        assert_eq!(bytes[1], width, "1 and {value_len} bytes");
        let block = Block::parse(&bytes, 0).unwrap();
        assert_eq!(bytes[block.value_of(0).unwrap()], entries[0].1);
    }
}

#[test]
fn header_fields_that_no_block_has_are_refused() {
    let layout = KeyLayout::with_suffix(2);
    let entries: Entries = vec![(b"a\0\x01".to_vec(), vec![1]), (b"b\0\x02".to_vec(), vec![2])];
    let right = build(layout, Restarts::Every(1), &entries);
    let is_refused = |at: usize, byte: u8| {
        let mut bytes = right.clone();
        bytes[at] = byte;
        Block::parse(&bytes, 2).is_err()
    };
    assert!(!is_refused(0, right[0]));
    // Widths of heads and ends, the interval, the shared bytes of suffixes, and the byte that is zero.
    for (at, byte) in [(0, 0), (0, 3), (0, 16), (1, 0), (1, 1), (1, 3), (8, 0), (10, 3), (11, 1)] {
        assert!(is_refused(at, byte), "{byte} at {at}");
    }
    let mut empty = build(layout, Restarts::Every(1), &Entries::new());
    assert!(Block::parse(&empty, 2).is_ok());
    empty[1] = 3;
    assert!(Block::parse(&empty, 2).is_err(), "no group has an end, and yet its width counts");
}

#[test]
fn bytes_behind_the_last_entry_and_missing_ones_are_refused() {
    let entries: Entries = vec![(b"a".to_vec(), vec![1]), (b"b".to_vec(), vec![2; 9])];
    let mut bytes = build(KeyLayout::PLAIN, Restarts::Every(1), &entries);
    bytes.push(0);
    assert!(Block::parse(&bytes, 0).is_err());
    bytes.truncate(bytes.len() - 2);
    assert!(Block::parse(&bytes, 0).is_err());
}

#[test]
fn an_entry_that_shares_more_than_the_stem_before_has_is_refused() {
    let entries: Entries = vec![(b"a".to_vec(), vec![]), (b"ab".to_vec(), vec![])];
    let mut bytes = build(KeyLayout::PLAIN, Restarts::Every(2), &entries);
    // Behind the header come the prefix "a", a head, an end of 2 bytes, and the restart point of 2 bytes.
    assert_eq!(bytes[12 + 1 + 1 + 2 + 2..], *b"\0\x01b");
    bytes[18] = 1;
    let block = Block::parse(&bytes, 0).unwrap();
    let mut cursor = BlockCursor::default();
    cursor.set(&block, 0).unwrap();
    assert!(cursor.next(&block).is_err());
}

#[test]
fn a_walk_back_into_a_group_refuses_an_entry_that_shares_too_much() {
    let entries: Entries = [&b"a"[..], b"ab", b"b"].map(|key| (key.to_vec(), vec![])).to_vec();
    let mut bytes = build(KeyLayout::PLAIN, Restarts::Every(2), &entries);
    // The last entries are the second one of the first group, and the restart point of the next group.
    let follower = bytes.len() - 4;
    assert_eq!(bytes[follower..], *b"\x01\x01b\x01");
    bytes[follower] = 2;
    let block = Block::parse(&bytes, 0).unwrap();
    let mut cursor = BlockCursor::default();
    cursor.set(&block, 2).unwrap();
    assert_eq!(cursor.prev(&block).unwrap_err().what, "an entry shares more than there is");
}

#[test]
fn stems_whose_lengths_need_another_byte_are_shown_and_found() {
    // The lengths of the stems without their first byte are 126 to 130, and 16,382 to 16,386.
    for len in [126, 16_382] {
        let entries: Entries =
            (0..5_u8).map(|at| (vec![at + 1; len + 1 + usize::from(at)], vec![at; 3])).collect();
        let bytes = build(KeyLayout::PLAIN, Restarts::Every(1), &entries);
        let block = Block::parse(&bytes, 0).unwrap();
        let mut cursor = BlockCursor::default();
        cursor.set(&block, 0).unwrap();
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                cursor.next(&block).unwrap();
            }
            assert_eq!((cursor.key(), &bytes[cursor.value()]), (&key[..], &value[..]));
            let found = block.find(&KeyLayout::PLAIN.split(key).unwrap()).unwrap();
            assert_eq!(found.map(|value| &bytes[value]), Some(&value[..]));
        }
    }
}

#[test]
fn heads_are_as_wide_as_most_keys_need() {
    // Nearly all keys share one byte with the key before, so the second byte tells them apart.
    let entries: Entries = (0..=255_u8).map(|at| (vec![at / 16, at % 16], vec![])).collect();
    assert_eq!(build(KeyLayout::PLAIN, Restarts::Every(1), &entries)[0], 2);
    let entries: Entries = (0..=255_u8).map(|at| (vec![at, 7], vec![])).collect();
    assert_eq!(build(KeyLayout::PLAIN, Restarts::Every(1), &entries)[0], 1);
}
