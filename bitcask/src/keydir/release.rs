//! Opening and closing views. The versions that only a closed view needed are released in small steps.
//!
//! A step visits a few shards, one at a time, under the lock of that shard alone. So a write waits for at most
//! [`STEP_VERSIONS`] versions in one shard, and opening a view waits for no step at all. The thread that closes a view
//! takes all steps. A view may also be given up because the undo lists are over their budget. Then the writes that follow
//! take the steps, one for each batch, so that no write pays for all of them.

use std::sync::atomic::Ordering;

use super::open_views::ClosedView;
use super::{Keydir, SHARDS};

/// A step looks at so many versions.
const STEP_VERSIONS: usize = if cfg!(shuttle) { 1 } else { 16 };

/// A step visits so many shards.
const STEP_SHARDS: usize = if cfg!(shuttle) { 1 } else { 32 };

impl Keydir {
    /// Opens a view at `sequence`, the newest published write. From now on the versions that it sees are kept.
    pub(crate) fn open_view(&self, sequence: u64) {
        self.views.open(sequence);
    }

    /// Closes a view at `sequence`. [`Keydir::release_all`] and [`Keydir::release`] release the versions that only it needed.
    pub(crate) fn close_view(&self, sequence: u64) {
        self.views.close(sequence);
    }

    /// The estimated memory of the undo lists, in bytes.
    #[inline]
    pub(crate) fn undo_bytes(&self) -> u64 {
        self.undo_bytes.load(Ordering::Relaxed)
    }

    /// Whether versions of a closed view are still to be released.
    pub(crate) fn has_closed_views(&self) -> bool {
        self.views.has_closed()
    }

    /// Releases every version that only closed views needed. Returns how many versions it looked at.
    pub(crate) fn release_all(&self) -> usize {
        let mut looked_at = 0;
        while self.has_closed_views() {
            let _one_at_a_time = self.releasing.lock();
            looked_at += self.release_step();
        }
        looked_at
    }

    /// Takes `steps` steps, unless another thread is releasing.
    pub(crate) fn release(&self, steps: usize) {
        for _ in 0..steps {
            let Some(_one_at_a_time) = self.releasing.try_lock() else { return };
            self.release_step();
        }
    }

    /// One step. Returns how many versions it looked at.
    fn release_step(&self) -> usize {
        let Some(mut view) = self.views.first_closed() else { return 0 };
        let (mut versions, mut shards) = (0, 0);
        while view.next_shard < self.shards.len()
            && versions < STEP_VERSIONS
            && shards < STEP_SHARDS
        {
            let limit = STEP_VERSIONS - versions;
            let released = self.release_in_shard(view, limit);
            versions += released;
            if released < limit {
                view.next_shard += 1;
                shards += 1;
            }
        }
        debug_assert!(versions <= STEP_VERSIONS && shards <= STEP_SHARDS, "a step has a limit");
        self.views.advance(view, self.shards.len());
        versions
    }

    fn release_in_shard(&self, view: ClosedView, limit: usize) -> usize {
        let shard = &self.shards[view.next_shard];
        if !shard.read().undo.has_held_by(view.sequence) {
            return 0;
        }
        let mut shard = shard.write();
        let before = shard.undo.bytes();
        // Read under the lock of the shard: step 5 of the protocol in `keydir/undo.rs`.
        let open = self.views.sequences();
        let released = shard.undo.release(view.sequence, &open, limit);
        debug_assert!(released <= limit, "no more than was asked for");
        debug_assert!(shard.undo.bytes() <= before, "releasing adds no version");
        self.count_undo(before, shard.undo.bytes());
        released
    }

    /// Counts a change of the undo lists of one shard.
    #[inline]
    pub(super) fn count_undo(&self, before: usize, after: usize) {
        let change = (after as u64).wrapping_sub(before as u64);
        if change != 0 {
            self.undo_bytes.fetch_add(change, Ordering::Relaxed);
        }
    }
}

const _: () = assert!(STEP_SHARDS <= SHARDS && STEP_VERSIONS > 0);
