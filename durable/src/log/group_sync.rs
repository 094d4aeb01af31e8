//! Group commit: many writers, one sync.
//!
//! A writer appends under the engine's commit section and then waits here until its position is durable. The comments in the
//! code refer to the steps of a round:
//!
//! 1. The writer counts itself as waiting. It returns `Ok` when the durable position has reached its target, and an error
//!    when the log has failed before. Otherwise, if another writer leads, it waits on `done` and looks again; if nobody
//!    leads, it becomes the leader.
//! 2. The leader yields a few times ([`MAX_YIELDS`]) until as many writers wait as at the end of the last round. Without
//!    this, writers that write again at once form two groups that sync in turns. Each group then waits for two syncs.
//!    Yielding costs much less than a sync, and a single writer never yields.
//! 3. The leader copies the chain of segments that may not be wholly durable, and releases the lock. Writers append and
//!    begin to wait meanwhile.
//! 4. The leader syncs the segments of the chain, the oldest first, each up to its present end. All but the last have ended,
//!    so the witness may claim that earlier segments are durable. Then the leader calls the guard.
//! 5. The leader takes the lock again and remembers how many writers wait.
//! 6. It advances the durable position to the last end, or records the failure, and wakes everybody. Segments before that
//!    position leave the chain. As soon as all segments before the active one have left, new frames contain their undurable
//!    distance ([`GroupSync::earlier_segments_are_durable`]). Writers that came during the syncs go back to step 1, and one
//!    of them leads the next round for all of them.
//!
//! Nobody waits for a timer.
//!
//! **Sealing.** [`GroupSync::finish`] makes one segment wholly durable outside of the rounds. If all earlier segments are
//! wholly durable, and the guard agrees, it advances the durable position to the end of that segment. It advances no
//! farther. A running leader may have synced later segments, but its guard has not agreed yet. `finish` wakes nobody. A
//! waiter sleeps only while a leader runs, and the end of that round wakes it. The last segment of the chain stays there,
//! because it may still get appends. If it has ended, the next round advances the position to its end.
//!
//! **Retiring.** The owner of the log may make batches durable elsewhere: an LSM tree writes them to a table that the manifest
//! names. [`GroupSync::retire`] tells the log. The segments that the owner removes leave the chain. They are not synced and not
//! cut. The durable position advances behind the batches, and `retire` wakes the writers that wait for one of them. A leader that
//! has copied the chain before may still sync a segment that was retired.
//!
//! **The lock check.** The leader asks the guard of the log ([`GroupSync::guarded`]) whether the store is still the one that
//! was locked. It asks after each round of syncs, before the durable position advances. The witness has been written by
//! then: its claim is about bytes, not about their owner. If the lock file is still in place after the sync, another writer
//! opens the store only after this round. Its recovery finds everything that the round made durable. A check before the sync
//! is not enough: another writer could take over between the check and the sync.
//!
//! A failed sync poisons the log for good: the content of the disk is unknown, and a second attempt may succeed without
//! having written anything (Rebello et al., ATC 2020). All waiters whose target is not durable get the failure. A writer
//! whose target became durable before the failure returns `Ok`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use super::segment::{Position, Segment};
use crate::publish::PublishedFile;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Condvar, Mutex, MutexGuard, yield_now};

/// How often the leader yields at most.
const MAX_YIELDS: usize = if cfg!(shuttle) { 1 } else { 64 };

/// The durable position of a log, and how to advance it.
#[derive(Debug, Default)]
pub struct GroupSync {
    guard: Option<Guard>,
    state: Mutex<State>,
    /// Signalled when a leader is done.
    done: Condvar,
    /// Whether `State::failure` is set. Appends read it without the lock.
    failed: AtomicBool,
    /// The id of the first segment in `State::chain`. Appends read it without the lock.
    oldest_undurable: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    durable: Position,
    leading: bool,
    /// How many wait, the leader included.
    waiting: usize,
    /// How many waited at the end of the last round.
    waiting_last_round: usize,
    failure: Option<Error>,
    /// The segments at or after the durable position, oldest first. Only the last one gets appends.
    chain: Vec<Arc<Segment>>,
    syncs: u64,
}

impl GroupSync {
    /// Nothing is written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing is written yet. The leader of each round calls `guard` after its syncs; if the guard fails, the log is
    /// poisoned, and nobody who waited for the round is told that the write is durable.
    pub fn guarded(guard: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        Self { guard: Some(Guard(Box::new(guard))), ..Self::default() }
    }

    /// Everything before this is durable.
    pub fn durable(&self) -> Position {
        self.state.lock().durable
    }

    /// How many rounds of syncs there have been.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Waits until everything before `target` is durable, syncing it if nobody else does.
    ///
    /// # Errors
    /// The `Io` of the sync that failed, to everybody who waited for it; `Poisoned` later on.
    pub fn sync_to(&self, target: Position) -> Result<()> {
        let mut state = self.state.lock();
        let failed_before = state.failure.is_some();
        // Step 1.
        state.waiting += 1;
        while state.durable < target && state.failure.is_none() {
            if state.leading {
                // The current round may not cover this append, so the target is checked again.
                self.done.wait(&mut state);
            } else {
                state = self.lead(state);
            }
        }
        state.waiting -= 1;
        match &state.failure {
            // The log failed before the target was durable: in this call, or in an earlier one.
            Some(failure) if state.durable < target => {
                Err(if failed_before { poisoned(failure) } else { failure.clone() })
            }
            // A failure behind the target does not concern this writer.
            _ => Ok(()),
        }
    }

