//! Readers and a writer in threads of their own, on the real disk.

use bitcask::{Bitcask, Options};
use kv::Kv as _;
use torture::BesideWriter;

/// The writer rotates, seals and merges meanwhile.
#[test]
fn beside_a_live_writer_readers_see_whole_batches_and_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let engine = Bitcask::open(&store, Options::new().data_file_bytes(16 << 10)).unwrap();
    let reader = Bitcask::open_read_only(&store, Options::new()).unwrap();
    let suite = BesideWriter {
        writer: &engine,
        acknowledged: &|| engine.newest_sequence(),
        after_round: &|_| {},
        reader: &reader,
        refresh: &|| reader.refresh(),
    };
    suite.run(600);
    let shown = reader.newest_sequence();
    engine.close().unwrap();
    assert_eq!(reader.refresh().unwrap(), shown);
}
