//! Stories of batches: one number, the last operation of each key, all or nothing.

use std::time::Duration;

use kv::{Durability, Error, KeyRange, UnixMillis, WriteBatch};

use super::{Stage, Story, Told, done, ensure, refused};

pub(super) const STORIES: &[Story] = &[
    ("a-batch-keeps-the-last-operation-of-each-key", a_batch_keeps_the_last_operation),
    ("sequence-numbers-grow", sequence_numbers_grow),
    ("a-large-batch-is-one-batch", a_large_batch_is_one_batch),
    ("a-range-deletion-hides-older-entries", a_range_deletion_hides_older_entries),
    ("an-inverted-range-is-refused", an_inverted_range_is_refused),
    ("an-entry-ends-at-its-moment", an_entry_ends_at_its_moment),
    ("limits-are-stated", limits_are_stated),
];

fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::Unsupported(_))
}

fn is_argument(error: &Error) -> bool {
    matches!(error, Error::InvalidArgument(_))
}

fn a_batch_keeps_the_last_operation(stage: &mut Stage<'_>) -> Told {
    stage.put(b"old", b"0")?;
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"1").put(b"b", b"2").delete(b"a").put(b"b", b"3").delete(b"c");
    batch.put(b"c", b"4").delete(b"old");
    done("write", stage.engine().write(&batch, Durability::Buffered))?;
    let check = |stage: &Stage<'_>| {
        stage.expect(b"a", None)?;
        stage.expect(b"b", Some(b"3"))?;
        stage.expect(b"c", Some(b"4"))?;
        stage.expect(b"old", None)
    };
    check(stage)?;
    if stage.is_persistent() {
        stage.reopen()?;
        check(stage)?;
    }
    Ok(())
}

fn sequence_numbers_grow(stage: &mut Stage<'_>) -> Told {
    let mut newest = kv::SequenceNumber::ZERO;
    for round in 0..12 {
        let mut batch = WriteBatch::new();
        batch.put(b"a", &[round]).put(b"b", &[round]);
        let number = stage.engine().write(&batch, Durability::Buffered);
        let number = number.map_err(|e| format!("write failed: {e}"))?;
        ensure!(number > newest, "a batch got number {number} after {newest}");
        newest = number;
        let empty = stage.engine().write(&WriteBatch::new(), Durability::Buffered);
        let empty = empty.map_err(|e| format!("an empty batch failed: {e}"))?;
        ensure!(empty == newest, "an empty batch answered {empty}, the newest is {newest}");
        if stage.is_persistent() && round % 4 == 3 {
            stage.reopen()?;
        }
    }
    Ok(())
}

fn a_large_batch_is_one_batch(stage: &mut Stage<'_>) -> Told {
    let mut batch = WriteBatch::new();
    for number in 0..400_u32 {
        batch.put(&number.to_be_bytes(), &[number as u8; 60]);
    }
    let first = stage.engine().put(b"before", b"", Durability::Buffered);
    let first = first.map_err(|e| e.to_string())?;
    let number = stage.engine().write(&batch, Durability::Sync);
    let number = number.map_err(|e| format!("write failed: {e}"))?;
    ensure!(number == first.next(), "a batch of 400 took the numbers from {first} to {number}");
    if stage.is_persistent() {
        stage.reopen()?;
    }
    (0..400_u32).try_for_each(|n| stage.expect(&n.to_be_bytes(), Some(&[n as u8; 60])))
}

fn a_range_deletion_hides_older_entries(stage: &mut Stage<'_>) -> Told {
    for key in [b"a", b"b", b"c", b"d"] {
        stage.put(key, b"old")?;
    }
    let mut batch = WriteBatch::new();
    batch.put(b"bb", b"swallowed").delete_range(KeyRange::new(&b"b"[..]..&b"d"[..]));
    batch.put(b"c", b"new");
    let answer = stage.engine().write(&batch, Durability::Buffered);
    if !stage.engine().capabilities().range_delete {
        refused("a range deletion", answer, "Unsupported", is_unsupported)?;
        stage.expect(b"bb", None)?;
        return stage.expect(b"c", Some(b"old"));
    }
    done("write", answer)?;
    let check = |stage: &Stage<'_>| {
        stage.expect(b"a", Some(b"old"))?;
        stage.expect(b"b", None)?;
        stage.expect(b"bb", None)?;
        stage.expect(b"c", Some(b"new"))?;
        stage.expect(b"d", Some(b"old"))
    };
    check(stage)?;
    stage.put(b"b", b"newer")?;
    stage.expect(b"b", Some(b"newer"))?;
    done("delete", stage.engine().delete(b"b", Durability::Buffered))?;
    if stage.is_persistent() {
        stage.reopen()?;
    }
    check(stage)
}

fn an_inverted_range_is_refused(stage: &mut Stage<'_>) -> Told {
    let inverted = || KeyRange::new(&b"b"[..]..&b"a"[..]);
    refused("an inverted scan", stage.engine().scan(inverted()), "InvalidArgument", is_argument)?;
    let mut batch = WriteBatch::new();
    batch.delete_range(inverted()).put(b"a", b"1");
    let answer = stage.engine().write(&batch, Durability::Buffered);
    let known = |error: &Error| is_argument(error) || is_unsupported(error);
    refused("an inverted range deletion", answer, "InvalidArgument", known)?;
    stage.expect(b"a", None)
}

fn an_entry_ends_at_its_moment(stage: &mut Stage<'_>) -> Told {
    let end = UnixMillis(stage.world.now().0 + 1000);
    let mut batch = WriteBatch::new();
    batch.put(b"stays", b"1").put_expiring(b"ends", b"2", end);
    let answer = stage.engine().write(&batch, Durability::Buffered);
    if !stage.engine().capabilities().expiry {
        refused("an expiring put", answer, "Unsupported", is_unsupported)?;
        return stage.expect(b"stays", None);
    }
    done("write", answer)?;
    stage.world.clock.advance(Duration::from_millis(999));
    stage.expect(b"ends", Some(b"2"))?;
    stage.world.clock.advance(Duration::from_millis(1));
    stage.expect(b"ends", None)?;
    stage.expect(b"stays", Some(b"1"))?;
    let mut cursor = stage.engine().scan(KeyRange::all()).map_err(|e| e.to_string())?;
    ensure!(cursor.next().map_err(|e| e.to_string())?, "the scan found nothing");
    ensure!(cursor.key() == b"stays", "a scan found an entry that has ended");
    if stage.is_persistent() {
        stage.reopen()?;
        stage.expect(b"ends", None)?;
    }
    stage.put(b"ends", b"again, without an end")?;
    stage.world.clock.advance(Duration::from_secs(9));
    stage.expect(b"ends", Some(b"again, without an end"))
}

fn limits_are_stated(stage: &mut Stage<'_>) -> Told {
    let before = stage.engine().capabilities();
    ensure!(before.max_value_len >= 1 << 30, "values may have {} bytes only", before.max_value_len);
    stage.put(b"a", b"1")?;
    ensure!(stage.engine().capabilities() == before, "the capabilities changed while open");
    let names = |stage: &Stage<'_>| -> Vec<&'static str> {
        stage.engine().stats().metrics.iter().map(|metric| metric.name).collect()
    };
    let listed = names(stage);
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    sorted.dedup();
    ensure!(sorted.len() == listed.len(), "two metrics have one name");
    let snake = |name: &&str| {
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let odd = listed.iter().find(|name| !snake(name));
    ensure!(odd.is_none(), "a metric is called {odd:?}, which is not snake_case");
    ensure!(names(stage) == listed, "the metrics are not in a stable order");
    Ok(())
}
