//! The engines under test: one adapter file and one line in [`own`] or in [`peers::all`] each.

mod bitcask;
mod bound_btree;
mod bound_log_hash;
mod bound_null;
mod lsm;
mod memory;
#[cfg(feature = "peers")]
mod peers;
mod sorted_cursor;

use std::path::Path;

use kv::{Durability, Kv};

use crate::failure::{Failure, Outcome};
use crate::{pattern, suggest};

pub(crate) use bound_null::{NULL_ENGINE, NullEngine};

/// The limits and promises that an adapter opens its engine with.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// The memory that the engine may divide among its buffers, caches and directories, in bytes.
    pub memory_budget_bytes: u64,
    /// The class that writes will ask for, for engines that sync always or never and must know which.
    pub durability: Durability,
    /// The size of the values that will be written, in bytes, for engines whose layout depends on it.
    pub value_bytes: u64,
    /// The limit of the memory of the process, page cache included, in bytes. Where there is one, the store may be larger
    /// than memory.
    pub limit_memory_bytes: Option<u64>,
}

/// An engine that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// The permanent name in commands and results: one word, and that of no other engine. Peers begin with `peer:`,
    /// yardsticks with `bound:`.
    pub name: &'static str,
    /// A description of one line.
    pub about: &'static str,
    /// The version of the engine.
    pub version: &'static str,
    /// The durability classes that the engine keeps, weakest first. With `None` alone nothing survives a reopening. For a
    /// missing class the engine is opened with the next weaker one and is not ranked.
    pub classes: &'static [Durability],
    /// Opens the engine in a directory that exists: empty the first time, as the engine left it afterwards. An error ends the
    /// run.
    pub open: fn(&Path, EngineConfig) -> kv::Result<Box<dyn Kv>>,
    /// How the engine is set up, in one line for the reader of the results.
    pub settings: fn(EngineConfig) -> String,
}

impl Registration {
    /// Whether this is a yardstick and not a contestant: it stands in every table and is never ranked.
    pub fn is_bound(&self) -> bool {
        is_bound(self.name)
    }

    /// The class that the engine keeps where `asked` is asked for.
    pub fn effective_durability(&self, asked: Durability) -> Durability {
        let fitting = self.classes.iter().copied().filter(|class| *class <= asked);
        let kept = fitting.max().unwrap_or(Durability::None);
        debug_assert!(kept <= asked, "an engine is never asked for more");
        kept
    }
}

/// The syncs that this process has called the operating system for; `None` in builds that cannot count them: those
/// without peers, which have no `unsafe`.
pub(crate) fn sync_calls() -> Option<u64> {
    #[cfg(all(feature = "peers", target_os = "linux"))]
    let calls = Some(peers::sync_calls());
    #[cfg(not(all(feature = "peers", target_os = "linux")))]
    let calls = None;
    calls
}

/// Whether `name` is the name of a yardstick.
pub(crate) fn is_bound(name: &str) -> bool {
    name.starts_with("bound:")
}

/// Whether `name` is the name of an engine of others.
pub(crate) fn is_peer(name: &str) -> bool {
    name.starts_with(PEER)
}

/// The engines of this workspace and the yardsticks, in the order in which they are listed.
pub fn own() -> Vec<Registration> {
    vec![
        bitcask::REGISTRATION,
        lsm::SIZE_TIERED,
        lsm::LEVELED,
        lsm::LAZY_LEVELED,
        memory::REGISTRATION,
        bound_log_hash::REGISTRATION,
        bound_btree::REGISTRATION,
        bound_null::REGISTRATION,
    ]
}

/// Every engine of this build: those of the workspace, and the peers that its features bring.
pub(crate) fn registered() -> Vec<Registration> {
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "only peers are added"))]
    let mut engines = own();
    #[cfg(feature = "peers")]
    engines.extend(peers::all());
    engines
}

/// Checks the names of the engines that this process knows: rows, files and selectors find an engine by its name alone.
pub(crate) fn check_names(known: &[Registration]) -> Outcome<()> {
    for (at, engine) in known.iter().enumerate() {
        let name = engine.name;
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '*' | '?' | '"' | '|');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(Failure::usage(format!(
                "{name:?} is no name of an engine: it is one word without , * ? | and quotes"
            )));
        }
        if known[..at].iter().any(|earlier| earlier.name == name) {
            return Err(Failure::usage(format!("two engines are registered as \"{name}\"")));
        }
    }
    Ok(())
}

/// The engines that `selectors` (names and globs) name, and every yardstick: a table without one says little.
pub(crate) fn select(known: &[Registration], selectors: &[String]) -> Outcome<Vec<Registration>> {
    for selector in selectors {
        if !known.iter().any(|engine| pattern::matches(selector, engine.name)) {
            let as_peer = format!("{PEER}{selector}");
            if known.iter().any(|engine| engine.name == as_peer) {
                let text = format!("unknown engine \"{selector}\"; write {as_peer}");
                return Err(Failure::usage(text));
            }
            if let Some(hint) = missing_feature(selector).or_else(|| missing_feature(&as_peer)) {
                return Err(Failure::usage(hint));
            }
            let names = known.iter().map(|engine| engine.name);
            return Err(Failure::usage(suggest::unknown("engine", selector, names)));
        }
    }
    let is_wanted = |engine: &&Registration| {
        engine.is_bound() || selectors.iter().any(|s| pattern::matches(s, engine.name))
    };
    Ok(known.iter().filter(is_wanted).copied().collect())
}

/// The beginning of the names of the engines of others.
const PEER: &str = "peer:";

