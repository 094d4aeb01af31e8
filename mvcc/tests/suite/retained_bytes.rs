//! Readers that are ended because of the bytes that are retained for them.

use kv::{Error, Transaction as _, TransactionOptions};
use mvcc::{Options, ReaderLimits};

use crate::{commit, engine_with};

#[test]
fn the_oldest_transaction_is_ended_while_too_much_is_retained() {
    let limits = ReaderLimits::default().max_retained_bytes(50_000);
    let engine = engine_with(Options::new().reader_limits(limits));
    let value = "v".repeat(1_000);
    let fill = |engine: &mvcc::Mvcc| {
        for key in 0..40 {
            commit(engine, &[(&format!("k{key}"), &value)]);
        }
    };
    fill(&engine);
    let first = engine.begin(TransactionOptions::default().read_only()).unwrap();
    fill(&engine);
    assert!(first.get(b"k0").unwrap().is_some(), "40 versions are not too many");
    let second = engine.begin(TransactionOptions::default().read_only()).unwrap();
    fill(&engine);
    assert!(matches!(first.get(b"k0"), Err(Error::SnapshotTooOld)));
    assert!(second.get(b"k0").unwrap().is_some(), "ending the oldest one was enough");
    let stats = engine.statistics();
    assert_eq!(stats.ended_by_bytes, 1);
    assert!(stats.history.bytes <= 50_000 + 2_000, "{:?}", stats.history);
}
