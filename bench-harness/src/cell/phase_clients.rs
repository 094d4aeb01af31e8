//! The clients of a phase: made, warmed up, and run window after window.

use std::time::{Duration, Instant};

use kv::{Durability, Kv};

use super::ops_over_time::OpsOverTime;
use super::phase_streams::PhaseStreams;
use super::prepare::PreparedPhase;
use super::settle::{EngineWork, WorkMeter};
use super::window_run::{run_window, window_time};
use crate::client::{CallTimer, Client, ClientBuffers, StreamPosition, WindowEnd};
use crate::dataset::Dataset;
use crate::engines::NullEngine;
use crate::failure::Outcome;
use crate::judge::{Judge, Part};
use crate::model::Model;
use crate::operation::Step;
use crate::process_counters::CpuTime;
use crate::recorder::Recorder;

/// Longer than any phase: no limit.
const NO_LIMIT: Duration = Duration::from_hours(24);
/// The most time that is spent on measuring the loop by itself.
const LOOP_TIME: Duration = Duration::from_millis(3);
/// The most operations for the same.
const LOOP_OPS: u32 = 20_000;

/// All clients of a phase.
pub(super) struct PhaseClients<'c> {
    clients: Vec<Client<'c>>,
    /// The clients whose operations count come first; the client of the background follows them, if there is one.
    counted: usize,
    /// The most operations of a window, for each client.
    window_ops: u32,
    has_schedule: bool,
    /// When the time for the phase is over, whatever it has done.
    deadline: Option<Instant>,
}

/// The measurements of the clients of a phase: operations, times and the reason of its end.
pub(super) struct PhaseTimes<'r> {
    /// The clients whose operations count.
    pub(super) counted: &'r Recorder,
    /// The client in the background.
    pub(super) background: Option<&'r Recorder>,
    /// Time from the first call to the end of the last, without pauses.
    pub(super) wall: Duration,
    /// Time of the pauses in which full windows were judged.
    pub(super) paused: Duration,
    /// CPU time of the process, without pauses.
    pub(super) cpu: CpuTime,
    /// Work of the engine's threads in pauses before the last one.
    pub(super) work_in_pauses: EngineWork,
    /// How the operations spread over the time.
    pub(super) ops_over_time: OpsOverTime,
    /// Operations of the schedule that were due and had not begun.
    pub(super) missed_ops: u64,
    /// Whether the deadline or a lack of new keys ended the phase.
    pub(super) cut_short: bool,
}

/// The engine that all clients of a phase call, with the data and the class that they call it with.
#[derive(Clone, Copy)]
pub(super) struct Target<'c> {
    /// The engine under test.
    pub(super) engine: &'c dyn Kv,
    /// Keys and payloads.
    pub(super) dataset: &'c Dataset,
    /// The durability class that writes ask for.
    pub(super) durability: Durability,
}

/// The sums over the windows of a phase so far.
#[derive(Default)]
struct WindowSums {
    wall: Duration,
    cpu: CpuTime,
    work_in_pauses: EngineWork,
    /// Operations of the clients that count.
    ops: u64,
    /// Time after the last window until the engine had settled.
    settling: Duration,
    ops_over_time: OpsOverTime,
    missed_ops: u64,
    /// Whether the deadline had passed when the last window ended.
    is_late: bool,
}

impl<'c> PhaseClients<'c> {
    /// The clients of `phase`, whose writes follow those that `model` knows.
    pub(super) fn new(
        target: Target<'c>,
        phase: &PreparedPhase,
        streams: &'c PhaseStreams,
        model: &Model,
        deadline: Option<Instant>,
    ) -> Self {
        let counted = streams.steps.len();
        assert!(counted > 0, "a phase has a thread");
        let all = streams.all_steps().enumerate();
        let client = |(thread, steps)| new_client(target, phase, streams, model, (thread, steps));
        let clients: Vec<_> = all.map(client).collect();
        assert_eq!(clients.len(), streams.threads(), "each stream has a client");
        Self {
            clients,
            counted,
            window_ops: streams.window_ops,
            has_schedule: !streams.arrivals.is_empty(),
            deadline,
        }
    }

