//! An engine whose answers a test writes down.

use std::sync::atomic::{AtomicU64, Ordering};

use kv::memory::MemoryEngine;
use kv::{Capabilities, Cursor, Error, KeyRange, Result, SequenceNumber, Stats};

use super::*;

/// Answers gets and writes as it was told.
#[derive(Default)]
struct ScriptedEngine {
    /// The value that each get delivers.
    value: Option<Vec<u8>>,
    /// The result of each get.
    is_found: bool,
    /// How many of the next writes stall.
    stalls: AtomicU64,
}

impl Kv for ScriptedEngine {
    fn get_with(&self, _: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.value.iter().for_each(|value| found(value));
        Ok(self.is_found)
    }

    fn write(&self, _: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        if self.stalls.load(Ordering::Relaxed) == 0 {
            return Ok(SequenceNumber::ZERO);
        }
        self.stalls.fetch_sub(1, Ordering::Relaxed);
        Err(Error::Stalled { signal: "a test" })
    }

    fn scan(&self, _: KeyRange) -> Result<Box<dyn Cursor>> {
        unreachable!("the tests get and put")
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        MemoryEngine::new().capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// The stamp and the complaint of a get of key 0 that returns `is_found` and delivers a value of key `id` in `version`.
fn stamp_of(is_found: bool, value: Option<(u32, u32)>) -> (u32, Option<String>) {
    let sealed = |(id, version)| {
        let mut writer = Values::Pooled.writer(0, 1, VALUE_BYTES);
        writer.seal_next(id, version, VALUE_BYTES as u32).to_vec()
    };
    let engine = ScriptedEngine { value: value.map(sealed), is_found, ..ScriptedEngine::default() };
    let once = |client: &mut Client<'_>| client.max_steps = 1;
    let (_, window) = run_client_on(&engine, Operation::Get, &in_an_hour(), once);
    (window.answers[0], window.complaint)
}

#[test]
fn a_get_is_stamped_with_its_version_or_with_nothing_and_both_are_no_complaint() {
    assert_eq!(stamp_of(true, Some((0, 7))), (7, None));
    assert_eq!(stamp_of(false, None), (NOT_FOUND, None));
}

#[test]
fn a_get_whose_result_contradicts_its_value_is_wrong() {
    let text = |value| Some(format!("get returned {value} value"));
    assert_eq!(stamp_of(true, None), (WRONG, text("true and delivered no")));
    assert_eq!(stamp_of(false, Some((0, 7))), (WRONG, text("false and delivered a")));
}

#[test]
fn a_value_of_another_key_or_of_no_write_is_wrong() {
    let (stamp, complaint) = stamp_of(true, Some((1, 7)));
    assert!(stamp == WRONG && complaint.unwrap().ends_with(" has the value of key number 1"));
    // Versions begin at 1.
    assert_eq!(stamp_of(true, Some((0, 0))).0, WRONG);
}

#[test]
fn a_stalled_write_is_tried_again_and_each_time_is_counted() {
    let engine = ScriptedEngine { stalls: AtomicU64::new(2), ..ScriptedEngine::default() };
    let once = |client: &mut Client<'_>| client.max_steps = 1;
    let (_, window) = run_client_on(&engine, Operation::Put, &in_an_hour(), once);
    let sums = window.sums[Operation::Put as usize];
    assert_eq!((sums.calls, sums.retries, window.ops), (1, 2, 1));
}