/// The engines of others that a build may have, and the feature that brings each.
const PEERS: [(&str, &str); 8] = [
    ("peer:fjall", "peers"),
    ("peer:rocksdb", "peer-rocksdb"),
    ("peer:surrealkv", "peers"),
    ("peer:lmdb", "peers"),
    ("peer:canopydb", "peers"),
    ("peer:redb", "peers"),
    ("peer:sqlite", "peers"),
    ("peer:sled", "peers"),
];

/// The hint for an engine that this build was made without.
fn missing_feature(selector: &str) -> Option<String> {
    let (_, feature) = PEERS.iter().find(|(name, _)| pattern::matches(selector, name))?;
    Some(format!("this build has no engine \"{selector}\"; build with --features {feature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yardsticks_are_added_to_any_choice_of_engines() {
        let names: Vec<_> =
            select(&own(), &["memory".into()]).unwrap().iter().map(|e| e.name).collect();
        assert_eq!(names, ["memory", "bound:log+hash", "bound:btree", "bound:null"]);
    }

    #[test]
    fn an_engine_that_the_build_lacks_gets_a_hint_that_names_the_feature() {
        for (selector, feature) in
            [("peer:redb", "peers"), ("peer:*", "peers"), ("peer:rocksdb", "peer-rocksdb")]
        {
            let text = select(&own(), &[selector.into()]).unwrap_err().text;
            assert!(text.ends_with(&format!("--features {feature}")), "{text}");
        }
    }

    #[test]
    fn the_bare_name_of_a_peer_leads_to_the_peer() {
        let text = select(&own(), &["redb".into()]).unwrap_err().text;
        assert_eq!(text, "this build has no engine \"peer:redb\"; build with --features peers");
        let with_peer = [&own()[..], &[Registration { name: "peer:redb", ..own()[0] }]].concat();
        let text = select(&with_peer, &["redb".into()]).unwrap_err().text;
        assert_eq!(text, "unknown engine \"redb\"; write peer:redb");
    }

    #[test]
    fn every_peer_of_a_build_is_known_to_the_hint() {
        let peers = registered().into_iter().filter(|engine| is_peer(engine.name));
        peers.for_each(|engine| assert!(PEERS.iter().any(|(name, _)| *name == engine.name)));
    }

    #[test]
    fn an_engine_that_takes_the_name_of_another_is_refused() {
        check_names(&registered()).unwrap();
        let text = check_names(&[&registered()[..], &own()[..1]].concat()).unwrap_err().text;
        assert_eq!(text, "two engines are registered as \"bitcask\"");
    }

    #[test]
    fn an_engine_whose_name_is_not_one_word_is_refused() {
        for name in ["", " ", "two words", "two\nlines", "a,b", "bit*", "a|b"] {
            let engine = Registration { name, ..own()[0] };
            let text = check_names(&[engine]).unwrap_err().text;
            assert!(text.contains("is no name of an engine") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn an_unknown_engine_gets_a_suggestion() {
        let failure = select(&own(), &["memroy".into()]).unwrap_err();
        assert_eq!(failure.text, "unknown engine \"memroy\"; did you mean \"memory\"?");
    }

    #[test]
    fn every_engine_keeps_what_its_registration_promises() {
        for engine in registered().into_iter().filter(|engine| engine.name != NULL_ENGINE) {
            let classes = [Durability::None, Durability::Buffered, Durability::Sync];
            for durability in classes.map(|asked| engine.effective_durability(asked)) {
                keeps_what_it_promises(engine, durability);
            }
        }
    }

    fn keeps_what_it_promises(engine: Registration, durability: Durability) {
        let directory = tempfile::tempdir().unwrap();
        let config = EngineConfig {
            memory_budget_bytes: 8 << 20,
            durability,
            value_bytes: 100,
            limit_memory_bytes: None,
        };
        let open = || (engine.open)(directory.path(), config).unwrap();
        let first = open();
        assert!(first.capabilities().durability >= durability, "{}", engine.name);
        first.put(b"a", b"1", durability).unwrap();
        first.put(b"b", b"2", durability).unwrap();
        first.delete(b"a", durability).unwrap();
        let batch = &mut kv::WriteBatch::new();
        first.write(batch.put(b"c", b"3").put(b"d", b"4").delete(b"b"), durability).unwrap();
        first.sync().unwrap();
        first.close().unwrap();
        first.close().unwrap();
        drop(first);
        let second = open();
        let kept: Vec<_> =
            [b"a", b"b", b"c", b"d"].map(|key| second.get(key).unwrap().is_some()).to_vec();
        let survives = engine.effective_durability(Durability::Sync) > Durability::None;
        assert_eq!(kept, [false, false, survives, survives], "{}", engine.name);
    }

    #[test]
    fn every_engine_says_how_it_is_set_up() {
        let durability = Durability::Buffered;
        let config = EngineConfig {
            memory_budget_bytes: 320 << 20,
            durability,
            value_bytes: 100,
            limit_memory_bytes: None,
        };
        for engine in registered() {
            let settings = (engine.settings)(config);
            assert!(!settings.is_empty() && !settings.contains('\n'), "{}", engine.name);
        }
    }

    #[test]
    fn a_class_that_an_engine_lacks_is_asked_of_it_as_the_next_weaker_one() {
        let engine = Registration { classes: &[Durability::None, Durability::Sync], ..own()[0] };
        assert_eq!(engine.effective_durability(Durability::Buffered), Durability::None);
        assert_eq!(engine.effective_durability(Durability::Sync), Durability::Sync);
        let engine = Registration { classes: &[Durability::Buffered], ..engine };
        assert_eq!(engine.effective_durability(Durability::Sync), Durability::Buffered);
    }
}
