//! Room: a batch that does not fit is refused before it enters, whatever the lengths of its keys.

use super::*;

/// Small enough to be filled in no time.
const LIMITS: Limits = Limits { for_writes: 12, addressable: 16 };

/// Every class of key: short, two to a page, one to a page, several pages.
const KEY_LENS: [usize; 12] =
    [8, 100, 700, 1_366, 1_400, 2_000, 2_100, 3_000, 4_080, 4_200, 9_000, 65_535];

/// Key number `number` of `len` bytes.
fn key(number: u64, len: usize) -> Vec<u8> {
    let mut key = vec![b'k'; len];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

/// Keys of `len` bytes that lie in shard 0.
fn keys_of_one_shard(keydir: &Keydir, len: usize) -> impl Iterator<Item = Vec<u8>> {
    let keys = (0..).map(move |number| key(number, len));
    keys.filter(|key| Keydir::shard_of(keydir.hash(key)) == 0)
}

fn check(keydir: &Keydir, keys: &[Vec<u8>]) -> kv::Result<()> {
    keydir.check_room(keys.iter().map(|key| &key[..]))
}

/// Keys of about 1,400 to 4,100 bytes ran out of addresses, and the put panicked after its append.
#[test]
fn a_keydir_that_runs_full_refuses_and_never_panics() {
    for len in KEY_LENS {
        let keydir = Keydir::new(1, LIMITS);
        let mut sequence = 0;
        let refused = loop {
            sequence += 1;
            let key = key(sequence, len);
            if let Err(refused) = check(&keydir, std::slice::from_ref(&key)) {
                break refused;
            }
            keydir.put(&key, version(sequence));
        };
        assert!(matches!(refused, kv::Error::InvalidArgument(_)), "{len}: {refused}");
        assert!(refused.to_string().contains("delete keys"), "{refused}");
        assert_eq!(keydir.len(), sequence - 1);
        keydir.check_invariants();
        let fits_none = 2 * len > (LIMITS.for_writes - 1) * 4096;
        assert_eq!(sequence == 1, fits_none, "{len}");
    }
}

#[test]
fn a_batch_that_would_run_out_of_room_on_its_way_is_refused_as_a_whole() {
    for len in KEY_LENS {
        let keydir = Keydir::new(1, LIMITS);
        // Each of them would fit alone.
        let keys: Vec<_> = keys_of_one_shard(&keydir, len).take(48 * 1024 / len + 3).collect();
        check(&keydir, &keys).unwrap_err();
        assert_eq!(keydir.len(), 0);
        let half = &keys[..(LIMITS.for_writes - 1) * 4096 / 2 / (len + 20)];
        check(&keydir, half).unwrap();
        for (at, key) in half.iter().enumerate() {
            keydir.put(key, version(at as u64 + 1));
        }
        keydir.check_invariants();
    }
}

#[test]
fn a_waiting_batch_keeps_its_room_until_it_has_entered() {
    for len in [100, 1_400, 2_100, 4_080] {
        let keydir = Arc::new(Keydir::new(1, LIMITS));
        let count = 8 * 4096 / 2 / (len + 20);
        let keys: Vec<_> = keys_of_one_shard(&keydir, len).take(2 * count).collect();
        let (first, second) = keys.split_at(count);
        let room = keydir.reserve(first.iter().map(|key| &key[..])).unwrap();
        // Neither at once nor later: the room is taken.
        check(&keydir, second).unwrap_err();
        assert!(keydir.reserve(second.iter().map(|key| &key[..])).is_err(), "{len}");
        // Other shards have theirs.
        let elsewhere = (0..).map(|number| key(number, len));
        let elsewhere: Vec<_> =
            elsewhere.filter(|key| Keydir::shard_of(keydir.hash(key)) == 1).take(count).collect();
        check(&keydir, &elsewhere).unwrap();
        for (at, key) in first.iter().enumerate() {
            keydir.put(key, version(at as u64 + 1));
        }
        drop(room);
        keydir.check_invariants();
        // A batch that was given up takes nothing with it.
        let small = std::slice::from_ref(&second[0]);
        for _ in 0..100 {
            drop(keydir.reserve(small.iter().map(|key| &key[..])).unwrap());
        }
        check(&keydir, small).unwrap();
    }
}

#[test]
fn deleting_some_keys_of_a_full_keydir_makes_room() {
    for len in [8, 100, 1_400, 2_100, 4_080] {
        let keydir = Keydir::new(1, LIMITS);
        let mut keys = keys_of_one_shard(&keydir, len);
        let mut entered = Vec::new();
        let refused = loop {
            let key = keys.next().unwrap();
            if check(&keydir, std::slice::from_ref(&key)).is_err() {
                break key;
            }
            keydir.put(&key, version(entered.len() as u64 + 1));
            entered.push(key);
        };
        let removed = entered.len().div_ceil(4).max(2);
        for (at, key) in entered.iter().take(removed).enumerate() {
            keydir.remove(key, 10_000 + at as u64);
        }
        check(&keydir, std::slice::from_ref(&refused)).unwrap();
        keydir.put(&refused, version(20_000));
        assert_eq!(keydir.len() as usize, entered.len() - removed + 1, "{len}");
        keydir.check_invariants();
    }
}

/// Tombstones are remembered while a store is loaded, so it may have more of them than a keydir can hold.
#[test]
fn a_store_that_does_not_fit_is_an_error_of_opening() {
    for through_loader in [false, true] {
        let keydir = Keydir::new(1, LIMITS);
        let mut loader = Loader::new(&keydir, 0, 0);
        for (at, key) in keys_of_one_shard(&keydir, 2_100).take(LIMITS.addressable + 1).enumerate()
        {
            let location = (at % 2 == 0).then(|| version(1).location);
            if through_loader {
                loader.load(&key, at as u64 + 1, location);
            } else {
                keydir.load(&key, at as u64 + 1, location);
            }
        }
        loader.finish();
        let refused = keydir.finish_loading(&mut |_| ()).unwrap_err();
        assert!(matches!(refused, kv::Error::InvalidArgument(_)), "{refused}");
    }
}

#[test]
fn a_keydir_has_room_for_another_if_their_pages_fit() {
    let filled = |keys: usize| {
        let keydir = Keydir::new(1, LIMITS);
        for (at, key) in keys_of_one_shard(&keydir, 2_100).take(keys).enumerate() {
            keydir.put(&key, version(at as u64 + 1));
        }
        keydir
    };
    assert!(filled(10).has_room_for(&filled(6)));
    assert!(!filled(10).has_room_for(&filled(7)));
}
