//! The decision which records of the inputs are copied.

use durable::log::{Frame, FrameView, Writer};
use kv::UnixMillis;

use super::tombstones::TombstoneGuard;
use crate::components::Components;
use crate::record::{Record, RecordWriter};
use crate::steps::Step;

/// Decides which records of the inputs are copied.
pub(super) struct Classifier {
    guard: TombstoneGuard,
    horizon: UnixMillis,
    /// Whether a record that the keydir names has expired.
    pub(super) has_expired_records: bool,
}

/// The frames of a batch that are copied.
#[derive(Default)]
pub(super) struct LiveFrames<'f> {
    pub(super) frames: Vec<Frame<'f>>,
    /// For each copied tombstone: the id of its blocker, and its own length in bytes.
    pub(super) blocked: Vec<(u64, u64)>,
    /// Tombstones and expired puts that are not copied.
    pub(super) dropped: u64,
}

impl Classifier {
    /// A classifier that treats records with an expiry not after `horizon` as expired.
    pub(super) fn new(guard: TombstoneGuard, horizon: UnixMillis) -> Self {
        Self { guard, horizon, has_expired_records: false }
    }

    /// Decides whether a record is copied, and adds it to `live` if so.
    pub(super) fn classify<'f>(
        &mut self,
        parts: &Components,
        frame: &FrameView<'f>,
        record: Record<'f>,
        live: &mut LiveFrames<'f>,
    ) {
        let (key, sequence) = (record.key(), frame.sequence);
        let newest = parts.keydir.get(key).map(|version| version.sequence);
        let has_expired =
            |expires_at: Option<UnixMillis>| expires_at.is_some_and(|time| time <= self.horizon);
        match record {
            // A newer record has replaced the put: it is dead. An expired one counts as a tombstone.
            Record::Put { expires_at, .. } if newest != Some(sequence) => {
                live.dropped += u64::from(has_expired(expires_at));
            }
            // The newest record of its key has expired for every view: it is a tombstone now.
            Record::Put { expires_at, .. } if has_expired(expires_at) => {
                self.has_expired_records = true;
                self.keep_or_drop(parts, Step::GuardExpiredPut, key, sequence, live);
            }
            // The newest record of its key: it is copied as it is.
            Record::Put { .. } => {
                live.frames.push(Frame { kind: frame.kind, payload: [frame.payload, &[], &[]] });
            }
            // The keydir has a put of the key. It is newer, and hides the same older puts.
            Record::Delete { .. } if newest.is_some() => live.dropped += 1,
            // The key is absent.
            Record::Delete { .. } => {
                self.keep_or_drop(parts, Step::GuardTombstone, key, sequence, live);
            }
        }
    }

    /// Adds a tombstone of `key` by write `sequence` to `live` if a file outside the merge may have an older put of `key`.
    /// Otherwise drops it.
    fn keep_or_drop<'f>(
        &self,
        parts: &Components,
        guard: Step,
        key: &'f [u8],
        sequence: u64,
        live: &mut LiveFrames<'f>,
    ) {
        match parts.store.steps.run(guard, || self.guard.blocker(key, sequence)) {
            Some(blocker) => {
                let len = Writer::batch_len(std::iter::once(key.len()));
                live.blocked.push((blocker, len));
                live.frames.push(RecordWriter::tombstone(key));
            }
            None => live.dropped += 1,
        }
    }
}
