//! The lock order of this crate, in one place. All of it comes after the locks of engines: an engine may call this crate
//! while it holds its own locks, and this crate calls no engine while it holds one of these.

use crate::sync::Rank;

/// The space of a [`DiskReserve`](crate::DiskReserve) is lent, or somebody allocates who must not take that space.
pub(crate) const DISK_LOAN: Rank = Rank::new(Rank::DURABLE + 50, "disk loan");

/// A [`DiskReserve`](crate::DiskReserve) is made or removed.
pub(crate) const DISK_RESERVE: Rank = Rank::new(Rank::DURABLE + 100, "disk reserve");

/// The tasks of a [`Background`](crate::background::Background) that are tried again after a pause. Held for a look or a change.
pub(crate) const RETRIES: Rank = Rank::new(Rank::DURABLE + 8_800, "retries");

/// The tasks of a [`Background`](crate::background::Background) that have a job already. Held for a look or a change.
pub(crate) const QUEUED_TASKS: Rank = Rank::new(Rank::DURABLE + 8_900, "queued tasks");

/// The counts of a [`JobGroup`](crate::JobGroup).
pub(crate) const JOB_GROUP: Rank = Rank::new(Rank::DURABLE + 9_000, "job group");

/// The queue of an executor. Jobs run, and are dropped, after it is released.
pub(crate) const JOB_QUEUE: Rank = Rank::new(Rank::DURABLE + 9_100, "job queue");

/// The hands of a manual clock.
pub(crate) const CLOCK: Rank = Rank::new(Rank::DURABLE + 9_900, "clock");