    /// The time that the loop takes for an operation, in nanoseconds, measured on an engine that does nothing and returns
    /// values of `value_bytes`: that of the clients that count, and that of the background client.
    pub(super) fn loop_times(
        &self,
        buffers: &mut ClientBuffers,
        value_bytes: u32,
    ) -> Outcome<(f64, Option<f64>)> {
        let counted = self.loop_ns(&self.clients[0], buffers, value_bytes)?;
        let background = self.clients.get(self.counted);
        let background = background.map(|client| self.loop_ns(client, buffers, value_bytes));
        Ok((counted, background.transpose()?))
    }

    /// The same for the first operations of `client`: the faster of two runs, because the first one meets cold caches.
    fn loop_ns(
        &self,
        client: &Client<'c>,
        buffers: &mut ClientBuffers,
        value_bytes: u32,
    ) -> Outcome<f64> {
        let first = self.loop_ns_once(client, buffers, value_bytes)?;
        Ok(first.min(self.loop_ns_once(client, buffers, value_bytes)?))
    }

    fn loop_ns_once(
        &self,
        client: &Client<'c>,
        buffers: &mut ClientBuffers,
        value_bytes: u32,
    ) -> Outcome<f64> {
        let null_engine = NullEngine::new(value_bytes as usize);
        let stride = client.timer.stride();
        let mut client = Client {
            engine: &null_engine,
            timer: CallTimer::new(stride, None),
            max_steps: LOOP_OPS,
            is_done: false,
            ..client.clone()
        };
        let window_end = WindowEnd::new(Instant::now() + LOOP_TIME);
        client.run(buffers, &window_end, self.window_ops.min(LOOP_OPS))?;
        let window = &buffers.window;
        let time = window.ended.duration_since(window.begun);
        let loop_ns = time.as_nanos() as f64 / f64::from(window.ops.max(1));
        assert!(loop_ns.is_finite() && loop_ns >= 0.0, "{loop_ns} is a time");
        Ok(loop_ns)
    }

    /// Runs for `time`, judges the answers and forgets the measurements. Returns its wall time: longer than `time` where a call
    /// takes longer than that.
    ///
    /// Nobody waits for the engine after it. The measured time begins with the work that the warm-up has put off, and ends with
    /// its own: it is a part of a longer stream, and putting work off gains nothing.
    pub(super) fn warm_up(
        &mut self,
        time: Duration,
        all_buffers: &mut [ClientBuffers],
        recorders: &mut [Recorder],
        judge: &mut Judge<'_>,
    ) -> Outcome<Duration> {
        let times = self.measure(Some(time), all_buffers, (recorders, judge), &mut |_| Ok(()))?;
        let wall = times.wall;
        self.clients.iter_mut().for_each(|client| client.is_done = false);
        Ok(wall)
    }