    /// Syncs all appends so far, for everybody.
    fn lead<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        assert!(!state.leading, "one writer leads");
        state.leading = true;
        // Step 2.
        for _ in 0..MAX_YIELDS {
            if state.waiting >= state.waiting_last_round {
                break;
            }
            drop(state);
            yield_now();
            state = self.state.lock();
        }
        // Step 3.
        let chain = state.chain.clone();
        debug_assert!(chain.is_sorted_by_key(|segment| segment.id()), "the oldest is first");
        drop(state);
        // Step 4.
        let synced = sync_in_order(&chain).and_then(|durable| self.check_guard().map(|()| durable));
        // Step 5.
        let mut state = self.state.lock();
        assert!(state.leading, "the leader leads until its round ends");
        state.leading = false;
        state.waiting_last_round = state.waiting;
        state.syncs += 1;
        // Step 6.
        match synced {
            Ok(durable) => self.advance(&mut state, durable),
            // The disk may hold any part of the round: the log takes no more.
            Err(error) => self.fail(&mut state, error),
        }
        self.done.notify_all();
        state
    }

    /// Cuts the spare space of `segment`, which gets no more appends, and makes it wholly durable. If all earlier segments
    /// are durable and the guard agrees, the durable position advances to its end. Calls of `finish` must not overlap.
    ///
    /// # Errors
    /// `Io`: the log is poisoned.
    pub fn finish(&self, segment: &Segment) -> Result<PublishedFile> {
        let earlier_segments_are_durable = self.is_durable_before(segment.id());
        let finished = segment.finish_with(earlier_segments_are_durable);
        let published = finished.map_err(|error| self.poison(error))?;
        self.check_guard().map_err(|error| self.poison(error))?;
        let mut state = self.state.lock();
        let is_last = state.chain.last().is_none_or(|last| last.id() <= segment.id());
        // No farther: what a leader has synced in the meantime is for its own call of the guard.
        if earlier_segments_are_durable && !is_last {
            state.chain.retain(|other| other.id() > segment.id());
            self.advance(&mut state, Position { segment: segment.id(), offset: segment.end() });
        }
        Ok(published)
    }

    /// The batches before `position` and all batches of `segments` are durable outside of the log, and no recovery will read
    /// `segments` again. So the segments leave the chain as they are, and everybody who waits for these batches returns.
    ///
    /// `segments` have ended or get no more appends, and no older segment stays in the chain.
    ///
    /// # Panics
    /// When an older segment stays.
    pub fn retire(&self, position: Position, segments: &[u64]) {
        let mut state = self.state.lock();
        let is_retired = |segment: &Arc<Segment>| segments.contains(&segment.id());
        let retired = state.chain.iter().take_while(|segment| is_retired(segment)).count();
        let is_oldest_first = !state.chain[retired..].iter().any(is_retired);
        assert!(is_oldest_first, "the oldest segments are retired first");
        let end = state.chain.drain(..retired).map(|segment| segment.position()).max();
        let end = end.unwrap_or_default();
        self.advance(&mut state, position.max(end));
        debug_assert!(state.durable >= position, "the position never goes back");
        self.done.notify_all();
    }

    /// Whether every segment before `id` is wholly durable.
    fn is_durable_before(&self, id: u64) -> bool {
        let state = self.state.lock();
        let mut earlier = state.chain.iter().take_while(|segment| segment.id() < id);
        earlier.all(|segment| segment.durable() == segment.end())
    }

    /// Refuses to go on after a failure.
    ///
    /// # Errors
    /// `Poisoned` with the first failure.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.state.lock().failure.as_ref().map_or(Ok(()), |failure| Err(poisoned(failure)))
    }

    /// Records a failure of the log and returns it. The first one is kept.
    pub fn poison(&self, error: Error) -> Error {
        self.fail(&mut self.state.lock(), error.clone());
        self.done.notify_all();
        error
    }

    /// Appends go to `next` from now on.
    pub(super) fn push_segment(&self, next: Arc<Segment>) {
        let mut state = self.state.lock();
        state.chain.push(next);
        self.store_oldest_undurable(&state);
    }

    /// Whether every segment before `segment` is wholly durable.
    #[inline]
    pub(super) fn earlier_segments_are_durable(&self, segment: u64) -> bool {
        self.oldest_undurable.load(Ordering::Acquire) >= segment
    }

    fn check_guard(&self) -> Result<()> {
        self.guard.as_ref().map_or(Ok(()), |Guard(check)| check())
    }

    fn advance(&self, state: &mut State, durable: Position) {
        state.durable = state.durable.max(durable);
        let reached = state.durable.segment;
        state.chain.retain(|segment| segment.id() >= reached);
        self.store_oldest_undurable(state);
    }

    fn store_oldest_undurable(&self, state: &State) {
        let oldest = state.chain.first().map_or(u64::MAX, |oldest| oldest.id());
        self.oldest_undurable.store(oldest, Ordering::Release);
    }

    fn fail(&self, state: &mut State, error: Error) {
        state.failure.get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }
}

/// Whether the store is still the one that was locked.
struct Guard(Box<dyn Fn() -> Result<()> + Send + Sync>);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

fn poisoned(failure: &Error) -> Error {
    Error::Poisoned { cause: Box::new(failure.clone()) }
}

/// Syncs the present bytes of `chain`, and returns the position behind them.
fn sync_in_order(chain: &[Arc<Segment>]) -> Result<Position> {
    let mut durable = Position::default();
    for segment in chain {
        durable = Position { segment: segment.id(), offset: segment.sync()? };
    }
    Ok(durable)
}
