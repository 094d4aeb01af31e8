//! A store of versions in memory: a sorted map from each key to its chain of versions.
//!
//! Nothing survives the process, so every commit is of class [`Durability::None`].
//!
//! # A commit
//!
//! 1. The writer enters the commit section, a mutex.
//! 2. It validates the batch with the next number. If the validation fails, the number goes to the next batch.
//! 3. It adds a version to the chain of each key, in steps, so that no reader waits for a large batch. No snapshot sees the
//!    new versions, because their number is not visible yet.
//! 4. It publishes the number and leaves the section.
//! 5. It lets the collector look at about two keys for each operation of the batch.
//!
//! # Collecting
//!
//! A key is *untidy* if it has a version that a newer one has replaced, or if its only version is a tombstone. The collector
//! visits untidy keys and drops each version that no readable snapshot needs ([`Horizon`](crate::Horizon)).
//!
//! - A key with a version that was replaced after the floor waits in a queue until the floor has reached that write.
//! - If a pinned snapshot needs a version, the key is held: the collector visits all held keys once after pins were released. A
//!   held key that is written again goes back to the queue, so even a hot key keeps one version for each pin.
//!
//! The horizon is computed under the lock of the pins. The number of a snapshot that is pinned later is at
//! least the floor of that horizon. So the collector may use the horizon after the lock is released.
//!
//! # A read beside a revocation
//!
//! A revoked pin sets its flag, leaves the list of pins, and only then can a horizon ignore it. A read looks at the versions
//! first and at the flag afterwards. So a read that misses a dropped version finds the flag set.

use std::fmt;
use std::sync::Arc;

use durable::sync::Mutex;
use kv::{
    Capabilities, Durability, Error, Result, ScanSupport, SequenceNumber, Stats, Unit, WriteBatch,
};

use crate::lock_order;
use crate::store::{HistoryUse, NewestVersion, Pin, Validate, VersionedStore};

mod chain;
mod cursor;
mod live_pins;
mod pin;
mod versions;

use live_pins::LivePins;
use pin::MemoryPin;
use versions::Versions;

/// Keys that the collector visits after a commit, for each operation of the batch. More than one, so that it catches up.
const VISITS_PER_OP: usize = 2;

/// A store of versions in memory. See the [crate] for the rules and [`VersionedStore`] for the calls.
pub struct MemoryStore {
    section: Mutex<Section>,
    shared: Arc<Shared>,
}

/// The state of the commit section.
#[derive(Debug)]
struct Section {
    /// The number of the newest batch.
    newest: SequenceNumber,
    is_closed: bool,
}

/// The components that pins keep alive.
#[derive(Debug)]
struct Shared {
    pins: LivePins,
    versions: Versions,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        let section = Section { newest: SequenceNumber::ZERO, is_closed: false };
        let shared = Shared { pins: LivePins::new(), versions: Versions::new() };
        Self {
            section: Mutex::ranked(lock_order::COMMIT_SECTION, section),
            shared: Arc::new(shared),
        }
    }

    /// Drops every version that no readable snapshot needs, and returns when it is done. Commits do this in small steps; call
    /// it when there are none.
    pub fn collect_garbage(&self) {
        while !self.shared.collect(versions::STEP) {}
    }

    fn check_open(&self) -> Result<()> {
        if self.section.lock().is_closed { Err(Error::Closed) } else { Ok(()) }
    }

    fn pin(&self, sequence: SequenceNumber) -> Arc<dyn Pin> {
        Arc::new(MemoryPin::new(Arc::clone(&self.shared), sequence))
    }

    /// Steps 1 to 4 of a commit.
    fn commit_in_section(
        &self,
        batch: &WriteBatch,
        validate: Validate<'_>,
    ) -> Result<SequenceNumber> {
        let mut section = self.section.lock();
        if section.is_closed {
            return Err(Error::Closed);
        }
        if batch.is_empty() {
            validate(section.newest.next())?;
            return Ok(section.newest);
        }
        let sequence = section.newest.next();
        assert!(sequence > self.shared.pins.visible(), "numbers ascend");
        validate(sequence)?;
        self.shared.versions.apply(batch, sequence);
        section.newest = sequence;
        self.shared.pins.publish(sequence);
        Ok(sequence)
    }
}

impl Shared {
    /// Lets the collector visit up to `visits` keys. Returns whether it has visited all that it can free something of.
    fn collect(&self, visits: usize) -> bool {
        let (horizon, releases) = self.pins.horizon();
        self.versions.collect(visits, &horizon, releases)
    }
}

impl VersionedStore for MemoryStore {
    fn commit_with(
        &self,
        batch: &WriteBatch,
        _: Durability,
        validate: Validate<'_>,
    ) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let sequence = self.commit_in_section(batch, validate)?;
        self.shared.collect(batch.len() * VISITS_PER_OP);
        Ok(sequence)
    }

    fn newest_version(&self, key: &[u8], above: SequenceNumber) -> Result<Option<NewestVersion>> {
        let newest = self.shared.versions.newest(key);
        Ok(newest.filter(|newest| newest.sequence > above))
    }

    fn pin_newest(&self) -> Result<Arc<dyn Pin>> {
        let sequence = self.shared.pins.pin_newest()?;
        Ok(self.pin(sequence))
    }

    fn pin_at(&self, sequence: SequenceNumber) -> Result<Arc<dyn Pin>> {
        self.shared.pins.pin_at(sequence)?;
        Ok(self.pin(sequence))
    }

    fn retain_from(&self, sequence: SequenceNumber) {
        self.shared.pins.raise_floor(sequence);
    }

    fn history(&self) -> HistoryUse {
        self.shared.versions.history(self.shared.pins.releases_at_revocation())
    }

    fn sync(&self) -> Result<()> {
        self.check_open()
    }

    fn close(&self) -> Result<()> {
        self.section.lock().is_closed = true;
        self.shared.pins.close();
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::None)
    }

    fn stats(&self) -> Stats {
        let history = self.history();
        Stats::default()
            .with("keys", Unit::Count, self.shared.versions.len() as u64)
            .with("retained_versions", Unit::Count, history.versions)
            .with("retained", Unit::Bytes, history.bytes)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("visible", &self.shared.pins.visible())
            .field("keys", &self.shared.versions.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
