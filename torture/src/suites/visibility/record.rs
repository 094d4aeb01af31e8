//! The record of a round: the acknowledgements and views, each with the number of disk operations before it.

use durable::SimFs;
use kv::{Durability, SequenceNumber, UnixMillis};

use crate::oracle::History;

/// Something that a crash after operation `ops` must respect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    /// The write of batch `j` has returned.
    Acknowledged { j: usize, durability: Durability },
    /// A reader has seen `Model[v]`: batch `v` is the newest one whose effect it saw.
    Seen { v: usize },
}

/// A finished round.
pub(super) struct Round {
    pub(super) sim: SimFs,
    pub(super) history: History,
    pub(super) keys: Vec<u8>,
    pub(super) now: UnixMillis,
    /// The operations before the first writer started: the first crash point.
    pub(super) from: usize,
    /// A failed sync has taken bytes out of the page cache that were not durable: the death of the process leaves no more
    /// than a power cut.
    pub(super) has_reverted: bool,
    /// Facts and the operations of the disk when they were known.
    pub(super) facts: Vec<(usize, Fact)>,
}

impl Round {
    /// The least batch that a crash at `point` must leave: after a power cut, and after the death of the process.
    pub(super) fn lo(&self, point: usize) -> (usize, usize) {
        let (mut synced, mut handed_over) = (self.history.synced, self.history.handed_over);
        for (_, fact) in self.facts.iter().filter(|(ops, _)| *ops <= point) {
            match *fact {
                Fact::Acknowledged { j, durability } => {
                    if durability >= Durability::Buffered {
                        handed_over = handed_over.max(j);
                    }
                    if durability >= Durability::Sync {
                        synced = synced.max(j);
                    }
                }
                Fact::Seen { v } => synced = synced.max(self.history.durable_if_seen(v)),
            }
        }
        if self.has_reverted {
            handed_over = synced;
        }
        assert!(synced <= self.history.issued(), "a promise is about batches that were begun");
        assert!(handed_over <= self.history.issued(), "a promise is about batches that were begun");
        (synced, handed_over.max(synced))
    }
}

/// The answer of one writer, and the operations of the disk when it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) j: usize,
    pub(super) ops: usize,
    pub(super) sequence: kv::Result<SequenceNumber>,
}

#[cfg(test)]
mod tests {
    use kv::WriteBatch;

    use super::*;

    #[test]
    fn a_crash_respects_all_facts_from_before_it() {
        let mut history = History::new();
        for durability in [Durability::Sync, Durability::Buffered, Durability::Sync] {
            let mut batch = WriteBatch::new();
            batch.put(b"a", b"1");
            history.issue(&batch, durability);
        }
        let acknowledged = |j, durability| Fact::Acknowledged { j, durability };
        let facts = vec![
            (10, Fact::Seen { v: 2 }),
            (11, acknowledged(2, Durability::Buffered)),
            (12, acknowledged(3, Durability::Sync)),
        ];
        let (sim, keys, now) = (SimFs::new(), Vec::new(), UnixMillis(1));
        let has_reverted = false;
        let round = Round { sim, history, keys, now, from: 0, has_reverted, facts };
        let lo = |round: &Round| [9, 10, 11, 12].map(|point| round.lo(point));
        assert_eq!(lo(&round), [(0, 0), (1, 1), (1, 2), (3, 3)]);
        let reverted = Round { has_reverted: true, ..round };
        assert_eq!(lo(&reverted), [(0, 0), (1, 1), (1, 1), (3, 3)]);
    }
}