    /// Runs until `time` is over or every client has taken its steps, judges the answers, and leaves the measurements in
    /// `recorders`. `settle` is called with the phase's wall time when the last window has ended, before it is judged.
    pub(super) fn measure<'r>(
        &mut self,
        time: Option<Duration>,
        all_buffers: &mut [ClientBuffers],
        (recorders, judge): (&'r mut [Recorder], &mut Judge<'_>),
        settle: &mut dyn FnMut(Duration) -> Outcome<()>,
    ) -> Outcome<PhaseTimes<'r>> {
        let begun = Instant::now();
        let wanted = time.unwrap_or(NO_LIMIT);
        assert!(recorders.len() >= self.clients.len(), "each client has a recorder");
        assert!(all_buffers.len() >= self.clients.len(), "each client has buffers");
        let recorders = &mut recorders[..self.clients.len()];
        recorders.iter_mut().for_each(Recorder::restart);
        let mut sums = WindowSums::default();
        let mut is_last = false;
        while !is_last {
            let judging = (&mut *recorders, &mut *judge);
            is_last = self.measure_window(wanted, all_buffers, judging, settle, &mut sums)?;
        }
        let elapsed = begun.elapsed();
        assert!(sums.wall + sums.settling <= elapsed, "windows and the wait follow each other");
        let paused = elapsed.saturating_sub(sums.wall + sums.settling);
        assert!(sums.work_in_pauses.time <= paused, "work in pauses is a part of them");
        let cut_short = self.is_cut_short(&sums, wanted);
        let (counted, background) = recorders.split_at_mut(self.counted);
        let (first, others) = counted.split_at_mut(1);
        for other in &*others {
            first[0].add(other);
        }
        assert_eq!(first[0].ops(), sums.ops, "the judge counts what the clients made");
        assert_eq!(sums.ops_over_time.ops(), sums.ops, "each operation has its moment");
        Ok(PhaseTimes {
            counted: &first[0],
            background: background.first(),
            wall: sums.wall,
            paused,
            cpu: sums.cpu,
            work_in_pauses: sums.work_in_pauses,
            ops_over_time: sums.ops_over_time,
            missed_ops: sums.missed_ops,
            cut_short,
        })
    }

    /// Runs all clients for one window, judges it and adds it to `sums`. Returns whether it was the last one.
    fn measure_window(
        &mut self,
        wanted: Duration,
        all_buffers: &mut [ClientBuffers],
        (recorders, judge): (&mut [Recorder], &mut Judge<'_>),
        settle: &mut dyn FnMut(Duration) -> Outcome<()>,
        sums: &mut WindowSums,
    ) -> Outcome<bool> {
        let until = Instant::now() + wanted.saturating_sub(sums.wall);
        let window_end =
            WindowEnd::new(self.deadline.map_or(until, |deadline| deadline.min(until)));
        let before = CpuTime::now();
        run_window(&mut self.clients, self.counted, all_buffers, &window_end, self.window_ops)?;
        sums.cpu = sums.cpu + CpuTime::now().since(before);
        let parts = self.parts(all_buffers);
        let counted = &parts[..self.counted];
        let is_last = self.clients[..self.counted].iter().all(|client| client.is_done);
        // The wait for rest is no part of the phase.
        sums.is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_last {
            let settled = Instant::now();
            settle(sums.wall + window_time(counted))?;
            sums.settling = settled.elapsed();
        }
        let pause = WorkMeter::begin();
        judge.check_window(&parts, recorders)?;
        for (part, recorder) in parts.iter().zip(recorders.iter_mut()) {
            recorder.add_window(part.window, self.has_schedule);
        }
        sums.ops_over_time.add(sums.wall, counted.iter().map(|part| part.window));
        sums.wall += window_time(counted);
        sums.ops += counted.iter().map(|part| u64::from(part.window.ops)).sum::<u64>();
        let clients = self.clients.iter().zip(&parts);
        let missed = clients.map(|(client, part)| part.window.missed * client.batch as u64);
        sums.missed_ops += missed.sum::<u64>();
        if !is_last {
            sums.work_in_pauses += pause.so_far();
        }
        Ok(is_last)
    }

    /// Whether the deadline or a lack of new keys ended the phase, which was to run for `wanted`.
    fn is_cut_short(&self, sums: &WindowSums, wanted: Duration) -> bool {
        let counted = &self.clients[..self.counted];
        let has_steps = |client: &Client<'_>| client.position.taken < client.max_steps;
        let is_cut = sums.is_late && sums.wall < wanted && counted.iter().any(has_steps);
        is_cut || counted.iter().any(|client| client.is_out_of_keys)
    }

    fn parts<'d>(&self, all_buffers: &'d [ClientBuffers]) -> Vec<Part<'d>>
    where
        'c: 'd,
    {
        let part = |(client, buffers): (&Client<'c>, &'d ClientBuffers)| Part {
            steps: client.steps,
            window: &buffers.window,
            prefix_bytes: client.prefix_bytes,
        };
        self.clients.iter().zip(all_buffers).map(part).collect()
    }
}

/// The client of the thread with this number and these steps. Threads from `streams.steps.len()` on run in the background.
fn new_client<'c>(
    target: Target<'c>,
    phase: &PreparedPhase,
    streams: &'c PhaseStreams,
    model: &Model,
    (thread, steps): (usize, &'c Vec<Step>),
) -> Client<'c> {
    assert!(!steps.is_empty(), "a client has steps");
    let is_counted = thread < streams.steps.len();
    let versions_left = (u32::MAX >> 1) - model.newest_version();
    let position = StreamPosition {
        thread: thread as u32,
        threads: streams.threads() as u32,
        latest: streams.latest && is_counted,
        first_new: model.in_use(),
        capacity: model.capacity(),
        base_version: model.newest_version(),
        ..StreamPosition::default()
    };
    Client {
        engine: target.engine,
        dataset: target.dataset,
        steps,
        position,
        prefix_bytes: streams.prefix_bytes,
        durability: target.durability,
        batch: if is_counted { phase.batch } else { 1 },
        max_steps: if is_counted { phase.max_steps.min(versions_left) } else { versions_left },
        timer: CallTimer::new(streams.stride, streams.arrivals.get(thread).cloned()),
        is_done: false,
        is_out_of_keys: false,
    }
}
