//! The conductor of a round: it decides which writer starts or goes on, and has a reader look in between.

use std::thread;

use super::actors::{Help, Helper, Look, Stage, Task};
use super::failing::Failing;
use super::gate::Phase;
use crate::actors::Actors;
use crate::random::Random;

/// The threads of a round. Their results are in the answers of the stage and in the looks of the helper.
type Threads<'scope, 'env> = Actors<'scope, 'env, ()>;

/// Starts and releases writers in an order that follows from `random`, and looks in between.
pub(super) fn conduct(
    stage: &Stage,
    tasks: &[Task],
    failing: Failing,
    random: &Random,
) -> Result<Vec<Look>, String> {
    let stop = || stage.gate.open();
    thread::scope(|scope| {
        let mut threads = Actors::new(scope, &stop);
        let helper = Helper::start(&mut threads, stage);
        let is_armed = failing.mode.is_none();
        let mut conductor = Conductor {
            stage,
            tasks,
            failing,
            random,
            helper,
            looks: Vec::new(),
            started: 0,
            is_armed,
        };
        let conducted = conductor.steps(&mut threads);
        stage.gate.open();
        let looks = conducted.and_then(|()| conductor.finish());
        // The failure of a thread explains the failure of the conductor.
        threads.join()?;
        looks
    })
}

struct Conductor<'c> {
    stage: &'c Stage,
    tasks: &'c [Task],
    failing: Failing,
    random: &'c Random,
    helper: Helper,
    /// The looks so far.
    looks: Vec<Look>,
    /// Writers that were started: the first ones of `tasks`.
    started: usize,
    /// Whether the failure of a sync was planned, or none is wanted.
    is_armed: bool,
}

/// The next event that a writer can have.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// The next writer starts.
    Start,
    /// This writer goes on.
    Release(usize),
}

impl<'c> Conductor<'c> {
    /// Decides until every writer has returned.
    fn steps<'scope>(&mut self, threads: &mut Threads<'scope, '_>) -> Result<(), String>
    where
        'c: 'scope,
    {
        loop {
            self.stage.gate.wait_until_quiet()?;
            self.ask(Help::Look)?;
            let phases = self.stage.gate.phases();
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
                self.ask(Help::Job)?;
            }
            if !self.is_armed && self.random.one_in(3) {
                self.is_armed = true;
                self.stage.inject.arm(self.failing.plan(self.stage.inject.calls()));
            }
            match *self.random.pick(&choices) {
                Choice::Release(writer) => self.stage.gate.release(writer),
                Choice::Start => self.start(threads),
            }
        }
    }

    /// Each held writer can be released. The next writer can start if the one before has appended: then the order of
    /// their batches is known.
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
        let (stage, writer, task) = (self.stage, self.started, &self.tasks[self.started]);
        stage.gate.set(writer, Phase::Writing);
        threads.start(move || {
            stage.write(writer, task);
            Ok(())
        });
        self.started += 1;
    }

    fn ask(&mut self, help: Help) -> Result<(), String> {
        self.looks.extend(self.helper.ask(help)?);
        Ok(())
    }

    /// Waits for the helper and ends it.
    fn finish(mut self) -> Result<Vec<Look>, String> {
        self.looks.extend(self.helper.finish()?);
        Ok(self.looks)
    }
}
