//! Pins: numbers and times at which readers go on to read while compactions drop versions.
//!
//! A pin costs at most one version of each key. It keeps no file and no memtable.
//!
//! A compaction takes its [`History`] under the lock under which pins are registered, and raises the *floor* in the same
//! step. So a pin is either in the history of the compaction, or it is registered later: then its number is the newest
//! visible one, which is not below the ceiling of that history, or it is compared with the floor.
//!
//! The time of a pin is read under the same lock. An entry has expired for a compaction if it has for each pin and at the time of
//! the history. A pin that is registered later reads at a later time, because the clock of the store never goes back.
//!
//! The floor is also part of the edit of the manifest that drops the versions, so it holds after the next opening. A compaction
//! that is given up leaves the floor raised until then.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicBool, Ordering};
use kv::{Error, Result};

use crate::history::History;
use crate::lock_order::Lock;
use crate::steps::{Step, Steps};
use crate::version::VersionSet;

/// The pins of an open store.
#[derive(Debug)]
pub(crate) struct Pins {
    versions: Arc<VersionSet>,
    held: Mutex<Held>,
    steps: Steps,
}

/// Guarded by `Pins::held`.
#[derive(Debug)]
struct Held {
    /// How many pins each number has; at least 1.
    pins: BTreeMap<u64, usize>,
    /// How many pins read at each time; at least 1.
    times: BTreeMap<u64, usize>,
    /// Nobody can begin to read below this number, unless somebody has pinned the same number.
    floor: u64,
    /// Every state from this number on is kept. `None`: none besides the newest one.
    retained_from: Option<u64>,
}

/// The right to read at a number, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    pins: Arc<Pins>,
    sequence: u64,
    now: u64,
    is_released: AtomicBool,
}

impl Pins {
    /// No pins, on a store in which versions below `floor` may have gone.
    pub(crate) fn new(versions: Arc<VersionSet>, floor: u64, steps: Steps) -> Self {
        debug_assert!(floor <= versions.visible(), "the newest state can be read");
        let (pins, times) = (BTreeMap::new(), BTreeMap::new());
        let held = Held { pins, times, floor, retained_from: None };
        Self { versions, held: Mutex::ranked(Lock::Pins.rank(), held), steps }
    }

    /// Pins the newest visible number.
    pub(crate) fn pin_newest(self: &Arc<Self>) -> Pin {
        let mut held = self.held.lock();
        // Under the lock, so that no compaction takes its history in between.
        let sequence = self.versions.visible();
        debug_assert!(held.floor <= sequence, "the newest state can be read");
        self.register(&mut held, sequence)
    }

    /// Pins `sequence`.
    ///
    /// # Errors
    /// `SnapshotTooOld` if versions of that state may have gone; `InvalidArgument` if it is not visible yet.
    pub(crate) fn pin_at(self: &Arc<Self>, sequence: u64) -> Result<Pin> {
        let mut held = self.held.lock();
        let visible = self.versions.visible();
        if sequence > visible {
            let what = format!("batch {sequence} is not visible; the newest one is {visible}");
            return Err(Error::InvalidArgument(what));
        }
        if sequence < held.floor && !held.pins.contains_key(&sequence) {
            return Err(Error::SnapshotTooOld);
        }
        Ok(self.register(&mut held, sequence))
    }

    /// Keeps every state from `sequence` on. A number less than an earlier one changes nothing.
    pub(crate) fn retain_from(&self, sequence: u64) {
        let mut held = self.held.lock();
        // States below the floor have gone.
        let readable = sequence.max(held.floor);
        held.retained_from = held.retained_from.max(Some(readable));
    }

    fn register(self: &Arc<Self>, held: &mut Held, sequence: u64) -> Pin {
        // Under the lock, so that no compaction takes its history in between, with a later time.
        let now = self.versions.now();
        *held.pins.entry(sequence).or_default() += 1;
        *held.times.entry(now).or_default() += 1;
        Pin { pins: Arc::clone(self), sequence, now, is_released: AtomicBool::new(false) }
    }

    /// The numbers at which readers read now, to find out which compaction comes next. It drops nothing.
    pub(crate) fn history(&self) -> History {
        self.history_of(&self.held.lock())
    }

    /// The numbers at which readers read, for a compaction of versions up to `newest`. From now on nobody begins to read below
    /// the floor that is returned.
    pub(crate) fn begin_dropping(&self, newest: u64) -> (History, u64) {
        let mut held = self.held.lock();
        let history = self.history_of(&held);
        // A reader between `newest` and the ceiling finds the same versions as one at the ceiling.
        let floor = history.ceiling().min(newest);
        let raised = held.floor.max(floor);
        debug_assert!(raised <= history.ceiling(), "the newest state can be read");
        self.steps.run(Step::RaiseFloor, || held.floor = raised);
        (history, floor)
    }

    fn history_of(&self, held: &Held) -> History {
        let now = self.versions.now();
        let expired_up_to = held.times.keys().next().map_or(now, |first| now.min(*first));
        let visible = self.versions.visible();
        let ceiling = held.retained_from.map_or(visible, |retained| retained.min(visible));
        let history = History::new(held.pins.keys().copied(), ceiling);
        history.with_expired_up_to(expired_up_to)
    }

    /// How many pins there are.
    pub(crate) fn count(&self) -> u64 {
        self.held.lock().pins.values().map(|count| *count as u64).sum()
    }

    pub(crate) fn versions(&self) -> &VersionSet {
        &self.versions
    }
}

impl Pin {
    /// The number at which it reads.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The time at which it reads, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Gives the right up. Compactions that begin later drop versions as if the pin had never been.
    pub(crate) fn release(&self) {
        if self.is_released.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut held = self.pins.held.lock();
        let Held { pins, times, .. } = &mut *held;
        release(pins, self.sequence);
        release(times, self.now);
    }

    /// What readers see now. It has all versions that a reader at the number of the pin needs, unless the pin was released.
    pub(crate) fn versions(&self) -> &VersionSet {
        self.pins.versions()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.release();
    }
}

/// Counts one less at `key`.
fn release(counts: &mut BTreeMap<u64, usize>, key: u64) {
    let count = counts.get_mut(&key).expect("the pin was registered");
    *count -= 1;
    if *count == 0 {
        counts.remove(&key);
    }
}
