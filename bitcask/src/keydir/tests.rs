//! Facts about the keydir as a whole.

use std::collections::BTreeMap;

use super::*;

fn version(sequence: u64) -> Version {
    Version { location: Location { file: 3, offset: sequence * 8, len: 40 }, sequence }
}

fn keys_of(collection: &Collection) -> BTreeMap<Vec<u8>, u64> {
    let key = |entry: &Collected| {
        collection.keys[entry.key_start..][..usize::from(entry.key_len)].to_vec()
    };
    collection.entries.iter().map(|entry| (key(entry), entry.location.offset / 8)).collect()
}

#[test]
fn the_keydir_agrees_with_a_map() {
    let keydir = Keydir::new(1);
    let mut model = BTreeMap::new();
    for sequence in 1..30_000_u64 {
        let key = (sequence.wrapping_mul(0x9e37_79b9) % 5_000).to_string().into_bytes();
        if sequence % 3 == 0 {
            let removed = keydir.remove(&key, sequence, Undo::Forget);
            assert_eq!(removed.map(|old| old.sequence), model.remove(&key));
        } else {
            let replaced = keydir.put(&key, version(sequence), Undo::Forget);
            assert_eq!(replaced.map(|old| old.sequence), model.insert(key, sequence));
        }
    }
    assert_eq!(keydir.len(), model.len() as u64);
    for (key, &sequence) in &model {
        assert_eq!(keydir.get(key), Some(version(sequence)));
    }
    assert_eq!(keys_of(&keydir.collect(&KeyRange::all(), u64::MAX >> 16)), model);
}

#[test]
fn a_view_sees_what_was_there_when_it_was_opened() {
    let keydir = Keydir::new(1);
    for sequence in 1..=100 {
        keydir.put(&[sequence as u8], version(sequence), Undo::Forget);
    }
    let frozen = keys_of(&keydir.collect(&KeyRange::all(), 100));
    for sequence in 101..=160 {
        keydir.put(&[sequence as u8 - 100], version(sequence), Undo::KeepFor(100));
        keydir.put(&[sequence as u8], version(sequence), Undo::KeepFor(100));
    }
    for sequence in 161..=190 {
        keydir.remove(&[sequence as u8 - 160], sequence, Undo::KeepFor(100));
    }
    assert_eq!(keys_of(&keydir.collect(&KeyRange::all(), 100)), frozen);
    keydir.trim(&[]);
    assert_eq!(keydir.undo_bytes(), 0);
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
        let keydir = Keydir::new(1);
        for at in 0..records.len() {
            let (key, sequence, put) = records[(at + rotation) % records.len()];
            keydir.load(key, sequence, put.then(|| version(sequence).location));
        }
        let mut live = Vec::new();
        keydir.finish_loading(&mut |version| live.push(version.sequence));
        live.sort_unstable();
        assert_eq!(live, [5, 7]);
        assert_eq!(keydir.get(b"b"), None);
    }
}

#[test]
fn a_loader_enters_what_loading_one_by_one_does() {
    let (one_by_one, sorted) = (Keydir::new(1), Keydir::new(1));
    let mut loader = Loader::new(&sorted);
    for sequence in 1..5_000_u64 {
        let key = (sequence.wrapping_mul(0x9e37_79b9) % 700).to_string().into_bytes();
        let location = (sequence % 5 != 0).then(|| version(sequence).location);
        one_by_one.load(&key, sequence, location);
        loader.load(&key, sequence, location);
    }
    loader.finish();
    for keydir in [&one_by_one, &sorted] {
        keydir.finish_loading(&mut |_| ());
    }
    let [expected, found] = [one_by_one, sorted]
        .map(|keydir| keys_of(&keydir.collect(&KeyRange::all(), u64::MAX >> 16)));
    assert!(expected.len() > 500);
    assert_eq!(found, expected);
}

#[test]
fn from_a_million_keys_on_each_takes_at_most_28_bytes_besides_the_key() {
    for key_len in [8, 16] {
        let keydir = Keydir::new(1);
        for count in 1..=2_000_000_u64 {
            let key = format!("{count:0key_len$x}");
            keydir.put(key.as_bytes(), version(count), Undo::Forget);
            if count % 100_000 == 0 && count >= 1_000_000 {
                let overhead = keydir.memory_bytes() as f64 / count as f64 - key_len as f64;
                assert!(overhead <= 28.0, "{overhead:.1} bytes at {count} keys");
            }
        }
    }
}
