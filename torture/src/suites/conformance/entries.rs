//! Stories of single entries: the limits of keys and values, and reading one.

use kv::{Durability, Error, MAX_KEY_LEN, SequenceNumber, WriteBatch};

use super::{Stage, Story, Told, done, ensure, refused};

pub(super) const STORIES: &[Story] = &[
    ("an-empty-store-has-no-entries", an_empty_store_has_no_entries),
    ("the-empty-key-is-a-key", the_empty_key_is_a_key),
    ("the-longest-key-fits", the_longest_key_fits),
    ("a-longer-key-is-refused", a_longer_key_is_refused),
    ("a-large-value-comes-back", a_large_value_comes_back),
    ("the-last-write-wins", the_last_write_wins),
    ("keys-are-bytes", keys_are_bytes),
    ("a-get-calls-back-once-or-never", a_get_calls_back_once_or_never),
    ("every-durability-is-accepted", every_durability_is_accepted),
];

fn an_empty_store_has_no_entries(stage: &mut Stage<'_>) -> Told {
    stage.expect(b"a", None)?;
    let mut cursor = stage.engine().scan(kv::KeyRange::all()).map_err(|e| e.to_string())?;
    ensure!(!cursor.next().map_err(|e| e.to_string())?, "a scan found an entry");
    done("sync", stage.engine().sync())?;
    let newest = stage.engine().write(&WriteBatch::new(), Durability::Buffered);
    let newest = newest.map_err(|e| format!("an empty batch failed: {e}"))?;
    ensure!(newest == SequenceNumber::ZERO, "an empty batch on an empty store answered {newest}");
    let first = stage.engine().put(b"a", b"", Durability::Buffered).map_err(|e| e.to_string())?;
    ensure!(first == SequenceNumber(1), "the first batch got number {first} instead of 1");
    Ok(())
}

fn the_empty_key_is_a_key(stage: &mut Stage<'_>) -> Told {
    stage.put(b"", b"empty key")?;
    stage.put(b"empty value", b"")?;
    stage.expect(b"", Some(b"empty key"))?;
    stage.expect(b"empty value", Some(b""))?;
    if stage.is_persistent() {
        stage.reopen()?;
        stage.expect(b"", Some(b"empty key"))?;
        stage.expect(b"empty value", Some(b""))?;
    }
    done("delete", stage.engine().delete(b"", Durability::Buffered))?;
    stage.expect(b"", None)
}

fn the_longest_key_fits(stage: &mut Stage<'_>) -> Told {
    let mut key = vec![b'k'; MAX_KEY_LEN];
    stage.put(&key, b"1")?;
    key[MAX_KEY_LEN - 1] = b'l';
    stage.put(&key, b"2")?;
    if stage.is_persistent() {
        stage.reopen()?;
    }
    stage.expect(&key, Some(b"2"))?;
    key[MAX_KEY_LEN - 1] = b'k';
    stage.expect(&key, Some(b"1"))?;
    stage.expect(&key[1..], None)
}

fn a_longer_key_is_refused(stage: &mut Stage<'_>) -> Told {
    let long = vec![b'k'; MAX_KEY_LEN + 1];
    let mut batch = WriteBatch::new();
    batch.put(b"beside", b"1").put(&long, b"2");
    let is_argument = |error: &Error| matches!(error, Error::InvalidArgument(_));
    let answer = stage.engine().write(&batch, Durability::Buffered);
    refused("a write of a key of 65,536 bytes", answer, "InvalidArgument", is_argument)?;
    stage.expect(b"beside", None)?;
    let answer = stage.engine().delete(&long, Durability::Buffered);
    refused("a delete of a key of 65,536 bytes", answer, "InvalidArgument", is_argument)?;
    stage.put(b"beside", b"3")?;
    stage.expect(b"beside", Some(b"3"))
}

fn a_large_value_comes_back(stage: &mut Stage<'_>) -> Told {
    let value: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    stage.put(b"large", &value)?;
    stage.put(b"small", b"1")?;
    stage.expect(b"large", Some(&value))?;
    if stage.is_persistent() {
        stage.reopen()?;
        stage.expect(b"large", Some(&value))?;
    }
    stage.put(b"large", b"now small")?;
    stage.expect(b"large", Some(b"now small"))?;
    stage.expect(b"small", Some(b"1"))
}

fn the_last_write_wins(stage: &mut Stage<'_>) -> Told {
    for round in 0..50_u8 {
        stage.put(b"k", &[round; 100])?;
        stage.expect(b"k", Some(&[round; 100]))?;
    }
    done("delete", stage.engine().delete(b"k", Durability::Buffered))?;
    stage.expect(b"k", None)?;
    done("a second delete", stage.engine().delete(b"k", Durability::Buffered))?;
    done("a delete of nothing", stage.engine().delete(b"never there", Durability::Buffered))?;
    if stage.is_persistent() {
        stage.reopen()?;
        stage.expect(b"k", None)?;
    }
    stage.put(b"k", b"again")?;
    stage.expect(b"k", Some(b"again"))
}

fn keys_are_bytes(stage: &mut Stage<'_>) -> Told {
    let keys: [&[u8]; 6] = [b"\0", b"\0\0", b"a", b"a\0", b"\xff", b"\xff\xff"];
    for key in keys {
        stage.put(key, key)?;
    }
    for key in keys {
        stage.expect(key, Some(key))?;
    }
    stage.expect(b"a\0\0", None)?;
    stage.expect(b"", None)
}

fn a_get_calls_back_once_or_never(stage: &mut Stage<'_>) -> Told {
    stage.put(b"here", b"value")?;
    for (key, wanted) in [(&b"here"[..], 1), (b"there", 0)] {
        let mut calls = 0;
        let found = stage.engine().get_with(key, &mut |_| calls += 1);
        let found = found.map_err(|e| format!("get failed: {e}"))?;
        ensure!(found == (wanted == 1), "a get answered {found}, with {wanted} entries to find");
        ensure!(calls == wanted, "a get called back {calls} times instead of {wanted}");
    }
    Ok(())
}

fn every_durability_is_accepted(stage: &mut Stage<'_>) -> Told {
    for durability in [Durability::None, Durability::Buffered, Durability::Sync] {
        let name = durability.to_string();
        done(&name, stage.engine().put(name.as_bytes(), b"1", durability))?;
        stage.expect(name.as_bytes(), Some(b"1"))?;
    }
    done("sync", stage.engine().sync())
}
