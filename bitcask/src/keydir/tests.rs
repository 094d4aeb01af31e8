//! Facts about the keydir as a whole.

mod room;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

fn keydir() -> Keydir {
    Keydir::new(1, Limits::default())
}

/// The version that write `sequence` makes.
fn version(sequence: u64) -> Version {
    Version { location: Location { file: 3, offset: sequence * 8, len: 40 }, sequence }
}

/// The keys of a collection, and the write that made each version.
fn keys_of(collection: &Collection) -> BTreeMap<Vec<u8>, u64> {
    let key = |entry: &Collected| {
        collection.keys[entry.key_start..][..usize::from(entry.key_len)].to_vec()
    };
    collection.entries.iter().map(|entry| (key(entry), entry.location.offset / 8)).collect()
}

/// All keys of `keydir`.
fn newest(keydir: &Keydir) -> BTreeMap<Vec<u8>, u64> {
    keys_of(&keydir.collect(&KeyRange::all(), u64::MAX >> 16))
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

#[test]
fn the_keydir_agrees_with_a_map() {
    let keydir = keydir();
    let mut model = BTreeMap::new();
    for sequence in 1..30_000_u64 {
        let key = (sequence.wrapping_mul(0x9e37_79b9) % 5_000).to_string().into_bytes();
        if sequence % 3 == 0 {
            let removed = keydir.remove(&key, sequence);
            assert_eq!(removed.map(|old| old.sequence), model.remove(&key));
        } else {
            let replaced = keydir.put(&key, version(sequence));
            assert_eq!(replaced.map(|old| old.sequence), model.insert(key, sequence));
        }
    }
    assert_eq!(keydir.len(), model.len() as u64);
    for (key, &sequence) in &model {
        assert_eq!(keydir.get(key), Some(version(sequence)));
    }
    assert_eq!(newest(&keydir), model);
    keydir.check_invariants();
}

#[test]
fn a_relocation_moves_the_version_that_was_copied_and_no_other() {
    let keydir = keydir();
    keydir.put(b"key", version(5));
    let copy =
        |sequence| Version { location: Location { file: 9, offset: 800, len: 40 }, sequence };
    for other in [4, 6] {
        assert!(!keydir.relocate(b"key", copy(other)));
        assert_eq!(keydir.get(b"key"), Some(version(5)));
    }
    assert!(!keydir.relocate(b"other", copy(5)));
    assert!(keydir.relocate(b"key", copy(5)));
    assert_eq!(keydir.get(b"key"), Some(copy(5)));
    keydir.check_invariants();
}

#[test]
fn the_keys_of_files_that_have_expired_are_forgotten_and_no_others() {
    let keydir = keydir();
    for sequence in 1..=400_u64 {
        let location = Location { file: (sequence % 4) as u16, offset: sequence * 8, len: 40 };
        keydir.put(&sequence.to_be_bytes(), Version { location, sequence });
    }
    assert_eq!(keydir.keys_in(&[1, 3]).len(), 200);
    keydir.forget_files(&[1, 3]);
    assert_eq!(keydir.len(), 200);
    for sequence in 1..=400_u64 {
        assert_eq!(keydir.get(&sequence.to_be_bytes()).is_some(), sequence % 2 == 0);
    }
    keydir.check_invariants();
}

/// A keydir with keys of so many bytes in so many pages of each shard that removing most of them frees pages.
fn filled() -> (Keydir, Vec<Vec<u8>>) {
    let keydir = keydir();
    let keys: Vec<Vec<u8>> = (1..=2_560_u64)
        .map(|sequence| [&sequence.to_be_bytes()[..], &[7; 1_500]].concat())
        .collect();
    for (at, key) in keys.iter().enumerate() {
        let location = Location { file: (at % 10) as u16, offset: 64, len: 1_600 };
        keydir.put(key, Version { location, sequence: at as u64 + 1 });
    }
    (keydir, keys)
}

fn pages(keydir: &Keydir) -> usize {
    keydir.shards.iter().map(|shard| shard.read().arena.pages()).sum()
}

#[test]
fn removing_most_keys_gives_pages_back_and_keeps_the_others() {
    let (keydir, keys) = filled();
    let before = pages(&keydir);
    for (at, key) in keys.iter().enumerate().filter(|(at, _)| at % 10 != 0) {
        keydir.remove(key, 10_000 + at as u64).unwrap();
    }
    assert!(pages(&keydir) < before / 2, "{} of {before} pages are left", pages(&keydir));
    assert!(keys.iter().step_by(10).all(|key| keydir.get(key).is_some()));
    keydir.check_invariants();
}

#[test]
fn keys_of_files_that_have_expired_give_their_pages_back() {
    let (keydir, keys) = filled();
    let before = pages(&keydir);
    keydir.forget_files(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(pages(&keydir) < before / 2, "{} of {before} pages are left", pages(&keydir));
    assert!(keys.iter().step_by(10).all(|key| keydir.get(key).is_some()));
    keydir.check_invariants();
}

/// A prefetch reads no shard that a writer has locked; waiting there would make a write of one key wait for another.
#[test]
fn a_prefetch_waits_for_no_writer() {
    let keydir = keydir();
    keydir.put(b"key", version(1));
    let locked: Vec<_> = keydir.shards.iter().map(|shard| shard.write()).collect();
    keydir.prefetch([&b"key"[..]].into_iter());
    drop(locked);
    assert_eq!(keydir.get(b"key"), Some(version(1)));
}

#[test]
fn a_prefetch_changes_nothing_whatever_the_keys() {
    let keydir = keydir();
    keydir.prefetch([].into_iter());
    keydir.prefetch([&b"absent"[..]; 20].into_iter());
    let keys: Vec<[u8; 8]> = (1..=100_u64).map(u64::to_be_bytes).collect();
    for (at, key) in keys.iter().enumerate() {
        keydir.put(key, version(at as u64 + 1));
    }
    let before = newest(&keydir);
    for some in keys.chunks(Keydir::PREFETCHED) {
        keydir.prefetch(some.iter().map(|key| &key[..]));
    }
    assert_eq!(newest(&keydir), before);
    keydir.check_invariants();
}

#[test]
fn loading_in_any_order_keeps_the_newest_and_drops_the_deleted() {
    let records = [
        (&b"a"[..], 1, true),
        (b"a", 5, true),
        (b"b", 2, true),
        (b"b", 6, false),
        (b"c", 3, false),
        (b"c", 7, true),
    ];
    for rotation in 0..records.len() {
        let keydir = keydir();
        for at in 0..records.len() {
            let (key, sequence, put) = records[(at + rotation) % records.len()];
            keydir.load(key, sequence, put.then(|| version(sequence).location));
        }
        let mut live = Vec::new();
        keydir.finish_loading(&mut |version| live.push(version.sequence)).unwrap();
        live.sort_unstable();
        assert_eq!(live, [5, 7]);
        assert_eq!(keydir.get(b"b"), None);
        keydir.check_invariants();
    }
}

#[test]
fn a_loader_enters_what_loading_one_by_one_does() {
    let (one_by_one, sorted) = (keydir(), keydir());
    let mut loader = Loader::new(&sorted, 1, 5_000);
    for sequence in 1..5_000_u64 {
        let key = (sequence.wrapping_mul(0x9e37_79b9) % 700).to_string().into_bytes();
        let location = (sequence % 5 != 0).then(|| version(sequence).location);
        one_by_one.load(&key, sequence, location);
        loader.load(&key, sequence, location);
    }
    loader.finish();
    one_by_one.finish_loading(&mut |_| ()).unwrap();
    // Shards in any order, as several threads would take them.
    for shard in (0..sorted.shard_count()).rev() {
        sorted.finish_loading_shard(shard, &mut |_| ()).unwrap();
    }
    let [expected, found] = [one_by_one, sorted].map(|keydir| {
        keydir.check_invariants();
        newest(&keydir)
    });
    assert!(expected.len() > 500);
    assert_eq!(found, expected);
}

/// The keys are the user's: a log that prints a handle must not contain them.
#[test]
fn debug_output_is_a_summary_without_keys() {
    let keydir = Arc::new(keydir());
    keydir.open_view(0);
    for sequence in 1..=9 {
        keydir.put(b"secret", version(sequence));
        keydir.open_view(sequence);
    }
    let mut loader = Loader::new(&keydir, 0, 0);
    loader.load(b"secret", 10, None);
    let (collection, reservation) =
        (keydir.collect(&KeyRange::all(), 9), keydir.reserve([&b"secret"[..]].into_iter()));
    assert_eq!(collection.entries.len(), 1);
    let shown = format!("{keydir:?} {loader:?} {collection:?} {reservation:?}");
    assert!(shown.len() < 600, "{shown}");
    assert!(!shown.contains("secret") && !shown.contains("115, 101, 99"), "{shown}");
}

#[test]
fn from_a_million_keys_on_each_takes_at_most_28_bytes_besides_the_key() {
    for key_len in [8, 16] {
        let keydir = keydir();
        for count in 1..=2_000_000_u64 {
            let key = format!("{count:0key_len$x}");
            keydir.put(key.as_bytes(), version(count));
            if count % 100_000 == 0 && count >= 1_000_000 {
                let overhead = keydir.memory_bytes() as f64 / count as f64 - key_len as f64;
                assert!(overhead <= 28.0, "{overhead:.1} bytes at {count} keys");
            }
        }
    }
}

#[test]
fn a_loaded_keydir_takes_at_most_28_bytes_besides_the_key_whatever_was_expected() {
    const KEYS: u64 = 1_000_000;
    // As many records as keys; each key overwritten twice; a manifest that claims too much, or too little.
    for (versions, expected) in [(1, KEYS), (3, 3 * KEYS), (1, u64::MAX), (1, 0)] {
        let keydir = keydir();
        let mut loader = Loader::new(&keydir, 0, expected);
        for sequence in 1..=versions * KEYS {
            let key = (sequence % KEYS).to_be_bytes();
            loader.load(&key, sequence, Some(version(sequence).location));
        }
        loader.finish();
        keydir.finish_loading(&mut |_| ()).unwrap();
        assert_eq!(keydir.len(), KEYS);
        let overhead = keydir.memory_bytes() as f64 / KEYS as f64 - 8.0;
        assert!(overhead <= 28.0, "{overhead:.1} bytes, {versions} of {expected}");
    }
}
