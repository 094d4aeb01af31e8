//! How many syncs a phase has made: calls of the process where the build counts them, else rounds that the engine counts.

use kv::Kv;

use crate::engines;

/// The syncs before a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncCount {
    /// Calls of this process: they mean the same for every engine, and a reopening does not reset them.
    Calls(u64),
    /// Rounds of the engine.
    Rounds {
        /// The count of the engine, if it has one.
        before: Option<u64>,
        /// The count of the instance that the phase has closed: the next one counts from 0.
        closed: u64,
    },
}

impl SyncCount {
    /// The count as it is now.
    pub(super) fn now(engine: &dyn Kv) -> Self {
        match engines::sync_calls() {
            Some(calls) => Self::Calls(calls),
            None => Self::Rounds { before: rounds(engine), closed: 0 },
        }
    }

    /// Notes that the phase has closed `engine`.
    pub(super) fn close(&mut self, engine: &dyn Kv) {
        if let Self::Rounds { closed, .. } = self {
            *closed = rounds(engine).unwrap_or_default();
        }
    }

    /// The syncs since then, with `engine` open. A count of an engine that went back is none.
    pub(super) fn until_now(self, engine: &dyn Kv) -> Option<u64> {
        self.until(Self::now(engine))
    }

    fn until(self, now: Self) -> Option<u64> {
        match (self, now) {
            (Self::Calls(before), Self::Calls(now)) => {
                assert!(before <= now, "calls are counted up");
                Some(now - before)
            }
            (Self::Rounds { before, closed }, Self::Rounds { before: now, .. }) => {
                (now? + closed).checked_sub(before?)
            }
            _ => None,
        }
    }
}

fn rounds(engine: &dyn Kv) -> Option<u64> {
    let stats = engine.stats();
    stats.get("syncs").or(stats.get("sync_rounds"))
}

#[cfg(test)]
mod tests {
    use kv::Durability;

    use super::*;
    use crate::engines::EngineConfig;

    #[test]
    fn the_rounds_of_a_reopening_are_those_of_the_close_and_of_the_next_opening() {
        let before = SyncCount::Rounds { before: Some(7), closed: 9 };
        let now = |before| SyncCount::Rounds { before, closed: 0 };
        assert_eq!(before.until(now(Some(1))), Some(3));
        assert_eq!(before.until(now(None)), None);
    }

    #[test]
    fn a_close_notes_the_rounds_of_the_engine_that_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let known = engines::own();
        let bitcask = known.iter().find(|known| known.name == "bitcask").unwrap();
        let config = EngineConfig {
            memory_budget_bytes: 1 << 20,
            durability: Durability::Sync,
            value_bytes: 5,
            limit_memory_bytes: None,
        };
        let engine = (bitcask.open)(folder.path(), config).unwrap();
        engine.put(b"key", b"value", Durability::Sync).unwrap();
        let closed = rounds(engine.as_ref()).unwrap();
        let mut count = SyncCount::Rounds { before: Some(0), closed: 0 };
        count.close(engine.as_ref());
        assert!(closed > 0, "a synced write is a round");
        assert_eq!(count, SyncCount::Rounds { before: Some(0), closed });
    }

    #[test]
    fn calls_go_on_over_a_reopening() {
        assert_eq!(SyncCount::Calls(7).until(SyncCount::Calls(10)), Some(3));
    }
}
