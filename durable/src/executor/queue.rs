//! Which job runs next. Pure: no threads, no clock.
//!
//! Urgent jobs run first, in the order of submission. A bulk job runs in three cases:
//!
//! 1. No urgent job is queued.
//! 2. [`URGENT_IN_A_ROW`] urgent jobs have started since the last bulk job, and no queued urgent job has waited for a bulk
//!    step. So an urgent job waits for at most one bulk step: the one that ran when it was submitted, or else one that
//!    started in front of it.
//!
//! Bulk jobs do not starve. The queued urgent jobs that have waited for a bulk step are finitely many; they start before
//! any that is submitted later, and the front of the queue is then one that has not waited.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Job, JobClass};

/// So many urgent jobs start before a bulk job that has been waiting may go in front of others. High enough for a burst of
/// seals and low enough for a merge to keep up with writers that never pause.
pub(super) const URGENT_IN_A_ROW: u32 = 16;

/// Jobs that wait for a thread, and jobs that wait for their time.
#[derive(Debug, Default)]
pub(super) struct JobQueue {
    urgent: VecDeque<UrgentJob>,
    bulk: VecDeque<Job>,
    /// By the time at which the job is due, then by the order of submission.
    delayed: BTreeMap<(Duration, u64), Job>,
    delayed_submitted: u64,
    /// Bulk jobs that have started, and how many of them have not ended.
    bulk_started: u64,
    bulk_running: u64,
    /// Urgent jobs that have started since the last bulk job.
    urgent_in_a_row: u32,
}

#[derive(Debug)]
struct UrgentJob {
    job: Job,
    /// The value of `bulk_started` at which the job has not waited for a bulk step yet.
    waits_from: u64,
}

impl JobQueue {
    /// Queues a job.
    pub(super) fn push(&mut self, job: Job) {
        match job.class() {
            JobClass::Urgent => {
                // A bulk job that runs now is the one step that this job may wait for.
                let waits_from = self.bulk_started - u64::from(self.bulk_running > 0);
                self.urgent.push_back(UrgentJob { job, waits_from });
            }
            JobClass::Bulk => self.bulk.push_back(job),
        }
    }

    /// Queues a job for the time `due`.
    pub(super) fn push_delayed(&mut self, due: Duration, job: Job) {
        self.delayed_submitted += 1;
        let replaced = self.delayed.insert((due, self.delayed_submitted), job);
        debug_assert!(replaced.is_none(), "each delayed job has its own number");
    }

    /// Takes the job that runs next at the time `now`. The caller runs it and calls [`JobQueue::end`].
    pub(super) fn start(&mut self, now: Duration) -> Option<Job> {
        self.release_delayed(now);
        if self.is_turn_of_bulk() {
            let job = self.bulk.pop_front()?;
            self.bulk_started += 1;
            self.bulk_running += 1;
            self.urgent_in_a_row = 0;
            return Some(job);
        }
        let UrgentJob { job, waits_from } = self.urgent.pop_front()?;
        debug_assert!(self.bulk_started <= waits_from + 1, "it waits for one bulk step at most");
        self.urgent_in_a_row = self.urgent_in_a_row.saturating_add(1);
        Some(job)
    }

    /// Records that a job which [`JobQueue::start`] returned has ended.
    pub(super) fn end(&mut self, class: JobClass) {
        if class == JobClass::Bulk {
            assert!(self.bulk_running > 0, "a bulk job ends after it has started");
            self.bulk_running -= 1;
        }
    }

    /// Jobs that could run now, if there were threads.
    pub(super) fn ready(&self) -> usize {
        self.urgent.len() + self.bulk.len()
    }

    /// When the next delayed job is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes all jobs out, to be dropped by a caller that holds no lock: a value in a job may submit other jobs when it
    /// is dropped.
    #[must_use]
    pub(super) fn take_all(&mut self) -> Vec<Job> {
        let urgent = self.urgent.drain(..).map(|urgent| urgent.job);
        let delayed = std::mem::take(&mut self.delayed).into_values();
        urgent.chain(self.bulk.drain(..)).chain(delayed).collect()
    }

