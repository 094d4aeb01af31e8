//! A store as JSON.

use std::io::Write;

use kv::{Durability, KeyRange, Kv, UnixMillis, WriteBatch};
use lsm::Lsm;
use serde_json::{Value, json};

use crate::world::{STORE, World, fill, key, leveled};

/// The dump of the store in `path`.
pub(crate) fn dump_of(world: &World, path: &str) -> Value {
    let mut text = Vec::new();
    lsm::dump(path, &world.options().env, &mut text).expect("the manifest is whole");
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&text));
    })
}

fn dump(world: &World) -> Value {
    dump_of(world, STORE)
}

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// The tables of the dump.
fn tables(dump: &Value) -> Vec<&Value> {
    let runs = list(dump, "levels").iter().flat_map(|level| list(level, "runs"));
    runs.flat_map(|run| list(run, "tables")).collect()
}

/// Whether everything of the table is shown.
fn is_whole(table: &Value) -> bool {
    let len = |name: &str| list(table, name).len() as u64;
    table.get("damage").is_none()
        && table.get("range_damage").is_none()
        && table["entries_stated"] == len("entries")
        && table["range_fragments_stated"] == len("range_tombstones")
}

/// The records of all logs from batch `first` on.
fn records(dump: &Value, first: u64) -> Vec<&Value> {
    let records = list(dump, "logs").iter().flat_map(|log| list(log, "records"));
    records.filter(|record| record["sequence"].as_u64() >= Some(first)).collect()
}

/// Tables in two levels, a tombstone and a put in the log.
fn store(world: &World) -> Lsm {
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    for keys in [0..5, 5..10] {
        fill(&engine, keys, 1);
        engine.flush().unwrap();
    }
    // The compaction. No other one runs.
    world.executor.run_all();
    fill(&engine, 0..5, 2);
    engine.flush().unwrap();
    engine.delete(&key(3), Durability::Buffered).unwrap();
    engine.put(b"printable", b"value", Durability::Buffered).unwrap();
    engine
}

#[test]
fn a_dump_has_each_entry_of_each_level_and_each_record_of_the_log() {
    let world = World::new();
    let engine = store(&world);
    let (ops, statistics) = (world.disk.ops(), engine.statistics());
    let dump = dump(&world);
    assert_eq!(world.disk.ops(), ops, "a dump changes nothing, also beside a writer");
    assert_eq!(dump["manifest"]["engine"], "lsm");
    let levels: Vec<&Value> = list(&dump, "levels").iter().map(|level| &level["level"]).collect();
    assert!(levels.len() == 2 && *levels[0] == 0, "{levels:?}");
    let tables = tables(&dump);
    assert_eq!(tables.len() as u64, statistics.tables);
    assert!(tables.iter().all(|table| is_whole(table)));
    let entries: Vec<&Value> = tables.iter().flat_map(|table| list(table, "entries")).collect();
    assert_eq!(entries.len() as u64, statistics.table_entries);
    assert!(entries.iter().all(|entry| entry["kind"] == "Put" && entry["value_len"] == 100));
    let records = records(&dump, 16);
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["kind"], &records[0]["sequence"]), (&"Delete".into(), &16.into()));
    assert_eq!((&records[1]["key"], &records[1]["value_len"]), (&"printable".into(), &5.into()));
    assert_eq!(list(&dump, "logs").last().unwrap()["tail"], "open");
}

/// A batch that deletes two ranges and puts a value that expires, in the log and in a table.
fn store_with_ranges(world: &World) -> Lsm {
    let engine = Lsm::open(STORE, world.options()).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::new(&b"b"[..]..&b"d"[..]));
    batch.delete_range(KeyRange::new(&b"x"[..]..));
    batch.put_expiring(b"k", b"value", UnixMillis(5_000));
    engine.write(&batch, Durability::Buffered).unwrap();
    engine.flush().unwrap();
    engine.write(&batch, Durability::Buffered).unwrap();
    engine
}

