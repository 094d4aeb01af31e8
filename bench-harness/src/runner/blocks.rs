//! The blocks of a run: which cells run, in which order, with how much time, and which run once more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cell::Job;
use crate::disk_outliers;
use crate::engines::Registration;
use crate::failure::Outcome;
use crate::memory_limit::CgroupFactory;
use crate::output::{self, Progress};
use crate::plan::Plan;
use crate::random::Random;
use crate::row::Row;
use crate::run_clock::RunClock;
use crate::run_folder::RunFolder;
use crate::stores::{self, Stores};
use crate::supervisor::{Interrupt, run_cell};
use crate::suspend;
use crate::workload::Workload;

/// A cell may take this much more than its share of the time that is left: engines differ.
const CELL_SLACK: f64 = 2.0;
/// The least time limit of a cell, so that a run out of time still ends its workload.
const LEAST_LIMIT: Duration = Duration::from_millis(40);
/// Keeps the shuffle of engines apart from every other random stream.
const SHUFFLE: u64 = 0x73_68_75_66;

/// Runs the cells of a plan one after the other and divides the time among them.
struct CellRunner<'r> {
    plan: &'r Plan,
    cgroups: Option<&'r CgroupFactory>,
    interrupt: &'r Interrupt,
    progress: Progress,
    clock: RunClock,
}

/// Runs the blocks of `plan`. The rows of a workload go to `folder` and to `rows` when its cells in a block have ended.
pub(super) fn run_blocks(
    plan: &Plan,
    (cgroups, interrupt): (Option<&CgroupFactory>, &Interrupt),
    folder: &mut RunFolder,
    rows: &mut Vec<Row>,
    clock: RunClock,
) -> Outcome<()> {
    let out = plan.folder.parent().unwrap_or_else(|| Path::new("."));
    stores::remove_left_over(out, plan.dir.as_deref());
    let stores = Stores::create(&plan.stores())?;
    let progress = Progress::new(plan.quiet);
    let mut runner = CellRunner { plan, cgroups, interrupt, progress, clock };
    for block in 1..=plan.blocks {
        for at in 0..plan.workloads.len() {
            // A workload that would be cut to nothing is not run, but for the first one.
            let is_over = plan.budget.is_some_and(|budget| clock.elapsed() >= budget);
            if is_over && (block, at) != (1, 0) {
                output::note(&time_is_up(plan, block, at));
                return Ok(());
            }
            let jobs = jobs(plan, block, at, stores.path());
            let mut cells = Vec::new();
            let outcome = run_cells(&jobs, &mut |job| runner.run(at, job), &mut cells);
            // An interrupt or a failure keeps the cells that have ended.
            for measured in cells {
                folder.append(&measured)?;
                rows.extend(measured);
            }
            outcome?;
        }
    }
    Ok(())
}

impl CellRunner<'_> {
    /// Runs `job`, a cell of the workload at `at` of the plan, within its share of the time that is left.
    fn run(&mut self, at: usize, job: &Job) -> Outcome<Vec<Row>> {
        let title = format!("block {}/{}", job.block, self.plan.blocks);
        let spent = self.clock.elapsed();
        let detail = format!("{spent:.0?}  {}  {}", job.workload_name, job.engine);
        self.progress.show(&title, &detail);
        let share = share_of_rest(self.plan, at, job);
        let job = Job { time_limit: cell_time_limit(self.plan, spent, share), ..job.clone() };
        let progress = &mut self.progress;
        let on_check =
            &mut || progress.show(&title, &format!("{detail}  opened again after a kill"));
        run_undisturbed(suspend::stop_count, || {
            run_cell(&job, self.cgroups, self.interrupt, on_check)
        })
    }
}

/// Runs a cell with `run`; once more as long as `stop_count` says that the user stopped the process meanwhile, because the
/// clocks of the cell went on.
fn run_undisturbed(
    stop_count: impl Fn() -> u64,
    mut run: impl FnMut() -> Outcome<Vec<Row>>,
) -> Outcome<Vec<Row>> {
    loop {
        let stops = stop_count();
        let rows = run()?;
        if stop_count() == stops {
            return Ok(rows);
        }
    }
}

/// The note that the run ends before the workload at `at` of `block`.
fn time_is_up(plan: &Plan, block: u32, at: usize) -> String {
    let (blocks, workloads) = (plan.blocks, plan.workloads.len());
    format!(
        "the time is up: {} of {blocks} blocks are whole; block {block} has {at} of {workloads} workloads",
        block - 1
    )
}

