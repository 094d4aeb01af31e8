//! The content of an engine, as a sorted map.

use std::collections::BTreeMap;

use kv::{Bytes, Op, UnixMillis, WriteBatch};

use crate::observe::{Observed, describe};

/// Every entry that an engine should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    entries: BTreeMap<Bytes, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    value: Bytes,
    expires_at: Option<UnixMillis>,
}

impl Entry {
    fn is_visible(&self, now: UnixMillis) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl Model {
    /// Applies `batch`, as an engine should.
    pub(crate) fn apply(&mut self, batch: &WriteBatch) {
        for range in batch.delete_ranges() {
            self.entries.retain(|key, _| !range.contains(key));
        }
        for op in batch.ops() {
            let (key, value) =
                (Bytes::copy_from_slice(op.key()), Bytes::copy_from_slice(op.value()));
            let expires_at = match op {
                Op::Put { .. } => None,
                Op::PutExpiring { expires_at, .. } => Some(expires_at),
                Op::Delete { .. } => {
                    self.entries.remove(&key);
                    continue;
                }
            };
            self.entries.insert(key, Entry { value, expires_at });
        }
        debug_assert!(
            batch.ops().all(|op| self.entries.contains_key(op.key()) != is_delete(&op)),
            "each key is as its operation left it"
        );
    }

    /// The value of `key` at the time `now`.
    pub(crate) fn get(&self, key: &[u8], now: UnixMillis) -> Option<&Bytes> {
        self.entries.get(key).filter(|entry| entry.is_visible(now)).map(|entry| &entry.value)
    }

    /// The entries at the time `now`, in order.
    pub(crate) fn visible(&self, now: UnixMillis) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let entries = self.entries.iter().filter(move |(_, entry)| entry.is_visible(now));
        entries.map(|(key, entry)| (key, &entry.value))
    }

    /// Whether `observed` is exactly this.
    pub(crate) fn equals(&self, observed: &Observed, now: UnixMillis) -> bool {
        self.visible(now).eq(observed.entries.iter().map(|(key, value)| (key, value)))
    }

    /// Where `observed` first differs from this.
    pub(crate) fn difference(&self, observed: &Observed, now: UnixMillis) -> Option<String> {
        let found: BTreeMap<_, _> = observed.entries.iter().cloned().collect();
        let missing = self.visible(now).find(|(key, value)| found.get(*key) != Some(*value));
        if let Some((key, value)) = missing {
            let instead = found.get(key).map_or("nothing".into(), |found| describe(found));
            let key = describe(key);
            return Some(format!("key {key} has {instead} instead of {}", describe(value)));
        }
        debug_assert!(self.visible(now).count() <= found.len(), "no key is missing");
        let extra = found.iter().find(|(key, _)| self.get(key, now).is_none());
        extra
            .map(|(key, value)| format!("key {} has {}", describe(key), describe(value)))
            .map(|what| format!("{what} instead of nothing"))
    }
}

fn is_delete(op: &Op<'_>) -> bool {
    matches!(op, Op::Delete { .. })
}
