//! Blocks of other writers. The format lets a writer choose any prefix that all stems share, any width of heads that the stems
//! need or do not need, and any restart interval.

use std::iter;

use durable::coding::{put_u16, put_u32, put_varint};

use super::*;
use crate::key_layout::SplitKey;

/// The choices of a writer.
#[derive(Clone, Copy, Debug)]
struct Choices {
    prefix_len: usize,
    head_width: usize,
    end_width: usize,
    interval: usize,
    shared_suffix_len: usize,
}

/// How many bytes `a` and `b` begin with in common.
fn shared(a: &[u8], b: &[u8]) -> usize {
    iter::zip(a, b).take_while(|(a, b)| a == b).count()
}

/// Encodes a block after the tables of `FORMAT.md`.
fn encode(keys: &[SplitKey<'_>], values: &[&[u8]], choices: Choices) -> Vec<u8> {
    let Choices { prefix_len, head_width, end_width, interval, shared_suffix_len } = choices;
    let (mut heads, mut ends) = (Vec::new(), Vec::new());
    let (mut suffixes, mut entries) = (Vec::new(), Vec::new());
    let rest = |index: usize| &keys[index].stem[prefix_len..];
    for (index, value) in values.iter().enumerate() {
        let is_last = (index + 1).is_multiple_of(interval) || index + 1 == keys.len();
        let stem = rest(index);
        let stored = if index.is_multiple_of(interval) {
            heads.extend(stem.iter().copied().chain(iter::repeat(0)).take(head_width));
            put_varint(&mut entries, stem.len() as u64);
            stem.get(head_width..).unwrap_or(&[])
        } else {
            let shared = shared(rest(index - 1), stem);
            put_varint(&mut entries, shared as u64);
            put_varint(&mut entries, (stem.len() - shared) as u64);
            &stem[shared..]
        };
        if !is_last {
            put_varint(&mut entries, value.len() as u64);
        }
        entries.extend_from_slice(stored);
        entries.extend_from_slice(value);
        if is_last {
            ends.extend_from_slice(&entries.len().to_le_bytes()[..end_width]);
        }
        suffixes.extend_from_slice(&keys[index].suffix[shared_suffix_len..]);
    }
    let mut block = vec![head_width as u8, end_width as u8];
    put_u16(&mut block, prefix_len as u16);
    put_u32(&mut block, keys.len() as u32);
    put_u16(&mut block, interval as u16);
    block.extend([shared_suffix_len as u8, 0]);
    block.extend_from_slice(&keys[0].stem[..prefix_len]);
    block.extend_from_slice(&keys[0].suffix[..shared_suffix_len]);
    [block, heads, ends, suffixes, entries].concat()
}

#[test]
fn a_block_of_another_writer_is_searched_and_walked_over_whatever_it_chose() {
    let random = SeededEntropy::new(19);
    let up_to = |most: usize| random.next_u64() as usize % (most + 1);
    for layout in [0, 1, 8].map(KeyLayout::with_suffix) {
        for entries in shapes(layout).into_iter().filter(|entries| !entries.is_empty()) {
            let keys: Vec<_> = entries.iter().map(|(key, _)| layout.split(key).unwrap()).collect();
            let values: Vec<_> = entries.iter().map(|(_, value)| &value[..]).collect();
            let (first, last) = (keys[0], keys[keys.len() - 1]);
            let suffixes = keys.iter().map(|key| shared(first.suffix, key.suffix));
            let shared_suffix_len = suffixes.min().unwrap_or(0);
            for interval in [1, 1, 2, 5, 16, 40] {
                let choices = Choices {
                    prefix_len: up_to(shared(first.stem, last.stem)),
                    head_width: 1 << up_to(3),
                    end_width: 2 << up_to(1),
                    interval,
                    shared_suffix_len: up_to(shared_suffix_len),
                };
                let bytes = encode(&keys, &values, choices);
                check_searches(layout, &bytes, &entries);
                check_walks(layout, &bytes, &entries);
                check_turns(&random, layout, &bytes, &entries);
            }
        }
    }
}
