//! Readers beside a live writer, in threads of their own.
//!
//! The writer puts one number at all of a few keys, in one batch for each round. So a reader that sees two numbers has seen a part
//! of a batch.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kv::{Durability, KeyRange, Kv, Result, SequenceNumber, Snapshots, WriteBatch};

const KEYS: u32 = 20;

/// A writer, and a reader of the same store, which is refreshed.
pub struct BesideWriter<'e, R> {
    /// The writer.
    pub writer: &'e dyn Kv,
    /// The number of the newest batch that the writer has acknowledged.
    pub acknowledged: &'e (dyn Fn() -> SequenceNumber + Sync),
    /// Called by the writer after each round, with the number of the round: the upkeep of the store.
    pub after_round: &'e (dyn Fn(u32) + Sync),
    /// The reader.
    pub reader: &'e R,
    /// Moves the reader to a later state, and returns the number of its newest batch.
    pub refresh: &'e (dyn Fn() -> Result<SequenceNumber> + Sync),
}

impl<R: Kv + Snapshots> BesideWriter<'_, R> {
    /// Writes so many rounds, while others refresh the reader and read from it. Every state that is seen is that after one
    /// round, and no reader goes back.
    ///
    /// # Panics
    /// When a reader sees part of a batch or goes back, when a refresh misses an acknowledged batch, and when a call fails.
    pub fn run(&self, rounds: u32) {
        self.write_round(0);
        self.refreshed();
        let is_over = AtomicBool::new(false);
        let until_over = |step: &mut dyn FnMut()| {
            while !is_over.load(Ordering::Acquire) {
                step();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                // Also if the writer panics: then the readers end, and so does the scope.
                let _over = SetWhenDropped(&is_over);
                (1..=rounds).for_each(|round| self.write_round(round));
            });
            scope.spawn(|| self.refresh_until(&until_over));
            scope.spawn(|| self.walk_until(&until_over));
            scope.spawn(|| self.get_until(&until_over));
        });
        self.refreshed();
        assert_eq!(self.round_at(key(3)), rounds, "the reader is at the last round");
    }

    /// All keys get the number of the round, in one batch.
    fn write_round(&self, round: u32) {
        let mut batch = WriteBatch::new();
        for number in 0..KEYS {
            batch.put(&key(number), &round.to_be_bytes().repeat(25));
        }
        let is_synced = round.is_multiple_of(50);
        let durability = if is_synced { Durability::Sync } else { Durability::Buffered };
        self.writer.write(&batch, durability).expect("the writer writes");
        (self.after_round)(round);
    }

    fn refresh_until(&self, until_over: &dyn Fn(&mut dyn FnMut())) {
        let mut newest = self.refreshed();
        until_over(&mut || {
            let acknowledged = (self.acknowledged)();
            let now = self.refreshed();
            assert!(now >= newest, "a refresh does not go back");
            assert!(now >= acknowledged, "a refresh shows what was acknowledged before");
            newest = now;
        });
    }

    fn walk_until(&self, until_over: &dyn Fn(&mut dyn FnMut())) {
        let mut newest = 0;
        until_over(&mut || {
            let mut cursor = self.reader.scan(KeyRange::all()).expect("the reader scans");
            let mut rounds = Vec::new();
            while cursor.next().expect("the cursor moves") {
                rounds.push(round_of(cursor.value().expect("the value is read")));
            }
            assert_eq!(rounds.len() as u32, KEYS);
            assert_one_round(&rounds);
            assert!(rounds[0] >= newest, "a later scan sees no earlier batch");
            newest = rounds[0];
        });
    }

    fn get_until(&self, until_over: &dyn Fn(&mut dyn FnMut())) {
        let mut newest = 0;
        until_over(&mut || {
            for number in 0..KEYS {
                let round = self.round_at(key(number));
                assert!(round >= newest, "a later get sees no earlier batch");
                newest = round;
            }
            let snapshot = self.reader.snapshot().expect("the reader takes snapshots");
            let at = |number| snapshot.get(&key(number)).expect("the snapshot reads");
            let rounds = (0..KEYS).map(|number| round_of(&at(number).expect("the key is there")));
            assert_one_round(&rounds.collect::<Vec<u32>>());
        });
    }

    fn refreshed(&self) -> SequenceNumber {
        (self.refresh)().expect("the reader is refreshed")
    }

    fn round_at(&self, key: [u8; 4]) -> u32 {
        let value = self.reader.get(&key).expect("the reader reads");
        round_of(&value.expect("the key is there"))
    }
}

impl<R> fmt::Debug for BesideWriter<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BesideWriter").finish_non_exhaustive()
    }
}

/// Sets a flag when it is dropped.
struct SetWhenDropped<'f>(&'f AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn round_of(value: &[u8]) -> u32 {
    let first = value.first_chunk().expect("a value of this test");
    u32::from_be_bytes(*first)
}

fn assert_one_round(rounds: &[u32]) {
    assert!(rounds.iter().all(|round| *round == rounds[0]), "a part of a batch: {rounds:?}");
}
