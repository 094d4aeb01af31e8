//! Schedules of the tree of a tree: one writer beside readers, in a tree whose nodes have three slots, so that most inserts split
//! one. Shuttle runs one thread at a time, so these tests prove the order of the steps and not that of memory.

use std::ops::Bound;
use std::sync::Arc;

use durable::sync::atomic::{AtomicU64, Ordering};
use kv::Cursor as _;

use crate::source::entry_tree::{EntryCursor, EntryTree};
use crate::source::internal_key::{self, Kind, Trailer};
use crate::world::check;

const WRITES: u64 = 14;

/// Keys in ascending and in descending order and between others, and a key with several versions.
fn user_of(sequence: u64) -> Vec<u8> {
    match sequence % 4 {
        0 => vec![b'v'],
        1 => vec![b'm', sequence as u8],
        2 => vec![b'm', u8::MAX - sequence as u8],
        _ => vec![b'a', sequence as u8 * 5 % 7],
    }
}

/// A tree whose writer has made the first `before` writes, and makes the others on a thread of its own.
struct Written {
    tree: Arc<EntryTree>,
    visible: Arc<AtomicU64>,
    writer: shuttle::thread::JoinHandle<()>,
}

fn write_beside(before: u64) -> Written {
    let (tree, visible) = (Arc::new(EntryTree::default()), Arc::new(AtomicU64::new(before)));
    let write = |tree: &EntryTree, sequence: u64| {
        let trailer = Trailer::new(sequence, Kind::Put);
        tree.insert(&user_of(sequence), trailer, &[sequence as u8]);
    };
    (1..=before).for_each(|sequence| write(&tree, sequence));
    let writer = {
        let (tree, visible) = (Arc::clone(&tree), Arc::clone(&visible));
        shuttle::thread::spawn(move || {
            for sequence in before + 1..=WRITES {
                write(&tree, sequence);
                visible.store(sequence, Ordering::Release);
            }
        })
    };
    Written { tree, visible, writer }
}

fn cursor(tree: &Arc<EntryTree>) -> EntryCursor {
    EntryCursor::new(Arc::clone(tree), (Bound::Unbounded, Bound::Unbounded))
}

/// The user key and the number under a cursor, and that the entry is whole.
fn here(cursor: &mut EntryCursor) -> (Vec<u8>, u64) {
    let (key, value) = cursor.entry().expect("the cursor is on an entry");
    let (user, trailer) = internal_key::split(key).expect("a tree has internal keys");
    let sequence = trailer.sequence();
    assert_eq!((user, value), (&user_of(sequence)[..], &[sequence as u8][..]), "a whole entry");
    (user.to_vec(), sequence)
}

/// Walks from `seek` to the end of a direction. Every entry up to `newest` is shown once and in order.
fn check_walk(cursor: &mut EntryCursor, newest: u64, is_forward: bool) {
    let (mut seen, mut places) = (Vec::new(), Vec::new());
    while if is_forward { cursor.next() } else { cursor.prev() }.expect("no I/O") {
        let (user, sequence) = here(cursor);
        places.push((user, u64::MAX - sequence));
        if sequence <= newest {
            seen.push(sequence);
        }
    }
    let in_order =
        |one: &Vec<u8>, other: &Vec<u8>| if is_forward { one < other } else { one > other };
    let keys: Vec<Vec<u8>> = places
        .into_iter()
        .map(|(user, version)| [&user[..], &version.to_be_bytes()].concat())
        .collect();
    assert!(keys.is_sorted_by(in_order), "in order, each one once");
    seen.sort_unstable();
    assert!(seen.into_iter().eq(1..=newest), "each entry that was visible");
}

fn walks_beside_inserts(before: u64) {
    let written = write_beside(before);
    let readers = [true, false].map(|is_forward| {
        let (tree, visible) = (Arc::clone(&written.tree), Arc::clone(&written.visible));
        shuttle::thread::spawn(move || {
            let newest = visible.load(Ordering::Acquire);
            let mut cursor = cursor(&tree);
            check_walk(&mut cursor, newest, is_forward);
            check_walk(&mut cursor, newest, !is_forward);
        })
    });
    for thread in readers {
        thread.join().expect("no reader fails");
    }
    written.writer.join().expect("the writer does not fail");
    check_walk(&mut cursor(&written.tree), WRITES, true);
    check_walk(&mut cursor(&written.tree), WRITES, false);
}

#[test]
fn walks_beside_inserts_miss_nothing_and_show_nothing_twice() {
    for before in [0, 3, 9] {
        check(move || walks_beside_inserts(before), 150);
    }
}

fn gets_and_seeks_beside_inserts(before: u64) {
    let written = write_beside(before);
    let tree = Arc::clone(&written.tree);
    let visible = Arc::clone(&written.visible);
    let reader = shuttle::thread::spawn(move || {
        for step in 0..4 {
            let newest = visible.load(Ordering::Acquire);
            if newest == 0 {
                continue;
            }
            let sequence = 1 + (step * 5 + newest) % newest;
            let user = user_of(sequence);
            let found = tree.find(&user, Trailer::seen_at(sequence)).expect("it is visible");
            assert_eq!(found.trailer().sequence(), sequence, "the newest visible version");
            found.with_value(&mut |value| assert_eq!(value, [sequence as u8], "its value"));
            let mut cursor = cursor(&tree);
            let key = internal_key::encoded(&user, Trailer::new(sequence, Kind::Put));
            assert!(cursor.seek_ge(&key).expect("no I/O") && here(&mut cursor).1 == sequence);
            let behind = internal_key::encoded(&user, Trailer::seen_at(sequence - 1));
            assert!(cursor.seek_lt(&behind).expect("no I/O") && here(&mut cursor).1 == sequence);
        }
    });
    reader.join().expect("the reader does not fail");
    written.writer.join().expect("the writer does not fail");
}

#[test]
fn gets_and_seeks_beside_inserts_find_every_visible_entry() {
    for before in [0, 5, 10] {
        check(move || gets_and_seeks_beside_inserts(before), 300);
    }
}
