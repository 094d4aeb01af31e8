//! Running one phase: threads over streams, a sweep, or a reopening.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kv::{Durability, KeyRange, Kv};

use super::measured::Measured;
use super::prepare::{Clients, PreparedPhase};
use crate::dataset::{Copied, Dataset};
use crate::failure::{Failure, Outcome};
use crate::operation::Step;
use crate::operation_loop::Client;
use crate::recorder::{Line, Recorder};
use crate::workload::SweepDirection;

/// Entries that a sweep reads between two looks at the clock.
const SWEEP_STRETCH: usize = 1_000;
/// Longer than any phase: no limit.
const NO_LIMIT: Duration = Duration::from_hours(24);

/// The part of a phase that all ways of running it share.
#[derive(Clone, Copy)]
pub(super) struct PhaseRunner<'c> {
    /// The engine under test.
    pub(super) engine: &'c dyn Kv,
    /// Keys, values, expectations.
    pub(super) dataset: &'c Dataset,
    /// The promise that writes ask for.
    pub(super) durability: Durability,
    /// The rest of the cell's time, for this phase.
    pub(super) cap: Option<Duration>,
}

impl PhaseRunner<'_> {
    /// Runs the streams of a phase, each on its own thread.
    pub(super) fn clients(&self, phase: &PreparedPhase, clients: &Clients) -> Outcome<Measured> {
        let stop = AtomicBool::new(false);
        let wanted = phase.duration.unwrap_or(NO_LIMIT);
        let allowed = self.cap.map_or(wanted, |cap| cap.min(wanted));
        let threads = clients.steps.len() as u32;
        assert!(threads > 0, "a phase has a thread");
        let begun = Instant::now();
        let client = |thread: usize, steps| Client {
            engine: self.engine,
            dataset: self.dataset,
            steps,
            latest: clients.latest,
            prefix_bytes: clients.prefix_bytes,
            durability: self.durability,
            thread: thread as u32,
            threads: threads + u32::from(clients.background.is_some()),
            first_new: self.dataset.model.in_use(),
            batch: phase.batch,
            max_steps: phase.max_steps,
            until: begun + allowed,
            stop: &stop,
        };
        let main: Vec<_> =
            clients.steps.iter().enumerate().map(|(at, steps)| client(at, steps)).collect();
        let background = clients.background.as_ref().map(|steps: &Vec<Step>| Client {
            max_steps: u64::MAX,
            batch: 1,
            latest: false,
            ..client(clients.steps.len(), steps)
        });
        let (recorder, background) = run_all(&main, background, &stop)?;
        let elapsed = begun.elapsed();
        let mut measured = Measured::from_clients(&recorder, background.as_ref(), threads);
        let reached = measured.total.ops >= phase.max_steps.saturating_mul(u64::from(threads));
        measured.cut_short = self.cap.is_some_and(|cap| cap < wanted && elapsed >= cap) && !reached;
        Ok(measured)
    }

    /// Reads everything with one cursor. The clock stands still while entries are checked.
    pub(super) fn sweep(&self, direction: SweepDirection) -> Outcome<Measured> {
        let mut line = Line::new("all");
        let mut copied = Copied::default();
        let started = Instant::now();
        let mut cursor = self.engine.scan(KeyRange::all())?;
        line.busy += started.elapsed();
        let mut previous: Option<Vec<u8>> = None;
        let mut more = true;
        while more {
            copied.clear();
            let started = Instant::now();
            while more && copied.len() < SWEEP_STRETCH {
                more = match direction {
                    SweepDirection::Forward => cursor.next()?,
                    SweepDirection::Backward => cursor.prev()?,
                };
                if more {
                    let (key, value) = cursor.entry()?;
                    copied.push(key, value);
                }
            }
            line.busy += started.elapsed();
            line.ops += copied.len() as u64;
            line.bytes_read += copied.byte_count();
            check_stretch(self.dataset, &copied, direction, &mut previous)?;
        }
        line.entries = line.ops;
        line.verified = line.ops;
        let present = self.dataset.model.present_ids().count() as u64;
        if line.ops != present {
            return Err(Failure::wrong_data(format!(
                "a sweep found {} entries where {present} are present",
                line.ops
            )));
        }
        Ok(Measured::from_line(line))
    }
}

fn check_stretch(
    dataset: &Dataset,
    copied: &Copied,
    direction: SweepDirection,
    previous: &mut Option<Vec<u8>>,
) -> Outcome<()> {
    for (key, value) in copied.entries() {
        let (id, version) = dataset.check_entry(key, value)?;
        let in_order = previous.as_deref().is_none_or(|previous| match direction {
            SweepDirection::Forward => previous < key,
            SweepDirection::Backward => previous > key,
        });
        let state = dataset.model.acked(id);
        if !in_order || !state.is_present() || state.version() != version {
            let what = if in_order { "with an old value" } else { "out of order" };
            return Err(Failure::wrong_data(format!(
                "a sweep found key \"{}\" {what}",
                key.escape_ascii()
            )));
        }
        *previous = Some(key.to_vec());
    }
    Ok(())
}

fn run_all(
    main: &[Client<'_>],
    background: Option<Client<'_>>,
    stop: &AtomicBool,
) -> Outcome<(Recorder, Option<Recorder>)> {
    let guarded = |client: &Client<'_>| {
        let result = client.run();
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        result
    };
    if let ([only], None) = (main, background) {
        return guarded(only).map(|recorder| (recorder, None));
    }
    std::thread::scope(|scope| {
        let background = background.map(|client| scope.spawn(move || guarded(&client)));
        let threads: Vec<_> =
            main.iter().map(|client| scope.spawn(move || guarded(client))).collect();
        let results: Vec<_> = threads.into_iter().map(join).collect();
        stop.store(true, Ordering::Relaxed);
        let background = background.map(join).transpose()?;
        let mut total = Recorder::new();
        for result in results {
            total.add(&result?);
        }
        Ok((total, background))
    })
}

fn join(thread: std::thread::ScopedJoinHandle<'_, Outcome<Recorder>>) -> Outcome<Recorder> {
    thread.join().unwrap_or_else(|_| Err(Failure::engine("a thread panicked")))
}
