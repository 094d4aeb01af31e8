//! Readers on threads of their own, while one thread writes.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kv::Cursor as _;

use super::super::{EntryCursor, EntryTree};
use crate::internal_key::{self, Kind, Trailer};

const WRITES: u64 = 40_000;

/// The user key of write `sequence`: in order or not, and some keys have many versions.
fn user_of(sequence: u64) -> Vec<u8> {
    match sequence % 4 {
        0 => format!("{sequence:012}"),
        1 => format!("{:012}", sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) % WRITES),
        2 => format!("hot{}", sequence % 3),
        _ => format!("{}", sequence.wrapping_mul(0x2545_f491_4f6c_dd1d)),
    }
    .into_bytes()
}

fn value_of(sequence: u64) -> Vec<u8> {
    sequence.to_le_bytes().repeat(1 + sequence as usize % 20)
}

/// The numbers up to `newest` of a whole walk, each of whose entries is whole.
fn walk(tree: &Arc<EntryTree>, newest: u64, is_forward: bool) -> Vec<u64> {
    let mut cursor = EntryCursor::new(Arc::clone(tree), (Bound::Unbounded, Bound::Unbounded));
    let (mut seen, mut last) = (Vec::new(), None);
    while if is_forward { cursor.next().unwrap() } else { cursor.prev().unwrap() } {
        let (key, value) = cursor.entry().unwrap();
        let (user, trailer) = internal_key::split(key).unwrap();
        let sequence = trailer.sequence();
        assert_eq!((user, value), (&user_of(sequence)[..], &value_of(sequence)[..]));
        let here = (user.to_vec(), u64::MAX - sequence);
        if let Some(last) = last {
            assert!(if is_forward { last < here } else { last > here }, "in order");
        }
        last = Some(here);
        if sequence <= newest {
            seen.push(sequence);
        }
    }
    seen
}

#[test]
fn readers_beside_the_writer_find_all_that_was_visible_when_they_began() {
    let tree = Arc::new(EntryTree::default());
    let visible = AtomicU64::new(0);
    thread::scope(|scope| {
        for reader in 0..3_u64 {
            let (tree, visible) = (&tree, &visible);
            scope.spawn(move || {
                let mut at = reader;
                loop {
                    let newest = visible.load(Ordering::Acquire);
                    let mut seen = walk(tree, newest, reader % 2 == 0);
                    seen.sort_unstable();
                    assert!(seen.into_iter().eq(1..=newest), "each visible entry once");
                    for _ in 0..newest.min(2_000) {
                        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let sequence = 1 + (at >> 33) % newest;
                        let found = tree.find(&user_of(sequence), Trailer::seen_at(sequence));
                        let entry = found.expect("a visible entry");
                        assert_eq!(entry.trailer().sequence(), sequence);
                        let mut value = Vec::new();
                        entry.with_value(&mut |bytes| value = bytes.to_vec());
                        assert_eq!(value, value_of(sequence));
                    }
                    if newest == WRITES {
                        break;
                    }
                }
            });
        }
        for sequence in 1..=WRITES {
            let trailer = Trailer::new(sequence, Kind::Put);
            tree.insert(&user_of(sequence), trailer, &value_of(sequence));
            visible.store(sequence, Ordering::Release);
        }
    });
}
