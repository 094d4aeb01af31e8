//! Group commit: many writers, one sync.
//!
//! A writer appends under the engine's commit section and then waits here until its position is durable. A round goes
//! through these steps, which the code is marked with:
//!
//! 1. The writer counts itself as waiting. It returns when the durable position has reached its target, or the log has
//!    failed. Otherwise, if another writer leads, it waits for the signal and looks again; if nobody leads, it leads.
//! 2. The leader yields a few times ([`PATIENCE`]) until as many writers wait as at the end of the last round. Without
//!    this, writers that write again at once fall into two halves that take turns, and each waits for two syncs. It takes
//!    much less time than a sync, and a single writer never yields.
//! 3. The leader copies the chain of segments that may not be wholly durable, and releases the lock. Writers append and
//!    begin to wait meanwhile.
//! 4. The leader syncs the segments of the chain, the oldest first, each up to its end at that moment. So when a segment
//!    has been synced, all earlier ones are wholly durable, and its witness may say so.
//! 5. The leader takes the lock again and remembers how many writers wait.
//! 6. It advances the durable position to the last end, or records the failure, and wakes everybody. Writers that came
//!    during the syncs go back to step 1, and one of them leads the next round for all of them.
//!
//! Nobody waits for a timer.
//!
//! **Whose log it is.** After each round of syncs, and before the durable position advances, the leader asks the guard of the
//! log ([`GroupSync::guarded`]) whether the store is still the one that was locked. The check comes after the sync on
//! purpose. If the lock file is still in place then, another writer can open the store only later, and its recovery finds
//! everything that this round made durable. A check before the sync proves less: the round also covers what was appended
//! after it, when the other writer may have read the log already.
//!
//! [`GroupSync::finish`] syncs one segment and asks the guard as well. It advances the durable position to the end of that
//! segment and no farther: a leader may have synced a later segment whose round the guard has not admitted yet.
//!
//! A failed sync poisons the log for good: what the disk holds is unknown, and a second attempt may succeed without
//! having written anything (Rebello et al., ATC 2020). All waiters get the failure.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use super::segment::{Position, Segment};
use crate::publish::PublishedFile;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Condvar, Mutex, MutexGuard, yield_now};

/// How often a leader lets others run before it goes on without them.
const PATIENCE: usize = if cfg!(shuttle) { 1 } else { 64 };

/// The durable position of a log, and how to advance it.
#[derive(Debug, Default)]
pub struct GroupSync {
    guard: Option<Guard>,
    state: Mutex<State>,
    /// Signalled when a leader is done.
    done: Condvar,
    /// Whether `State::failure` is set, for the append path.
    failed: AtomicBool,
    /// The id of the first segment in `State::chain`, for the append path.
    oldest_undurable: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    durable: Position,
    leading: bool,
    /// How many wait, the leader included.
    waiting: usize,
    /// How many did at the end of the last round.
    crowd: usize,
    failure: Option<Error>,
    /// The segments that are not known to be wholly durable, oldest first, the active one last.
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
                // The round in flight may have begun before the append, so the target is checked again.
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

    /// Syncs what has been appended by now, for everybody.
    fn lead<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        assert!(!state.leading, "one writer leads");
        state.leading = true;
        // Step 2.
        for _ in 0..PATIENCE {
            if state.waiting >= state.crowd {
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
        state.crowd = state.waiting;
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
    /// are durable, so is the log up to its end, once the guard has agreed.
    ///
    /// # Errors
    /// `Io`: the log is poisoned.
    pub fn finish(&self, segment: &Segment) -> Result<PublishedFile> {
        let is_prior_durable = self.is_durable_before(segment.id());
        let finished = segment.finish_with(is_prior_durable);
        let published = finished.map_err(|error| self.poison(error))?;
        self.check_guard().map_err(|error| self.poison(error))?;
        let mut state = self.state.lock();
        let is_active = state.chain.last().is_none_or(|last| last.id() <= segment.id());
        // No farther: what a leader has synced in the meantime is for its own call of the guard.
        if is_prior_durable && !is_active {
            state.chain.retain(|other| other.id() > segment.id());
            self.advance(&mut state, Position { segment: segment.id(), offset: segment.end() });
        }
        Ok(published)
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
        self.publish_oldest(&state);
    }

    /// Whether every segment before `segment` is wholly durable.
    #[inline]
    pub(super) fn is_linked(&self, segment: u64) -> bool {
        self.oldest_undurable.load(Ordering::Acquire) >= segment
    }

    fn check_guard(&self) -> Result<()> {
        self.guard.as_ref().map_or(Ok(()), |Guard(check)| check())
    }

    fn advance(&self, state: &mut State, durable: Position) {
        state.durable = state.durable.max(durable);
        let reached = state.durable.segment;
        state.chain.retain(|segment| segment.id() >= reached);
        self.publish_oldest(state);
    }

    fn publish_oldest(&self, state: &State) {
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

/// Syncs what is in `chain` now, and returns how far that reaches.
fn sync_in_order(chain: &[Arc<Segment>]) -> Result<Position> {
    let mut durable = Position::default();
    for segment in chain {
        durable = Position { segment: segment.id(), offset: segment.sync()? };
    }
    Ok(durable)
}
