//! Readers and a writer in threads of their own, on the real disk.

use durable::Env;
use kv::{KeyRange, Kv as _};
use lsm::{Lsm, Options};
use torture::BesideWriter;

/// The writer flushes, compacts and retires its logs meanwhile.
#[test]
fn beside_a_live_writer_readers_see_whole_batches_and_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let options = Options::in_env(Env::os(2)).memtable_bytes(16 << 10).log_segment_bytes(8 << 10);
    let engine = Lsm::open(&store, options.clone()).unwrap();
    let reader = Lsm::open_read_only(&store, options).unwrap();
    let compact = |round: u32| {
        if round.is_multiple_of(120) {
            engine.compact_range(&KeyRange::all()).unwrap();
        }
    };
    let suite = BesideWriter {
        writer: &engine,
        acknowledged: &|| engine.newest_sequence(),
        after_round: &compact,
        reader: &reader,
        refresh: &|| reader.refresh(),
    };
    suite.run(500);
    let shown = reader.newest_sequence();
    engine.close().unwrap();
    assert_eq!(reader.refresh().unwrap(), shown);
}
