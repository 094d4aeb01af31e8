//! The lock order of this crate, in one place. `durable::sync` checks it in debug builds.
//!
//! The in-memory store takes the places of an engine, because another store may stand in its place. The table of recent
//! commits comes after all locks of stores: a commit takes it inside the commit section of the store.

use durable::sync::Rank;

/// `Readers::open`: the transactions in flight. A pin may be revoked under it.
pub(crate) const READERS: Rank = Rank::new(100, "the transactions in flight");

/// `HistoryClock::samples`: which number was the newest at which time.
pub(crate) const HISTORY_CLOCK: Rank = Rank::new(200, "the history window");

/// `MemoryStore::section`: the commit section of the in-memory store.
pub(crate) const COMMIT_SECTION: Rank = Rank::new(Rank::ENGINE + 100, "the commit section");

/// `LivePins::state`: the pinned snapshots of the in-memory store.
pub(crate) const LIVE_PINS: Rank = Rank::new(Rank::ENGINE + 200, "the pinned snapshots");

/// `Versions::table`: the versions of the in-memory store.
pub(crate) const VERSIONS: Rank = Rank::new(Rank::ENGINE + 300, "the versions");

/// `RecentCommits::state`: names and marks of the last commits. No lock is taken under it.
pub(crate) const RECENT_COMMITS: Rank = Rank::new(Rank::DURABLE - 100, "the recent commits");