/// Runs the cells of one workload in one block. A cell runs once more if the disk speed changed during one of its phases. At
/// the end, a cell runs once more if its disk speed differs from that of most others. The last rows of a cell count, unless the
/// time was up for these alone.
fn run_cells(
    jobs: &[Job],
    run: &mut dyn FnMut(&Job) -> Outcome<Vec<Row>>,
    cells: &mut Vec<Vec<Row>>,
) -> Outcome<()> {
    let mut is_repeated = vec![false; jobs.len()];
    for (at, job) in jobs.iter().enumerate() {
        let mut rows = run(job)?;
        if rows.iter().any(Row::disk_speed_changed) {
            is_repeated[at] = true;
            rows = better(rows, run(job)?);
        }
        cells.push(rows);
    }
    assert_eq!(cells.len(), jobs.len(), "every engine has a cell");
    for at in disk_outliers::find(cells) {
        if !is_repeated[at] {
            let again = run(&jobs[at])?;
            let first = std::mem::take(&mut cells[at]);
            cells[at] = better(first, again);
        }
    }
    Ok(())
}

/// The rows that count of a cell that ran twice: those of the second run, unless the time limit cut that one alone short.
fn better(first: Vec<Row>, second: Vec<Row>) -> Vec<Row> {
    let is_cut = |rows: &[Row]| rows.iter().any(|row| row.cut_short);
    if is_cut(&second) && !is_cut(&first) { first } else { second }
}

/// The jobs of the workload at `at` in the plan, one for each engine, in the order in which they run in `block`.
fn jobs(plan: &Plan, block: u32, at: usize, stores: &Path) -> Vec<Job> {
    let (name, workload) = &plan.workloads[at];
    let mut engines = plan.engines.clone();
    Random::new(plan.seed, &[SHUFFLE, u64::from(block), at as u64]).shuffle(&mut engines);
    assert_eq!(engines.len(), plan.engines.len(), "each engine runs once");
    let first = (at * engines.len()) as u32 + 1;
    let in_order = |(order, engine): (u32, Registration)| Job {
        directory: stores.join(format!("{block}-{order}")),
        ..new_job(plan, name, workload, engine.name, (block, order))
    };
    (first..).zip(engines).map(in_order).collect()
}

/// The part of `job`, a cell of the workload at `at`, in the estimated time of it and all cells that follow in the plan. A
/// cell that runs once more has the same part again: those that follow still need theirs.
fn share_of_rest(plan: &Plan, at: usize, job: &Job) -> f64 {
    let engines = plan.engines.len();
    let cell_s = plan.estimated_cell_s(at);
    let of_workload = |at| plan.estimated_cell_s(at) * engines as f64;
    let block_s: f64 = (0..plan.workloads.len()).map(of_workload).sum();
    let later_workloads_s: f64 = (at + 1..plan.workloads.len()).map(of_workload).sum();
    // Positions count over all workloads of a block.
    let position = job.order as usize - at * engines;
    assert!((1..=engines).contains(&position), "the cell is one of its workload");
    let here_s = cell_s * (engines + 1 - position) as f64;
    let rest_s = here_s + later_workloads_s + block_s * f64::from(plan.blocks - job.block);
    assert!(cell_s > 0.0 && rest_s >= cell_s, "each cell takes time");
    cell_s / rest_s
}

/// The time that the next cell may take: its share of the time that is left, and some more.
fn cell_time_limit(plan: &Plan, spent: Duration, share: f64) -> Option<Duration> {
    assert!(share > 0.0 && share <= 1.0, "a cell is a part of the run");
    let left = plan.budget?.saturating_sub(spent);
    Some(left.mul_f64((CELL_SLACK * share).min(1.0)).max(LEAST_LIMIT))
}