    /// Moves the delayed jobs whose time has come to the jobs of their class.
    fn release_delayed(&mut self, now: Duration) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let job = entry.remove();
            self.push(job);
        }
    }

    fn is_turn_of_bulk(&self) -> bool {
        let Some(front) = self.urgent.front() else { return true };
        // The front was submitted first, so if it has not waited, no job behind it has.
        let nobody_has_waited = front.waits_from == self.bulk_started;
        !self.bulk.is_empty() && self.urgent_in_a_row >= URGENT_IN_A_ROW && nobody_has_waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entropy as _, SeededEntropy};

    fn job(class: JobClass, name: &'static str) -> Job {
        Job::new(class, name, || (), |_| ())
    }

    fn start(queue: &mut JobQueue) -> Option<&'static str> {
        queue.start(Duration::ZERO).map(|job| job.name())
    }

    #[test]
    fn urgent_jobs_go_first_and_each_class_keeps_its_order() {
        let mut queue = JobQueue::default();
        for (class, name) in [
            (JobClass::Bulk, "bulk 1"),
            (JobClass::Urgent, "urgent 1"),
            (JobClass::Bulk, "bulk 2"),
            (JobClass::Urgent, "urgent 2"),
        ] {
            queue.push(job(class, name));
        }
        let order: Vec<_> = std::iter::from_fn(|| start(&mut queue)).collect();
        assert_eq!(order, ["urgent 1", "urgent 2", "bulk 1", "bulk 2"]);
    }

    #[test]
    fn delayed_jobs_run_in_the_order_of_their_times_and_not_before() {
        let mut queue = JobQueue::default();
        let at = Duration::from_secs;
        queue.push_delayed(at(3), job(JobClass::Urgent, "third"));
        queue.push_delayed(at(1), job(JobClass::Bulk, "first"));
        queue.push_delayed(at(2), job(JobClass::Urgent, "second"));
        queue.push_delayed(at(2), job(JobClass::Urgent, "second too"));
        let start = |queue: &mut JobQueue, now| queue.start(at(now)).map(|job| job.name());
        assert_eq!(start(&mut queue, 0), None);
        assert_eq!((start(&mut queue, 1), start(&mut queue, 1)), (Some("first"), None));
        assert_eq!(queue.next_due(), Some(at(2)));
        assert_eq!(start(&mut queue, 2), Some("second"));
        assert_eq!(
            (start(&mut queue, 3), start(&mut queue, 3)),
            (Some("second too"), Some("third"))
        );
        assert_eq!((queue.ready(), queue.next_due()), (0, None));
    }

    /// A model of the two promises: a thread pool of 1 to 4 threads runs jobs that take 1 to 8 ticks each.
    #[test]
    fn an_urgent_job_waits_for_one_bulk_step_at_most_and_bulk_jobs_do_not_starve() {
        let entropy = SeededEntropy::new(1);
        let below = |bound: u64| entropy.next_u64() % bound;
        for round in 0..200 {
            let (threads, one_tick_in) = (1 + round % 4, 2 + below(6));
            let mut model = Model::default();
            for _ in 0..500 {
                let arrivals = (0..4).filter(|_| below(one_tick_in) == 0).count();
                model.tick(threads, arrivals, 1 + below(8));
            }
            assert!(model.longest_urgent_wait <= 1, "bulk steps in front of an urgent job");
            let fair = model.longest_bulk_wait <= u64::from(URGENT_IN_A_ROW) + model.longest_queue;
            assert!(fair, "{} urgent jobs in front of a bulk job", model.longest_bulk_wait);
        }
    }

    #[derive(Default)]
    struct Model {
        queue: JobQueue,
        /// The class of each running job and the ticks that it still takes.
        running: Vec<(JobClass, u64)>,
        /// For each queued urgent job, how many bulk steps it has waited for.
        waits: VecDeque<u64>,
        urgent_since_bulk: u64,
        longest_urgent_wait: u64,
        longest_bulk_wait: u64,
        longest_queue: u64,
    }

    impl Model {
        fn tick(&mut self, threads: usize, arrivals: usize, ticks: u64) {
            if self.queue.bulk.is_empty() {
                self.queue.push(job(JobClass::Bulk, "bulk"));
                self.urgent_since_bulk = 0;
            }
            for _ in 0..arrivals {
                let all_run_bulk = self.running.len() == threads
                    && self.running.iter().all(|(class, _)| *class == JobClass::Bulk);
                self.waits.push_back(u64::from(all_run_bulk));
                self.queue.push(job(JobClass::Urgent, "urgent"));
            }
            self.longest_queue = self.longest_queue.max(self.waits.len() as u64);
            while self.running.len() < threads {
                let Some(job) = self.queue.start(Duration::ZERO) else { break };
                self.started(job.class());
                self.running.push((job.class(), ticks));
            }
            for (class, left) in &mut self.running {
                *left -= 1;
                if *left == 0 {
                    self.queue.end(*class);
                }
            }
            self.running.retain(|(_, left)| *left > 0);
        }

        fn started(&mut self, class: JobClass) {
            if class == JobClass::Bulk {
                self.waits.iter_mut().for_each(|waited| *waited += 1);
                self.longest_bulk_wait = self.longest_bulk_wait.max(self.urgent_since_bulk);
                self.urgent_since_bulk = 0;
            } else {
                let waited = self.waits.pop_front().expect("it was queued");
                self.longest_urgent_wait = self.longest_urgent_wait.max(waited);
                self.urgent_since_bulk += 1;
            }
        }
    }
}
