//! The record of a round: the acknowledgements and views, each with the number of disk operations before it.

use durable::SimFs;
use kv::{Durability, SequenceNumber, UnixMillis};

use crate::oracle::History;

/// Something that a crash after operation `ops` must respect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    /// The write of batch `j` has returned.
    Acknowledged { j: usize, durability: Durability },
    /// A reader has seen `Model[v]`.
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
    /// Facts and the operations of the disk when they were known.
    pub(super) facts: Vec<(usize, Fact)>,
}

impl Round {
    /// The least batch that a crash at `point` must leave: after a power cut, and after the death of the process.
    pub(super) fn least(&self, point: usize) -> (usize, usize) {
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
        let round = Round { sim, history, keys, now, from: 0, facts };
        assert_eq!(
            [9, 10, 11, 12].map(|point| round.least(point)),
            [(0, 0), (1, 1), (1, 2), (3, 3)]
        );
    }
}
