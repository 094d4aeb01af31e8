//! Snapshots that wait for a proof that nothing can go wrong with them.
//!
//! A reader at snapshot `s` can only be the first transaction of a dangerous structure. The last one committed at `s` or
//! before (Ports and Grittner 2012, section 4.2). The pivot between them is concurrent with the last one, so its snapshot is
//! older than `s`. A snapshot is safe when every transaction that could be such a pivot has ended, and none was one: it has an
//! older snapshot, may write, and commits after `s` with an anti-dependency to a commit that `s` has.

use std::collections::{BTreeMap, BTreeSet};

use super::commit_place::CommitPlace;

/// The snapshots that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct SafeSnapshots {
    watched: BTreeMap<Watch, WatchedSnapshot>,
    last: u64,
}

/// A snapshot that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watch(u64);

/// A transaction that may still spoil a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspect {
    Running(u64),
    Announced(u64),
}

#[derive(Debug)]
struct WatchedSnapshot {
    snapshot: u64,
    suspects: BTreeSet<Suspect>,
    is_spoiled: bool,
}

impl SafeSnapshots {
    /// Watches `snapshot`, which `suspects` may spoil.
    pub(super) fn watch(&mut self, snapshot: u64, suspects: BTreeSet<Suspect>) -> Watch {
        self.last += 1;
        let watch = Watch(self.last);
        self.watched.insert(watch, WatchedSnapshot { snapshot, suspects, is_spoiled: false });
        watch
    }

    pub(super) fn spoil(&mut self, watch: Watch) {
        let watched = self.watched.get_mut(&watch);
        watched.expect("it is watched").is_spoiled = true;
    }

    /// Whether the snapshot is safe. `None`: that is not known yet. The answer ends the watch.
    pub(super) fn verdict(&mut self, watch: Watch) -> Option<bool> {
        let watched = self.watched.get(&watch).expect("it is watched");
        let verdict = if watched.is_spoiled {
            Some(false)
        } else {
            watched.suspects.is_empty().then_some(true)
        };
        if verdict.is_some() {
            self.watched.remove(&watch);
        }
        verdict
    }

    /// The announced transaction has taken its snapshot, or does not begin (`None`).
    pub(super) fn begun(&mut self, announced: u64, running: Option<(u64, u64)>) {
        for watched in self.watched.values_mut() {
            let was_suspect = watched.suspects.remove(&Suspect::Announced(announced));
            if let Some((transaction, snapshot)) = running
                && was_suspect
                && snapshot < watched.snapshot
            {
                watched.suspects.insert(Suspect::Running(transaction));
            }
        }
    }

    /// The transaction has ended. `first_out`: it committed, and this is the first commit that it has an anti-dependency to.
    pub(super) fn ended(&mut self, transaction: u64, first_out: Option<CommitPlace>) {
        for watched in self.watched.values_mut() {
            let was_suspect = watched.suspects.remove(&Suspect::Running(transaction));
            let spoils = first_out.is_some_and(|first| first.is_before_snapshot(watched.snapshot));
            watched.is_spoiled |= was_suspect && spoils;
        }
    }
}
