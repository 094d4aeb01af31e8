//! The engines under test: one adapter file and one line in [`own`] each.

mod bitcask;
mod bound_btree;
mod bound_log_hash;
mod memory;
mod sorted_cursor;

use std::path::Path;

use kv::{Durability, Kv};

use crate::failure::{Failure, Outcome};
use crate::{pattern, suggest};

/// What an adapter gets to open its engine with.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// The memory that the engine may divide among its buffers, caches and directories, in bytes.
    pub memory_budget_bytes: u64,
}

/// An engine that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// The name in commands and results, for good. Peers begin with `peer:`, yardsticks with `bound:`.
    pub name: &'static str,
    /// One line that says what it is.
    pub about: &'static str,
    /// The version of the engine.
    pub version: &'static str,
    /// The strongest durability class that the engine keeps; with `None` nothing survives a reopening.
    pub durability: Durability,
    /// Opens the engine in a directory that exists: empty the first time, as the engine left it afterwards.
    pub open: fn(&Path, EngineConfig) -> kv::Result<Box<dyn Kv>>,
}

impl Registration {
    /// Whether this is a yardstick and not a contestant: it stands in every table and is never ranked.
    pub fn is_bound(&self) -> bool {
        is_bound(self.name)
    }
}

/// Whether `name` is the name of a yardstick.
pub(crate) fn is_bound(name: &str) -> bool {
    name.starts_with("bound:")
}

/// The engines of this workspace and the yardsticks, in the order in which they are listed.
pub fn own() -> Vec<Registration> {
    vec![
        bitcask::REGISTRATION,
        memory::REGISTRATION,
        bound_log_hash::REGISTRATION,
        bound_btree::REGISTRATION,
    ]
}

/// The engines that `selectors` (names and globs) name, and every yardstick: a table without one says little.
pub(crate) fn select(known: &[Registration], selectors: &[String]) -> Outcome<Vec<Registration>> {
    for selector in selectors {
        if !known.iter().any(|engine| pattern::matches(selector, engine.name)) {
            let names = known.iter().map(|engine| engine.name);
            return Err(Failure::usage(suggest::unknown("engine", selector, names)));
        }
    }
    let is_wanted = |engine: &&Registration| {
        engine.is_bound() || selectors.iter().any(|s| pattern::matches(s, engine.name))
    };
    Ok(known.iter().filter(is_wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yardsticks_stand_beside_whatever_is_chosen() {
        let names: Vec<_> =
            select(&own(), &["memory".into()]).unwrap().iter().map(|e| e.name).collect();
        assert_eq!(names, ["memory", "bound:log+hash", "bound:btree"]);
    }

    #[test]
    fn an_unknown_engine_gets_a_suggestion() {
        let failure = select(&own(), &["memroy".into()]).unwrap_err();
        assert_eq!(failure.text, "unknown engine \"memroy\"; did you mean \"memory\"?");
    }

    #[test]
    fn every_engine_keeps_what_its_registration_promises() {
        for engine in own() {
            let directory = tempfile::tempdir().unwrap();
            let open =
                || (engine.open)(directory.path(), EngineConfig { memory_budget_bytes: 1 << 20 });
            let first = open().unwrap();
            assert_eq!(first.capabilities().durability, engine.durability, "{}", engine.name);
            first.put(b"a", b"1", Durability::Sync).unwrap();
            first.put(b"b", b"2", Durability::Buffered).unwrap();
            first.delete(b"a", Durability::Buffered).unwrap();
            first.close().unwrap();
            drop(first);
            let kept = open().unwrap().get(b"b").unwrap().is_some();
            assert_eq!(kept, engine.durability > Durability::None, "{}", engine.name);
        }
    }
}
