//! The scheduler of a round: it decides which writer starts or goes on, and has a reader look in between.

use std::thread;

use super::actors::{Look, ReaderThread, Request, Shared, Task};
use super::failing::Failing;
use super::gate::Phase;
use crate::actors::Actors;
use crate::random::Random;

/// The threads of a round. Their results are in the shared answers and in the looks of the reader.
type Threads<'scope, 'env> = Actors<'scope, 'env, ()>;

/// Starts and releases writers in an order that follows from `random`, and looks in between.
pub(super) fn schedule_writers(
    shared: &Shared,
    tasks: &[Task],
    failing: Failing,
    random: &Random,
) -> Result<Vec<Look>, String> {
    let stop = || shared.gate.open();
    thread::scope(|scope| {
        let mut threads = Actors::new(scope, &stop);
        let reader = ReaderThread::start(&mut threads, shared);
        let must_arm = failing.mode.is_some();
        let mut scheduler = Scheduler {
            shared,
            tasks,
            failing,
            random,
            reader,
            looks: Vec::new(),
            started: 0,
            must_arm,
        };
        let scheduled = scheduler.steps(&mut threads);
        shared.gate.open();
        let looks = scheduled.and_then(|()| scheduler.finish());
        // The failure of a thread explains the failure of the scheduler.
        threads.join()?;
        looks
    })
}

struct Scheduler<'c> {
    shared: &'c Shared,
    tasks: &'c [Task],
    failing: Failing,
    random: &'c Random,
    reader: ReaderThread,
    /// The looks so far.
    looks: Vec<Look>,
    /// Writers that were started: the first ones of `tasks`.
    started: usize,
    /// Whether the failure of a sync is still to be planned.
    must_arm: bool,
}

/// A step that the scheduler can take next.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// The next writer starts.
    Start,
    /// This writer goes on.
    Release(usize),
}

impl<'c> Scheduler<'c> {
    /// Decides until every writer has returned.
    fn steps<'scope>(&mut self, threads: &mut Threads<'scope, '_>) -> Result<(), String>
    where
        'c: 'scope,
    {
        loop {
            self.shared.gate.wait_until_quiet()?;
            self.ask(Request::Look)?;
            let phases = self.shared.gate.phases();
            let choices = self.choices(&phases);
            if choices.is_empty() {
                let is_busy = |phase: &Phase| matches!(phase, Phase::Writing | Phase::Appended);
                if phases.iter().any(is_busy) {
                    // A writer runs that nothing holds: wait for it.
                    continue;
                }
                return Ok(());
            }
            if self.random.one_in(4) {
                self.ask(Request::Job)?;
            }
            if self.must_arm && self.random.one_in(3) {
                self.must_arm = false;
                self.shared.inject.arm(self.failing.plan(self.shared.inject.calls()));
            }
            match *self.random.pick(&choices) {
                Choice::Release(writer) => self.shared.gate.release(writer),
                Choice::Start => self.start(threads),
            }
        }
    }

    /// Each held writer can be released. The next writer can start if no other one is in `Writing`.
    fn choices(&self, phases: &[Phase]) -> Vec<Choice> {
        assert!(phases.len() >= self.tasks.len(), "each task has a writer");
        let held = (0..phases.len()).filter(|at| phases[*at] == Phase::Held);
        let mut choices: Vec<Choice> = held.map(Choice::Release).collect();
        if self.started < self.tasks.len() && !phases.contains(&Phase::Writing) {
            choices.push(Choice::Start);
        }
        choices
    }

    /// Starts the next writer.
    fn start<'scope>(&mut self, threads: &mut Threads<'scope, '_>)
    where
        'c: 'scope,
    {
        let (shared, writer, task) = (self.shared, self.started, &self.tasks[self.started]);
        debug_assert_eq!(shared.gate.phases()[writer], Phase::Idle, "a writer starts once");
        shared.gate.set(writer, Phase::Writing);
        threads.start(move || {
            shared.write(writer, task);
            Ok(())
        });
        self.started += 1;
        assert!(self.started <= self.tasks.len(), "each writer has a task");
    }

    fn ask(&mut self, request: Request) -> Result<(), String> {
        self.looks.extend(self.reader.ask(request)?);
        Ok(())
    }

    /// Waits for the reader and ends it.
    fn finish(mut self) -> Result<Vec<Look>, String> {
        self.looks.extend(self.reader.finish()?);
        Ok(self.looks)
    }
}