/// The job of a cell, without a directory and without a time limit.
fn new_job(
    plan: &Plan,
    name: &str,
    workload: &Workload,
    engine: &str,
    (block, order): (u32, u32),
) -> Job {
    Job {
        run_id: plan.run_id.clone(),
        block,
        order,
        engine: engine.into(),
        workload_name: name.into(),
        workload: workload.clone(),
        seed: plan.seed,
        durability: plan.durability.to_string(),
        rate: plan.rate,
        memory_budget_bytes: plan.memory_budget_bytes,
        limit_memory_bytes: plan.limit_memory_bytes,
        directory: PathBuf::new(),
        time_limit: None,
        stream_steps: plan.stream_steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the cells of some engines, each with the sync times of the disk before and after it, one pair a run. Returns how
    /// often each cell ran, and the last sync time of the rows that were kept.
    fn run_beside_disks(times: &[&[(f64, f64)]]) -> Vec<(usize, f64)> {
        let plan = Plan::quick(&crate::engines::own(), &common()).unwrap();
        let job = |engine: usize| Job {
            order: engine as u32,
            ..new_job(&plan, "w", &plan.workloads[0].1, "memory", (1, 0))
        };
        let jobs: Vec<_> = (0..times.len()).map(job).collect();
        let mut runs = vec![0; times.len()];
        let mut run = |job: &Job| {
            let engine = job.order as usize;
            let (before, after) = times[engine][runs[engine]];
            runs[engine] += 1;
            let (probe_before_ns, probe_after_ns) = (Some(before), Some(after));
            Ok(vec![Row { probe_before_ns, probe_after_ns, ..Row::default() }])
        };
        let mut cells = Vec::new();
        run_cells(&jobs, &mut run, &mut cells).unwrap();
        let kept = cells.iter().map(|rows| rows[0].probe_after_ns.unwrap());
        runs.into_iter().zip(kept).collect()
    }

    fn common() -> crate::cli::CommonArgs {
        crate::cli::parse(["kvbench".into()].into_iter()).unwrap().common
    }

    #[test]
    fn a_cell_whose_disk_speed_changed_is_repeated_once_and_then_kept() {
        assert_eq!(run_beside_disks(&[&[(100.0, 120.0)]]), [(1, 120.0)]);
        assert_eq!(run_beside_disks(&[&[(100.0, 160.0), (100.0, 110.0)]]), [(2, 110.0)]);
        assert_eq!(run_beside_disks(&[&[(100.0, 160.0), (100.0, 40.0)]]), [(2, 40.0)]);
    }

    #[test]
    fn a_repetition_that_the_time_limit_cut_short_replaces_no_whole_cell() {
        let rows = |is_cut, ops| vec![Row { cut_short: is_cut, ops, ..Row::default() }];
        let kept = |first, second| better(rows(first, 1), rows(second, 2))[0].ops;
        assert_eq!(kept(false, true), 1);
        assert_eq!([kept(false, false), kept(true, false), kept(true, true)], [2; 3]);
    }

    #[test]
    fn a_cell_that_runs_once_more_takes_nothing_from_those_that_follow() {
        let plan = Plan { blocks: 2, ..Plan::quick(&crate::engines::own(), &common()).unwrap() };
        let (workloads, engines) = (plan.workloads.len(), plan.engines.len());
        let share = |block, at: usize, position: usize| {
            let (name, workload) = &plan.workloads[at];
            let order = (at * engines + position) as u32;
            let job = new_job(&plan, name, workload, "memory", (block, order));
            share_of_rest(&plan, at, &job)
        };
        // Each cell takes its part of the time that the cells before it have left.
        let mut left = 1.0;
        for block in 1..=2 {
            for (at, position) in (0..workloads).flat_map(|at| (1..=engines).map(move |p| (at, p)))
            {
                left -= left * share(block, at, position);
            }
        }
        assert!(left.abs() < 1e-9 && (share(2, workloads - 1, engines) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_cell_at_another_disk_speed_than_most_is_repeated_once_and_then_kept() {
        let stable = [(100.0, 100.0)];
        let lucky = [(30.0, 30.0), (110.0, 110.0)];
        assert_eq!(
            run_beside_disks(&[&stable, &lucky, &stable]),
            [(1, 100.0), (2, 110.0), (1, 100.0)]
        );
        let twice = [(30.0, 30.0), (30.0, 30.0)];
        assert_eq!(
            run_beside_disks(&[&stable, &twice, &stable]),
            [(1, 100.0), (2, 30.0), (1, 100.0)]
        );
        // It was repeated because the disk speed changed, and is not repeated again.
        let changed = [(30.0, 60.0), (30.0, 30.0)];
        assert_eq!(
            run_beside_disks(&[&stable, &changed, &stable]),
            [(1, 100.0), (2, 30.0), (1, 100.0)]
        );
    }

    #[test]
    fn a_cell_that_the_user_stopped_is_measured_again() {
        let (stops, runs) = (std::cell::Cell::new(7), std::cell::Cell::new(0));
        let run = || {
            runs.set(runs.get() + 1);
            stops.set(stops.get() + u64::from(runs.get() == 1));
            Ok(Vec::new())
        };
        run_undisturbed(|| stops.get(), run).unwrap();
        assert_eq!(runs.get(), 2);
    }

    #[test]
    fn each_block_runs_every_engine_once_in_an_order_of_its_own() {
        let plan = Plan::quick(&crate::engines::own(), &common()).unwrap();
        let orders: std::collections::BTreeSet<Vec<String>> = (1..=20)
            .map(|block| {
                let jobs = jobs(&plan, block, 1, Path::new("stores"));
                let first = plan.engines.len() as u32 + 1;
                assert!(jobs.iter().map(|job| job.order).eq(first..2 * first - 1));
                jobs.into_iter().map(|job| job.engine).collect()
            })
            .collect();
        assert!(orders.len() > 10, "{orders:?}");
    }

    #[test]
    fn a_cell_gets_twice_its_share_of_the_time_that_is_left_and_no_more_than_all() {
        let s = Duration::from_secs_f64;
        let plan = Plan::quick(&crate::engines::own(), &common()).unwrap();
        let plan = Plan { budget: Some(s(10.0)), ..plan };
        assert_eq!(cell_time_limit(&plan, s(4.0), 0.25), Some(s(3.0)));
        assert_eq!(cell_time_limit(&plan, s(4.0), 1.0), Some(s(6.0)));
        assert_eq!(cell_time_limit(&plan, s(11.0), 0.25), Some(LEAST_LIMIT));
        assert_eq!(cell_time_limit(&Plan { budget: None, ..plan }, s(4.0), 1.0), None);
    }
}
