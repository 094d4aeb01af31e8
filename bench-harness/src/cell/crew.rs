//! The clients of a phase: made, warmed up, and run window after window.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use kv::{Durability, Kv};

use super::clients::Clients;
use super::prepare::PreparedPhase;
use super::series::Series;
use crate::client::{Client, Desk, Span, Stopwatch, Walk};
use crate::dataset::Dataset;
use crate::engines::Idle;
use crate::failure::{Failure, Outcome};
use crate::judge::{Judge, Part};
use crate::model::Model;
use crate::recorder::Recorder;
use crate::system::CpuTime;

/// Longer than any phase: no limit.
const NO_LIMIT: Duration = Duration::from_hours(24);
/// The most time that is spent on measuring the loop by itself.
const LOOP_TIME: Duration = Duration::from_millis(3);
/// The most operations for the same.
const LOOP_OPS: u32 = 20_000;

/// All clients of a phase.
pub(super) struct Crew<'c> {
    clients: Vec<Client<'c>>,
    /// How many of them count; one more runs in the background if there is a background.
    main: usize,
    /// The most operations of a window, for each client.
    window_ops: u32,
    has_schedule: bool,
    /// When the time for the phase is over, whatever it has done.
    deadline: Option<Instant>,
}

/// The measurements of a crew.
pub(super) struct CrewTimes<'r> {
    /// The clients that count.
    pub(super) main: &'r Recorder,
    /// The client in the background.
    pub(super) background: Option<&'r Recorder>,
    /// Time from the first call to the end of the last, without pauses.
    pub(super) wall: Duration,
    /// Time of the pauses in which full windows were judged.
    pub(super) paused: Duration,
    /// CPU time of the process, without pauses.
    pub(super) cpu: CpuTime,
    /// How the operations spread over the time.
    pub(super) series: Series,
    /// Operations of the schedule that were due and had not begun.
    pub(super) missed_ops: u64,
    /// Whether the deadline or a lack of new keys ended the phase.
    pub(super) cut_short: bool,
}

/// What all clients of a cell have in common.
#[derive(Clone, Copy)]
pub(super) struct Ground<'c> {
    /// The engine under test.
    pub(super) engine: &'c dyn Kv,
    /// Keys and payloads.
    pub(super) dataset: &'c Dataset,
    /// The promise that writes ask for.
    pub(super) durability: Durability,
}

impl<'c> Crew<'c> {
    /// The crew of `phase`, which goes on from `model`.
    pub(super) fn new(
        ground: Ground<'c>,
        phase: &PreparedPhase,
        clients: &'c Clients,
        model: &Model,
        deadline: Option<Instant>,
    ) -> Self {
        let main = clients.steps.len();
        assert!(main > 0, "a phase has a thread");
        let threads = (main + usize::from(clients.background.is_some())) as u32;
        let versions_left = (u32::MAX >> 1) - model.newest_version();
        let client = |(thread, steps): (usize, &'c Vec<_>)| Client {
            engine: ground.engine,
            dataset: ground.dataset,
            steps,
            walk: Walk {
                thread: thread as u32,
                threads,
                latest: clients.latest && thread < main,
                first_new: model.in_use(),
                capacity: model.capacity(),
                base_version: model.newest_version(),
                ..Walk::default()
            },
            prefix_bytes: clients.prefix_bytes,
            durability: ground.durability,
            batch: if thread < main { phase.batch } else { 1 },
            max_steps: if thread < main {
                phase.max_steps.min(versions_left)
            } else {
                versions_left
            },
            watch: Stopwatch::new(clients.stride, clients.arrivals.get(thread).cloned()),
            is_done: false,
            is_out_of_keys: false,
        };
        let all = clients.steps.iter().chain(&clients.background).enumerate();
        Self {
            clients: all.map(client).collect(),
            main,
            window_ops: clients.window_ops,
            has_schedule: !clients.arrivals.is_empty(),
            deadline,
        }
    }

    /// The time that the loop takes for an operation, in nanoseconds, measured on an engine that does nothing and returns
    /// values of `value_bytes`: that of the clients that count, and that of the background client.
    pub(super) fn loop_times(
        &self,
        desk: &mut Desk,
        value_bytes: u32,
    ) -> Outcome<(f64, Option<f64>)> {
        let main = self.loop_ns(&self.clients[0], desk, value_bytes)?;
        let background = self.clients.get(self.main);
        let background = background.map(|client| self.loop_ns(client, desk, value_bytes));
        Ok((main, background.transpose()?))
    }

    /// The same for the first operations of `client`.
    fn loop_ns(&self, client: &Client<'c>, desk: &mut Desk, value_bytes: u32) -> Outcome<f64> {
        let idle = Idle::new(value_bytes as usize);
        let stride = client.watch.stride();
        let mut client = Client {
            engine: &idle,
            watch: Stopwatch::new(stride, None),
            max_steps: LOOP_OPS,
            is_done: false,
            ..client.clone()
        };
        let span = Span::new(Instant::now() + LOOP_TIME);
        client.run(desk, &span, self.window_ops.min(LOOP_OPS))?;
        let window = &desk.window;
        let time = window.ended.duration_since(window.begun);
        Ok(time.as_nanos() as f64 / f64::from(window.ops.max(1)))
    }

