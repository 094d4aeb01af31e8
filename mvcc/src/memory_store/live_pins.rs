//! The pinned snapshots, the visible number, and the floor of the past.

use std::collections::BTreeMap;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicU64, Ordering};
use kv::{Error, Result, SequenceNumber};

use crate::lock_order;
use crate::visibility::Horizon;

/// Decides which snapshots can be read. See [`VersionedStore`](crate::VersionedStore).
#[derive(Debug)]
pub(super) struct LivePins {
    state: Mutex<PinState>,
    /// The number of the newest batch that is wholly applied.
    visible: AtomicU64,
}

#[derive(Debug, Default)]
struct PinState {
    /// How many pins each snapshot has.
    pinned: BTreeMap<SequenceNumber, usize>,
    /// The greatest number that was asked for as the floor.
    requested_floor: SequenceNumber,
    /// How many pins were released.
    releases: u64,
    /// The value of `releases` after the last revocation.
    releases_at_revocation: u64,
    is_closed: bool,
}

impl LivePins {
    pub(super) fn new() -> Self {
        let state = Mutex::ranked(lock_order::LIVE_PINS, PinState::default());
        Self { state, visible: AtomicU64::new(0) }
    }

    pub(super) fn visible(&self) -> SequenceNumber {
        SequenceNumber(self.visible.load(Ordering::Acquire))
    }

    /// Makes the batch with this number visible. It is wholly applied.
    pub(super) fn publish(&self, sequence: SequenceNumber) {
        let before = self.visible.swap(sequence.0, Ordering::AcqRel);
        assert!(sequence.0 == before + 1, "batches become visible in the order of their numbers");
    }

    /// Pins the newest visible snapshot.
    pub(super) fn pin_newest(&self) -> Result<SequenceNumber> {
        let mut state = self.state.lock();
        // Under the lock: no horizon is computed between the look and the registration.
        let sequence = self.visible();
        state.pin(sequence)?;
        Ok(sequence)
    }

    /// Pins the snapshot with this number, if it can be read.
    pub(super) fn pin_at(&self, sequence: SequenceNumber) -> Result<()> {
        let mut state = self.state.lock();
        let visible = self.visible();
        if sequence > visible {
            let message = format!("write {sequence} is not visible yet; the newest is {visible}");
            return Err(Error::InvalidArgument(message));
        }
        if sequence < state.floor(visible) {
            return Err(Error::SnapshotTooOld);
        }
        state.pin(sequence)
    }

    /// Releases one pin of a snapshot.
    pub(super) fn release(&self, sequence: SequenceNumber) {
        self.state.lock().unpin(sequence);
    }

    /// Releases one pin of a snapshot, by force.
    pub(super) fn revoke(&self, sequence: SequenceNumber) {
        let mut state = self.state.lock();
        state.unpin(sequence);
        state.releases_at_revocation = state.releases;
    }

    /// Gives up the snapshots before `floor`.
    pub(super) fn raise_floor(&self, floor: SequenceNumber) {
        let mut state = self.state.lock();
        state.requested_floor = state.requested_floor.max(floor);
    }

    /// The snapshots that can be read, now or later, and how many pins were released so far.
    pub(super) fn horizon(&self) -> (Horizon, u64) {
        let state = self.state.lock();
        let pinned = state.pinned.keys().copied().collect();
        (Horizon::new(pinned, state.floor(self.visible())), state.releases)
    }

    /// How many pins were released when the last one was revoked, that one included.
    pub(super) fn releases_at_revocation(&self) -> u64 {
        self.state.lock().releases_at_revocation
    }

    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
    }
}

impl PinState {
    /// The least number from which on all snapshots can be read. Never falls.
    fn floor(&self, visible: SequenceNumber) -> SequenceNumber {
        self.requested_floor.min(visible)
    }

    fn pin(&mut self, sequence: SequenceNumber) -> Result<()> {
        if self.is_closed {
            return Err(Error::Closed);
        }
        *self.pinned.entry(sequence).or_default() += 1;
        Ok(())
    }

    fn unpin(&mut self, sequence: SequenceNumber) {
        let count = self.pinned.get_mut(&sequence).expect("the snapshot is pinned");
        *count -= 1;
        if *count == 0 {
            self.pinned.remove(&sequence);
        }
        self.releases += 1;
    }
}
