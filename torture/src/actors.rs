//! The threads of a round: each does its work and returns a result. The first one that fails stops the others.

use std::thread::{Scope, ScopedJoinHandle};

use crate::opening::without_panic;

/// Threads that work at the same time. Each returns a `T` or a failure; a panic is a failure.
pub(crate) struct Actors<'scope, 'env, T> {
    scope: &'scope Scope<'scope, 'env>,
    /// Called by each thread that fails, so that the others do not wait for it.
    stop: &'scope (dyn Fn() + Sync),
    threads: Vec<ScopedJoinHandle<'scope, Result<T, String>>>,
}

impl<'scope, 'env, T: Send + 'scope> Actors<'scope, 'env, T> {
    /// No threads yet. `stop` makes running threads end soon.
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, stop: &'scope (dyn Fn() + Sync)) -> Self {
        Self { scope, stop, threads: Vec::new() }
    }

    /// Starts a thread.
    pub(crate) fn start(&mut self, work: impl FnOnce() -> Result<T, String> + Send + 'scope) {
        let stop = self.stop;
        self.threads.push(self.scope.spawn(move || {
            let result = without_panic(work);
            if result.is_err() {
                stop();
            }
            result
        }));
    }

    /// Waits until all threads have ended, and returns their results in the order in which they were started.
    ///
    /// # Errors
    /// The failure of the first thread, in that order, that failed.
    pub(crate) fn join(self) -> Result<Vec<T>, String> {
        let started = self.threads.len();
        let ended: Vec<_> = self.threads.into_iter().map(ScopedJoinHandle::join).collect();
        assert_eq!(ended.len(), started, "each thread has a result");
        let results = ended.into_iter().map(|ended| ended.expect("panics are caught"));
        results.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_fails_or_panics_stops_the_others_and_is_reported() {
        let failing: [fn() -> Result<u8, String>; 2] = [|| Err("fails".into()), || panic!("fails")];
        for fail in failing {
            let is_over = AtomicBool::new(false);
            let stop = || is_over.store(true, Ordering::SeqCst);
            let joined = thread::scope(|scope| {
                let mut actors = Actors::new(scope, &stop);
                actors.start(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    Ok(1)
                });
                actors.start(fail);
                actors.join()
            });
            assert!(joined.unwrap_err().contains("fails"));
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_starts() {
        let joined = thread::scope(|scope| {
            let mut actors = Actors::new(scope, &|| ());
            (0..5).for_each(|number| actors.start(move || Ok(number)));
            actors.join()
        });
        assert_eq!(joined, Ok(vec![0, 1, 2, 3, 4]));
    }
}
