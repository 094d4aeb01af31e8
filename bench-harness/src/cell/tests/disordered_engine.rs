//! An engine whose cursors exchange the first two entries: everything is there, in a wrong order.

use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

use super::{LOAD, job, try_job};
use crate::engines::Registration;
use crate::failure::FailureKind;

const DISORDERED: Registration = Registration {
    name: "disordered",
    about: "",
    version: "0",
    classes: &[Durability::None],
    open: |_, _| Ok(Box::new(Disordered(MemoryEngine::new()))),
    settings: |_| String::new(),
};

struct Disordered(MemoryEngine);

/// Entries, and how many of them were returned.
struct ListCursor(Vec<(Vec<u8>, Vec<u8>)>, usize);

impl Kv for Disordered {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.0.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.0.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        let (mut cursor, mut entries) = (self.0.scan(range)?, Vec::new());
        while cursor.next()? {
            let (key, value) = cursor.entry()?;
            entries.push((key.to_vec(), value.to_vec()));
        }
        if entries.len() > 1 {
            entries.swap(0, 1);
        }
        Ok(Box::new(ListCursor(entries, 0)))
    }

    fn sync(&self) -> Result<()> {
        self.0.sync()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }
}

impl Cursor for ListCursor {
    fn seek_ge(&mut self, _: &[u8]) -> Result<bool> {
        unreachable!("the harness does not seek")
    }

    fn seek_lt(&mut self, _: &[u8]) -> Result<bool> {
        unreachable!("the harness does not seek")
    }

    fn next(&mut self) -> Result<bool> {
        self.1 += 1;
        Ok(self.1 <= self.0.len())
    }

    fn prev(&mut self) -> Result<bool> {
        unreachable!("the tests read forward")
    }

    fn key(&self) -> &[u8] {
        &self.0[self.1 - 1].0
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let (key, value) = &self.0[self.1 - 1];
        Ok((key, value))
    }
}

#[test]
fn entries_in_a_wrong_order_are_wrong_data_in_scans_in_sweeps_and_at_the_end() {
    let scan = r#"{"name": "scan", "mix": {"scan": 1}, "ops": 100}"#;
    let sweep = r#"{"name": "sweep", "sweep": "forward"}"#;
    let complaint = |phases: &[&str]| {
        let failure = try_job(&DISORDERED, job("disordered", "none", 4, phases)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::WrongData, "{failure}");
        failure.text
    };
    let text = complaint(&[LOAD, scan]);
    assert!(text.starts_with("a scan found ") && text.ends_with(" out of order"), "{text}");
    let text = complaint(&[LOAD, sweep]);
    assert!(text.starts_with("a sweep found ") && text.ends_with(" out of order"), "{text}");
    let text = complaint(&[LOAD]);
    assert!(text.ends_with(" at the end, after a larger key"), "{text}");
}