    /// Runs for `time`, judges the answers and forgets the measurements.
    pub(super) fn warm_up(
        &mut self,
        time: Duration,
        desks: &mut [Desk],
        recorders: &mut [Recorder],
        judge: &mut Judge<'_>,
    ) -> Outcome<()> {
        self.measure(Some(time), desks, recorders, judge)?;
        self.clients.iter_mut().for_each(|client| client.is_done = false);
        Ok(())
    }

    /// Runs until `time` is over or every client has taken its steps, judges the answers, and leaves the measurements in
    /// `recorders`.
    pub(super) fn measure<'r>(
        &mut self,
        time: Option<Duration>,
        desks: &mut [Desk],
        recorders: &'r mut [Recorder],
        judge: &mut Judge<'_>,
    ) -> Outcome<CrewTimes<'r>> {
        let begun = Instant::now();
        let wanted = time.unwrap_or(NO_LIMIT);
        assert!(recorders.len() >= self.clients.len(), "each client has a recorder");
        let recorders = &mut recorders[..self.clients.len()];
        recorders.iter_mut().for_each(Recorder::restart);
        let mut wall = Duration::ZERO;
        let mut cpu = CpuTime::default();
        let mut series = Series::default();
        let mut missed_ops = 0;
        loop {
            let until = Instant::now() + wanted.saturating_sub(wall);
            let until = self.deadline.map_or(until, |deadline| deadline.min(until));
            let before = CpuTime::now();
            self.run_window(desks, &Span::new(until))?;
            cpu = cpu + CpuTime::now().since(before);
            let parts = self.parts(desks);
            judge.judge(&parts, recorders)?;
            for (part, recorder) in parts.iter().zip(recorders.iter_mut()) {
                recorder.take(part.window, self.has_schedule);
            }
            series.add(wall, parts[..self.main].iter().map(|part| part.window));
            wall += window_time(&parts[..self.main]);
            let clients = self.clients.iter().zip(&parts);
            missed_ops += clients.map(|(c, part)| part.window.missed * c.batch as u64).sum::<u64>();
            if self.clients[..self.main].iter().all(|client| client.is_done) {
                break;
            }
        }
        let counted = &self.clients[..self.main];
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let has_steps = |client: &Client<'_>| client.walk.taken < client.max_steps;
        let is_cut = is_late && wall < wanted && counted.iter().any(has_steps);
        let cut_short = is_cut || counted.iter().any(|client| client.is_out_of_keys);
        let (main, background) = recorders.split_at_mut(self.main);
        let (first, others) = main.split_at_mut(1);
        for other in others.iter() {
            first[0].add(other);
        }
        let (main, background) = (&first[0], background.first());
        let paused = begun.elapsed().saturating_sub(wall);
        Ok(CrewTimes { main, background, wall, paused, cpu, series, missed_ops, cut_short })
    }

    fn parts<'d>(&self, desks: &'d [Desk]) -> Vec<Part<'d>>
    where
        'c: 'd,
    {
        let part = |(client, desk): (&Client<'c>, &'d Desk)| Part {
            steps: client.steps,
            window: &desk.window,
            prefix_bytes: client.prefix_bytes,
        };
        self.clients.iter().zip(desks).map(part).collect()
    }

    /// Runs all clients until the first of them has to stop for a reason that all share.
    fn run_window(&mut self, desks: &mut [Desk], span: &Span) -> Outcome<()> {
        let (room, main) = (self.window_ops, self.main);
        if let [only] = &mut self.clients[..] {
            return only.run(&mut desks[0], span, room);
        }
        let start = &Barrier::new(self.clients.len());
        std::thread::scope(|scope| {
            let run = |(client, desk): (&'_ mut Client<'c>, &'_ mut Desk)| {
                run_together(client, desk, span, room, start)
            };
            let mut threads: Vec<_> = self
                .clients
                .iter_mut()
                .zip(desks)
                .map(|pair| scope.spawn(move || run(pair)))
                .collect();
            let background = threads.split_off(main);
            let results: Vec<_> = threads.into_iter().map(join).collect();
            span.end();
            let background = background.into_iter().map(join);
            results.into_iter().chain(background).collect()
        })
    }
}

/// One client of several. One that ends for another reason than its own steps or the time ends the window for all.
fn run_together(
    client: &mut Client<'_>,
    desk: &mut Desk,
    span: &Span,
    room: u32,
    start: &Barrier,
) -> Outcome<()> {
    start.wait();
    if client.is_done {
        desk.window.restart(client.walk, 0);
        return Ok(());
    }
    let result = client.run(desk, span, room);
    if result.is_err() || !client.is_done {
        span.end();
    }
    result
}

/// From the first begin to the last end.
fn window_time(parts: &[Part<'_>]) -> Duration {
    let begun = parts.iter().map(|part| part.window.begun).min();
    let ended = parts.iter().map(|part| part.window.ended).max();
    begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended.duration_since(begun))
}

fn join(thread: std::thread::ScopedJoinHandle<'_, Outcome<()>>) -> Outcome<()> {
    thread.join().unwrap_or_else(|_| Err(Failure::engine("a thread panicked")))
}
