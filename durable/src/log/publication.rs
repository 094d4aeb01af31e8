//! Ordered publication: batches become visible in the order of their sequence numbers. A batch that must be durable becomes
//! visible only when it is.
//!
//! A batch is *written* when it is in the log. If no earlier batch waits, the engine may make it *visible* at once
//! ([`PublicationQueue::publish_now`]). A batch that must be durable *waits* in the queue until the log is durable up to its
//! end. Every later batch waits behind it. A later batch that need not be durable itself waits for the position of the batch
//! before it ([`PublicationQueue::position_to_wait_for`]).
//!
//! Every thread whose sync has ended calls [`PublicationQueue::sync_ended`]. It publishes the durable batches at the head of
//! the queue, in order, also batches of other threads. If the sync failed, the call publishes nothing. The thread of each
//! batch that is durable anyway publishes it.
//!
//! # Failures
//!
//! A batch *fails* when its sync fails, or when the engine cannot apply it. For example, its records cannot be read back from
//! the log. The failure is final for this queue:
//! - the failed batch stays in the queue, and no later batch becomes visible;
//! - earlier batches are still published when they are durable;
//! - `sync_ended` returns an error for the failed batch and for every later one. A write that returned an error never becomes
//!   visible through this queue.
//!
//! The queue has no lock. Its owner calls it inside the commit section.

use std::collections::VecDeque;

use kv::{Error, Result};

use super::segment::Position;

/// The batches that are written and not visible, and the newest batch that is visible. `T` is the data that the engine
/// needs to apply a batch.
#[derive(Debug)]
pub struct PublicationQueue<T> {
    /// The newest visible batch.
    visible: u64,
    /// Ascending in `sequence` and in `durable_to`.
    waiting: VecDeque<Waiting<T>>,
    /// The oldest batch that failed, and the cause.
    failed: Option<(u64, Error)>,
}

#[derive(Debug)]
struct Waiting<T> {
    sequence: u64,
    durable_to: Position,
    batch: T,
}

/// Applies one batch, given its sequence number: all of it, or nothing and an error.
pub type Apply<'a, T> = &'a mut dyn FnMut(u64, &T) -> Result<()>;

impl<T> PublicationQueue<T> {
    /// An empty queue. All batches up to `visible` are visible.
    pub fn new(visible: u64) -> Self {
        Self { visible, waiting: VecDeque::new(), failed: None }
    }

    /// The sequence number of the newest visible batch.
    pub fn visible(&self) -> u64 {
        self.visible
    }

    /// The position that the log must reach before a batch written now may become visible, even if the batch itself need
    /// not be durable. `None`: no batch waits.
    pub fn position_to_wait_for(&self) -> Option<Position> {
        self.waiting.back().map(|last| last.durable_to)
    }

    /// Makes batch `sequence` the newest visible one. The engine has applied it.
    ///
    /// # Panics
    /// When an earlier batch waits, or a batch of this number or a higher one is visible.
    pub fn publish_now(&mut self, sequence: u64) {
        assert!(self.waiting.is_empty(), "no batch overtakes a waiting one");
        assert!(sequence > self.visible, "batches become visible in the order of their numbers");
        self.visible = sequence;
    }

    /// Queues batch `sequence` until the log is durable up to `durable_to`.
    ///
    /// # Panics
    /// When the batch is out of order.
    pub fn push(&mut self, sequence: u64, durable_to: Position, batch: T) {
        let last = self.waiting.back().map_or(self.visible, |last| last.sequence);
        assert!(sequence > last, "batches are queued in the order of their numbers");
        assert!(
            self.position_to_wait_for().is_none_or(|last| last <= durable_to),
            "the log only grows"
        );
        self.waiting.push_back(Waiting { sequence, durable_to, batch });
    }

    /// Publishes every waiting batch that is durable and has no waiting predecessor, after the sync for batch `sequence` has
    /// ended. `synced` is how far the log is durable, or the error of the sync.
    ///
    /// # Errors
    /// Batch `sequence` is not visible and never will be through this queue. The call that detects a failure returns it, and
    /// later callers get `Poisoned`. If `apply` fails for a later batch, the call returns `Ok` for its own visible batch; so
    /// `apply` must poison the store itself.
    ///
    /// # Panics
    /// When `synced` is below the position that batch `sequence` waits for.
    pub fn sync_ended(
        &mut self,
        sequence: u64,
        synced: Result<Position>,
        apply: Apply<'_, T>,
    ) -> Result<()> {
        let published = match synced {
            Ok(durable) => self.publish_durable(durable, apply),
            // Another thread has published the batch, so it is durable: a later sync failed.
            Err(_) if self.visible >= sequence => Ok(()),
            Err(error) => self.fail(sequence, error),
        };
        // This batch is visible, even if the call failed to apply a later one.
        if self.visible >= sequence {
            return Ok(());
        }
        published?;
        // An earlier call has failed for this batch or for one before it.
        match &self.failed {
            Some((failed, cause)) => {
                debug_assert!(
                    *failed <= sequence,
                    "a failed batch blocks itself and later ones only"
                );
                Err(Error::Poisoned { cause: Box::new(cause.clone()) })
            }
            None => panic!("batch {sequence} is durable, and nothing before it failed"),
        }
    }

