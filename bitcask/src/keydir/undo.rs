//! The undo lists of a shard: versions that a write has replaced and an open view still sees.
//!
//! 1. A write replaces or removes a version while views are open. If the newest open view sees the version, the shard keeps
//!    it, and that view becomes its **holder**. If the newest view does not see the version, no older view does, because
//!    the version is newer than all of them. Reading the newest view and keeping the version happen under the lock of the
//!    shard.
//! 2. A version that was made by write `s` and replaced by write `u` is seen by the views from `s` to `u - 1`. A view that is
//!    opened later starts at `u` or above, so the set of views that see a kept version only shrinks. Exception:
//!    `Reader::freeze` may open a view after a later write. It detects this and closes the view without reading.
//! 3. A read for a view takes the newest version if the view sees it, or else the kept version that the view sees. There is
//!    at most one: the spans of the versions of a key do not overlap.
//! 4. When a view is closed, it is first taken from the list of open views. Then each shard is visited, and each version
//!    whose holder is that view goes to the newest open view that sees it, or is dropped. Other versions are not looked at.
//! 5. Visiting reads the list of open views under the lock of the shard. A view in the list is still open, so it is closed,
//!    and releases its versions in this shard, after this visit.
//! 6. If a view at the same sequence number was opened in the meantime, it sees the same versions, and they stay.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::quality::FixedState;

use super::version::{Location, Version};

/// The estimated memory of a kept version besides its key: a cell of the map, its list, the key's counts and a place in the
/// holder's list.
const ENTRY_BYTES: usize = 192;

/// The undo lists of one shard.
#[derive(Default)]
pub(super) struct UndoLists {
    kept: HashMap<Arc<[u8]>, Vec<Kept>, FixedState>,
    /// The keys of the versions that each view holds.
    held: BTreeMap<u64, Vec<Arc<[u8]>>>,
    bytes: usize,
}

/// The version of a key from one write until another.
#[derive(Clone, Copy)]
struct Kept {
    version: Version,
    /// The write that replaced it.
    until: u64,
    /// The view that it is kept for; this view sees it.
    holder: u64,
}

impl Kept {
    fn is_seen_by(&self, view: u64) -> bool {
        self.version.sequence <= view && view < self.until
    }
}

impl UndoLists {
    /// The estimated memory of the lists, in bytes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps `version` of `key`, which write `until` replaces, if `newest_view` sees it.
    pub(super) fn keep(&mut self, key: &[u8], version: Version, until: u64, newest_view: u64) {
        assert!(newest_view < until, "a view is opened after the writes that it sees");
        let kept = Kept { version, until, holder: newest_view };
        if !kept.is_seen_by(newest_view) {
            return;
        }
        assert!(version.sequence < until, "a version is replaced by a later write");
        let key: Arc<[u8]> = key.into();
        self.bytes += bytes_of(&key);
        let versions = self.kept.entry(Arc::clone(&key)).or_insert_with(|| Vec::with_capacity(1));
        debug_assert!(versions.iter().all(|other| other.until <= version.sequence), "no overlap");
        versions.push(kept);
        self.held.entry(newest_view).or_default().push(key);
    }

    /// The kept version of `key` that `view` sees.
    pub(super) fn seen_by(&self, key: &[u8], view: u64) -> Option<Version> {
        if self.kept.is_empty() {
            return None;
        }
        let kept = self.kept.get(key)?.iter().find(|kept| kept.is_seen_by(view))?;
        Some(kept.version)
    }

    /// Calls `found` for each kept version that `view` sees.
    pub(super) fn visit(&self, view: u64, found: &mut dyn FnMut(&[u8], Location)) {
        for (key, versions) in &self.kept {
            for kept in versions.iter().filter(|kept| kept.is_seen_by(view)) {
                found(key, kept.version.location);
            }
        }
    }

    /// Whether `view` holds anything.
    pub(super) fn has_held_by(&self, view: u64) -> bool {
        self.held.contains_key(&view)
    }

    /// Looks at up to `limit` versions that the closed `view` holds. Each goes to the newest of the `open` views that sees
    /// it, or is dropped. Returns how many were looked at; fewer than `limit`: none is left.
    pub(super) fn release(&mut self, view: u64, open: &[u64], limit: usize) -> usize {
        debug_assert!(open.is_sorted(), "views are listed in ascending order");
        if open.binary_search(&view).is_ok() {
            return 0;
        }
        let Some(mut held) = self.held.remove(&view) else { return 0 };
        let released = held.split_off(held.len().saturating_sub(limit));
        let count = released.len();
        for key in released {
            self.transfer(&key, view, open);
        }
        if !held.is_empty() {
            self.held.insert(view, held);
        }
        if self.kept.is_empty() {
            // The maps keep tnext_holder memory otherwise.
            *self = Self { bytes: self.bytes, ..Self::default() };
            assert_eq!(self.bytes, 0, "no version is left");
        }
        count
    }

    fn transfer(&mut self, key: &Arc<[u8]>, view: u64, open: &[u64]) {
        let versions = self.kept.get_mut(key).expect("a held key has kept versions");
        let at = versions.iter().position(|kept| kept.holder == view);
        let at = at.expect("a view holds what it is listed to hold");
        let next_holder = open.iter().rev().find(|&&other| versions[at].is_seen_by(other));
        if let Some(&next_holder) = next_holder {
            assert_ne!(next_holder, view, "a closed view inherits nothing");
            versions[at].holder = next_holder;
            self.held.entry(next_holder).or_default().push(Arc::clone(key));
            return;
        }
        versions.swap_remove(at);
        if versions.is_empty() {
            self.kept.remove(key);
        }
        self.bytes -= bytes_of(key);
    }

    /// Panics unless each kept version is listed once, with its holder, and counted.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let mut bytes = 0;
        for (key, versions) in &self.kept {
            assert!(!versions.is_empty());
            for kept in versions {
                assert!(kept.is_seen_by(kept.holder));
                let listed = self.held[&kept.holder].iter().filter(|held| *held == key).count();
                assert_eq!(listed, 1);
                bytes += bytes_of(key);
            }
        }
        assert_eq!(bytes, self.bytes);
        let kept: usize = self.kept.values().map(Vec::len).sum();
        assert_eq!(self.held.values().map(Vec::len).sum::<usize>(), kept);
        assert!(self.held.values().all(|held| !held.is_empty()));
    }
}

fn bytes_of(key: &[u8]) -> usize {
    ENTRY_BYTES + key.len()
}