#[test]
fn a_dump_has_range_tombstones_and_ends_of_values_that_expire() {
    let world = World::new();
    let _engine = store_with_ranges(&world);
    let dump = dump(&world);
    let tables = tables(&dump);
    assert!(tables.len() == 1 && is_whole(tables[0]), "{dump}");
    let ranges = json!([
        { "key": "b", "end": "d", "sequences": [1] },
        { "key": "x", "end": null, "sequences": [1] },
    ]);
    assert_eq!(tables[0]["range_tombstones"], ranges);
    let entries = json!([
        { "key": "k", "sequence": 1, "kind": "Expiring", "expires_at": 5000, "value_len": 5 },
    ]);
    assert_eq!(tables[0]["entries"], entries);
    let records = records(&dump, 2);
    let field =
        |name: &str| -> Vec<&Value> { records.iter().map(|record| &record[name]).collect() };
    assert_eq!(field("kind"), ["DeleteRange", "DeleteFrom", "PutExpiring"]);
    assert_eq!(field("key"), ["b", "x", "k"]);
    assert_eq!((&records[0]["end"], &records[1]["end"]), (&json!("d"), &Value::Null));
    assert_eq!(records[2]["expires_at"], 5_000);
    assert_eq!(records[2]["value_len"], 5, "the end is no part of the value");
}

#[test]
fn each_changed_byte_of_a_table_is_damage_in_the_dump_or_changes_nothing_in_it() {
    let world = World::new();
    drop(store_with_ranges(&world));
    let whole = dump(&world);
    let path = std::path::Path::new(STORE).join(&world.files("table")[0]);
    let right = world.disk.contents(&path).unwrap();
    let mut damages = [0, 0];
    for at in 0..right.len() {
        let mut bytes = right.clone();
        bytes[at] ^= 1 << (at % 8);
        world.disk.set_contents(&path, bytes);
        let found = dump(&world);
        let table = tables(&found)[0];
        if let Some(damage) = table.get("damage") {
            assert!(damage.as_str().unwrap().contains(".table"), "byte {at}: {damage}");
            damages[0] += 1;
        } else {
            assert_eq!(table["entries"], tables(&whole)[0]["entries"], "byte {at}");
        }
        if let Some(damage) = table.get("range_damage") {
            assert!(damage.as_str().unwrap().contains(".table"), "byte {at}: {damage}");
            assert_eq!(list(table, "entries").len(), 1, "byte {at}: the entries can be read");
            damages[1] += 1;
        }
        assert_eq!(found["logs"], whole["logs"], "byte {at}");
    }
    assert!(damages.iter().all(|damages| *damages > 0), "{damages:?}");
}

#[test]
fn damage_is_in_the_dump_with_its_file_and_offset_and_the_rest_is_there() {
    let world = World::new();
    let engine = store(&world);
    for key in [b"a", b"b"] {
        engine.put(key, b"value", Durability::Sync).unwrap();
    }
    drop(engine);
    let name = world.files("table").pop().unwrap();
    world.damage(&name);
    let before = dump(&world);
    let log = list(&before, "logs").last().unwrap();
    let (log, record) = (log["file"].as_str().unwrap(), &list(log, "records")[0]);
    let offset = record["offset"].as_u64().unwrap();
    let path = std::path::Path::new(STORE).join(log);
    let mut bytes = world.disk.contents(&path).unwrap();
    bytes[offset as usize + 20] ^= 1;
    world.disk.set_contents(&path, bytes);
    assert!(world.open().is_err());
    let dump = dump(&world);
    let tables = tables(&dump);
    let (damaged, whole): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table["file"] == name.as_str());
    let damage = damaged[0]["damage"].as_str().unwrap();
    assert!(damage.contains(&name) && damage.contains("damaged at byte 0"), "{damage}");
    assert!(!whole.is_empty() && whole.iter().all(|table| is_whole(table)));
    let logs = list(&dump, "logs");
    let damage = logs.iter().find_map(|found| found["damage"].as_str()).unwrap();
    assert!(
        damage.contains(log) && damage.contains(&format!("damaged at byte {offset}")),
        "{damage}"
    );
}

/// Takes so many bytes.
struct Limited(usize);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let len = bytes.len().min(self.0);
        self.0 -= len;
        if len == 0 { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(len) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error_wherever_it_ends() {
    let world = World::new();
    drop(store(&world));
    let mut whole = Vec::new();
    lsm::dump(STORE, &world.options().env, &mut whole).unwrap();
    for room in (0..whole.len()).step_by(11) {
        let refused = lsm::dump(STORE, &world.options().env, &mut Limited(room)).unwrap_err();
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::BrokenPipe), "{room}: {refused}");
    }
}