    fn publish_durable(&mut self, durable: Position, apply: Apply<'_, T>) -> Result<()> {
        while let Some(head) = self.waiting.front() {
            let has_failed =
                self.failed.as_ref().is_some_and(|(failed, _)| *failed <= head.sequence);
            if has_failed || head.durable_to > durable {
                break;
            }
            let sequence = head.sequence;
            if let Err(error) = apply(sequence, &head.batch) {
                return self.fail(sequence, error);
            }
            assert!(
                sequence > self.visible,
                "batches become visible in the order of their numbers"
            );
            self.visible = sequence;
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Batch `sequence` and all later ones never become visible.
    fn fail(&mut self, sequence: u64, error: Error) -> Result<()> {
        assert!(sequence > self.visible, "a visible batch does not fail");
        if self.failed.as_ref().is_none_or(|(failed, _)| sequence < *failed) {
            self.failed = Some((sequence, error.clone()));
        }
        Err(error)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { segment: 1, offset }
    }

    fn failure(path: &str) -> Error {
        Error::io("read", path, std::io::ErrorKind::Other.into())
    }

    /// Batches 1 to `count`, each of which waits for a position ten times its number.
    fn waiting(count: u64) -> PublicationQueue<u64> {
        let mut queue = PublicationQueue::new(0);
        for sequence in 1..=count {
            queue.push(sequence, at(sequence * 10), sequence);
        }
        queue
    }

    /// The sync for `sequence` has reached `durable`; batches from `broken` on cannot be applied. Appends the others to `applied`.
    fn sync_ended(
        queue: &mut PublicationQueue<u64>,
        sequence: u64,
        durable: u64,
        broken: u64,
        applied: &mut Vec<u64>,
    ) -> Result<()> {
        queue.sync_ended(sequence, Ok(at(durable)), &mut |sequence, batch| {
            assert_eq!(sequence, *batch);
            if sequence >= broken {
                return Err(failure("log"));
            }
            applied.push(sequence);
            Ok(())
        })
    }

    #[test]
    fn only_the_durable_head_becomes_visible_in_order() {
        let (mut queue, mut applied) = (waiting(4), Vec::new());
        sync_ended(&mut queue, 2, 29, u64::MAX, &mut applied).unwrap();
        assert_eq!((queue.visible(), &applied[..]), (2, &[1, 2][..]));
        sync_ended(&mut queue, 1, 29, u64::MAX, &mut applied).unwrap();
        sync_ended(&mut queue, 4, 40, u64::MAX, &mut applied).unwrap();
        assert_eq!((queue.visible(), &applied[..]), (4, &[1, 2, 3, 4][..]));
        assert_eq!(queue.position_to_wait_for(), None);
        queue.publish_now(5);
        assert_eq!(queue.visible(), 5);
    }

    #[test]
    fn a_batch_that_cannot_be_applied_stays_and_nothing_later_becomes_visible() {
        let (mut queue, mut applied) = (waiting(3), Vec::new());
        let found = sync_ended(&mut queue, 3, 100, 2, &mut applied);
        assert!(matches!(found, Err(Error::Io { .. })), "{found:?}");
        assert_eq!(queue.visible(), 1);
        // The disk has recovered; the queue has not.
        for sequence in 2..=3 {
            let later = sync_ended(&mut queue, sequence, 100, u64::MAX, &mut applied);
            assert!(matches!(later, Err(Error::Poisoned { .. })), "{later:?}");
        }
        assert_eq!(applied, [1]);
        assert_eq!(
            queue.position_to_wait_for(),
            Some(at(30)),
            "later batches go on waiting behind it"
        );
        sync_ended(&mut queue, 1, 100, u64::MAX, &mut applied).unwrap();
    }

    #[test]
    fn a_write_whose_sync_failed_never_becomes_visible_and_earlier_ones_do() {
        let (mut queue, mut applied) = (waiting(3), Vec::new());
        let failed = queue.sync_ended(2, Err(failure("log")), &mut |_, _| unreachable!());
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
        // A leader that had begun before the failure makes all of the log durable after it.
        sync_ended(&mut queue, 1, 100, u64::MAX, &mut applied).unwrap();
        assert!(sync_ended(&mut queue, 3, 100, u64::MAX, &mut applied).is_err());
        assert_eq!((queue.visible(), &applied[..]), (1, &[1][..]));
    }

    #[test]
    fn the_oldest_failed_batch_stays_failed_when_a_later_one_fails() {
        let (mut queue, mut applied) = (waiting(3), Vec::new());
        for sequence in [2, 3] {
            queue
                .sync_ended(sequence, Err(failure("log")), &mut |_, _| unreachable!())
                .unwrap_err();
        }
        sync_ended(&mut queue, 1, 100, u64::MAX, &mut applied).unwrap();
        assert_eq!((queue.visible(), &applied[..]), (1, &[1][..]));
    }

    #[test]
    fn a_batch_that_cannot_be_applied_goes_on_waiting_even_if_it_is_the_only_one() {
        let (mut queue, mut applied) = (waiting(1), Vec::new());
        sync_ended(&mut queue, 1, 100, 1, &mut applied).unwrap_err();
        assert_eq!((queue.visible(), queue.position_to_wait_for()), (0, Some(at(10))));
    }

    #[test]
    fn a_write_that_another_thread_has_published_is_durable_whatever_its_own_sync_says() {
        let (mut queue, mut applied) = (waiting(2), Vec::new());
        sync_ended(&mut queue, 2, 20, u64::MAX, &mut applied).unwrap();
        queue.sync_ended(1, Err(failure("log")), &mut |_, _| unreachable!()).unwrap();
    }

    #[test]
    #[should_panic(expected = "no batch overtakes a waiting one")]
    fn no_batch_overtakes_a_waiting_one() {
        waiting(1).publish_now(2);
    }

    #[test]
    #[should_panic(expected = "in the order of their numbers")]
    fn batches_are_queued_in_order() {
        waiting(2).push(2, at(50), 2);
    }
}
