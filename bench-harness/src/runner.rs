//! Running a plan: block after block, each engine once for each workload, in a fresh order every time.
//!
//! The engines run a workload one after the other before the next workload begins: drift over time then hits
//! all of them alike, and the ratios of a block are between neighbours.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cell::Job;
use crate::cli::Format;
use crate::engines::Registration;
use crate::failure::{Failure, FailureKind, Outcome};
use crate::memory_limit::Limiter;
use crate::output::{self, Progress};
use crate::plan::Plan;
use crate::random::Random;
use crate::repeat;
use crate::report::{self, Comparison, LEGEND, Outline};
use crate::row::Row;
use crate::run_folder::RunFolder;
use crate::supervisor::{Interrupt, ScratchFolder, run_cell};
use crate::workload::Workload;

/// A cell may take this much more than its even share of the time that is left: cells differ.
const CELL_SLACK: f64 = 1.5;
/// The least limit of a cell, so that a run out of time still ends its workload.
const LEAST_LIMIT: Duration = Duration::from_millis(40);
/// The legend is text, and text has short lines.
const LEGEND_WIDTH: usize = 120;
/// Keeps the shuffle of engines apart from every other random stream.
const SHUFFLE: u64 = 0x73_68_75_66;

/// Runs `plan`, writes its folder and prints its tables.
pub(crate) fn run(plan: Plan) -> Outcome<()> {
    if plan.dry_run {
        return output::result(&describe(&plan));
    }
    // Where no group can be made, nothing is measured and no folder is left.
    let limiter = plan.limit_memory_bytes.map(|_| Limiter::new()).transpose()?;
    let interrupt = Interrupt::listen();
    let (mut folder, plan) = RunFolder::create(plan)?;
    let plan = &plan;
    let mut rows = Vec::new();
    let begun = Instant::now();
    let outcome = run_blocks(plan, (limiter.as_ref(), &interrupt), &mut folder, &mut rows, begun);
    let seconds = begun.elapsed().as_secs_f64();
    let ended = match &outcome {
        Ok(()) => format!("complete after {seconds:.1} s"),
        Err(failure) => format!("{failure} after {seconds:.1} s"),
    };
    if let Err(failure) = &outcome
        && failure.kind == FailureKind::WrongData
    {
        folder.withdraw(&ended)?;
        return outcome;
    }
    let outline = Outline::of(plan, &rows);
    folder.note_limit(outline.memory_limit.as_ref());
    let tables = report::compare(&outline, &rows);
    folder.finish(&ended, &report::render_markdown(&outline, &tables, &ended))?;
    let has_result = outcome.as_ref().err().is_none_or(|f| f.kind == FailureKind::Interrupted);
    let printed = if has_result && !rows.is_empty() {
        output::result(&show(plan.format, &outline, &tables, &rows, &ended)?)
    } else {
        Ok(())
    };
    if let Err(Failure { kind, text }) = outcome {
        let text = format!("{text}; what was measured is in {}", folder.path().display());
        return Err(Failure { kind, text });
    }
    output::note(&format!("{}: {ended}, {}", folder.path().display(), verdict(&rows)));
    printed
}

/// What was checked, in words. Nothing of a cell that did not fit into its memory was.
fn verdict(rows: &[Row]) -> String {
    let sums = || rows.iter().filter(|row| row.op == "all");
    let is_killed = |row: &&Row| row.did_not_fit == Some(true);
    let killed: BTreeSet<_> =
        sums().filter(is_killed).map(|row| (row.block, &row.workload, &row.engine)).collect();
    let unchecked = match killed.len() {
        0 => String::new(),
        1 => "; 1 cell did not fit into its memory and was not checked".into(),
        count => format!("; {count} cells did not fit into their memory and were not checked"),
    };
    let checked = match sums().map(|row| row.verified).sum::<u64>() {
        0 if sums().all(|row| is_killed(&row)) => "nothing was measured".into(),
        0 => "nothing was read while it was measured; the content at the end was right".into(),
        answers => format!("all {} answers right", crate::quantity::show_whole(answers as f64)),
    };
    checked + &unchecked
}

fn run_blocks(
    plan: &Plan,
    (limiter, interrupt): (Option<&Limiter>, &Interrupt),
    folder: &mut RunFolder,
    rows: &mut Vec<Row>,
    begun: Instant,
) -> Outcome<()> {
    let stores = ScratchFolder::create(plan.stores())?;
    let mut progress = Progress::new(plan.quiet);
    let mut cells_left = plan.cell_count();
    for block in 1..=plan.blocks {
        for at in 0..plan.workloads.len() {
            // What would be cut to nothing is not run, beyond the first workload.
            let is_over = plan.budget.is_some_and(|budget| begun.elapsed() >= budget);
            if is_over && (block, at) != (1, 0) {
                output::note(&time_is_up(plan, block, at));
                return Ok(());
            }
            let jobs = jobs(plan, block, at, stores.path());
            let mut run = |job: &Job| {
                let title = format!("block {block}/{}", plan.blocks);
                let spent = begun.elapsed();
                let detail = format!("{spent:.0?}  {}  {}", job.workload_name, job.engine);
                progress.show(&title, &detail);
                let limit = limit(plan, spent, cells_left);
                cells_left = cells_left.saturating_sub(1);
                run_cell(&Job { limit, ..job.clone() }, limiter, interrupt)
            };
            let mut cells = Vec::new();
            let outcome = run_cells(&jobs, &mut run, &mut cells);
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

/// The note that the run ends before the workload at `at` of `block`.
fn time_is_up(plan: &Plan, block: u32, at: usize) -> String {
    let (blocks, workloads) = (plan.blocks, plan.workloads.len());
    format!(
        "the time is up: {} of {blocks} blocks are whole; block {block} has {at} of {workloads} workloads",
        block - 1
    )
}

/// Runs the cells of one workload in one block. A cell is repeated once if the disk by itself became faster or slower
/// during one of its phases. At the end, a cell whose disk differs from that of most of the others is repeated once.
fn run_cells(
    jobs: &[Job],
    run: &mut dyn FnMut(&Job) -> Outcome<Vec<Row>>,
    cells: &mut Vec<Vec<Row>>,
) -> Outcome<()> {
    let mut is_repeated = vec![false; jobs.len()];
    for (at, job) in jobs.iter().enumerate() {
        let mut rows = run(job)?;
        if rows.iter().any(Row::has_disk_moved) {
            is_repeated[at] = true;
            rows = run(job)?;
        }
        cells.push(rows);
    }
    assert_eq!(cells.len(), jobs.len(), "every engine has a cell");
    for at in repeat::outliers(cells) {
        if !is_repeated[at] {
            cells[at] = run(&jobs[at])?;
        }
    }
    Ok(())
}

/// The jobs of the workload at `at` in the plan, one for each engine, in the order in which they run in `block`.
fn jobs(plan: &Plan, block: u32, at: usize, stores: &Path) -> Vec<Job> {
    let (name, workload) = &plan.workloads[at];
    let mut engines = plan.engines.clone();
    Random::new(plan.seed, &[SHUFFLE, u64::from(block), at as u64]).shuffle(&mut engines);
    let first = (at * engines.len()) as u32 + 1;
    let job = |(order, engine): (u32, Registration)| Job {
        directory: stores.join(format!("{block}-{order}")),
        ..job(plan, name, workload, engine.name, (block, order))
    };
    (first..).zip(engines).map(job).collect()
}

/// The time that the next cell may take.
fn limit(plan: &Plan, spent: Duration, cells_left: usize) -> Option<Duration> {
    let left = plan.budget?.saturating_sub(spent);
    Some((left / cells_left.max(1) as u32).mul_f64(CELL_SLACK).max(LEAST_LIMIT))
}

fn job(
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
        directory: std::path::PathBuf::new(),
        limit: None,
        stream_steps: plan.stream_steps,
    }
}

/// The results in the form that was asked for.
fn show(
    format: Format,
    run: &Outline,
    tables: &[Comparison],
    rows: &[Row],
    ended: &str,
) -> Outcome<String> {
    let broken = |error: String| Failure::usage(format!("cannot show the rows: {error}"));
    match format {
        Format::Table => {
            let limit = output::width();
            let shown = tables.iter().filter(|table| !table.is_preparation);
            let shown = shown.map(|table| report::render_text(table, limit));
            let legend = report::wrap(LEGEND, limit.min(LEGEND_WIDTH));
            let head = format!(
                "{}, blocks: {}, seed: {}{}\n{legend}\n",
                run.run_id,
                run.blocks,
                run.seed,
                run.show_limit()
            );
            let set_ups = report::render_set_ups_text(&run.set_ups, limit);
            let summary = report::render_summary(run, tables);
            let last = (!summary.is_empty()).then_some(summary);
            let parts = std::iter::once(head).chain(shown).chain([set_ups]).chain(last);
            Ok(parts.collect::<Vec<_>>().join("\n"))
        }
        Format::Md => Ok(report::render_markdown(run, tables, ended)),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in rows {
                writer.serialize(row).map_err(|error| broken(error.to_string()))?;
            }
            let bytes = writer.into_inner().map_err(|error| broken(error.to_string()))?;
            String::from_utf8(bytes).map_err(|error| broken(error.to_string()))
        }
        Format::Json => {
            let lines = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
            Ok(lines.map_err(|error| broken(error.to_string()))?.join("\n") + "\n")
        }
    }
}

/// The text of a dry run.
fn describe(plan: &Plan) -> String {
    let names: Vec<_> = plan.engines.iter().map(|engine| engine.name).collect();
    let head = format!(
        "{} blocks of {} engines on {} workloads, {}, seed {}; about {:.0} s\nengines: {}",
        plan.blocks,
        plan.engines.len(),
        plan.workloads.len(),
        plan.durability,
        plan.seed,
        plan.reckoned_s(),
        names.join(", "),
    );
    let lines = plan.workloads.iter().map(|(name, workload)| {
        let records = workload.records.map_or("all".into(), |records| records.0.to_string());
        let phases: Vec<_> = workload.phase.iter().map(|phase| phase.name.as_str()).collect();
        format!("{name}: {records} records; {} ({})", phases.join(", "), workload.about)
    });
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells of two or more engines, each with the times of the disk before and after it, one pair a run.
    fn run_on_disks(times: &[&[(f64, f64)]]) -> Vec<(usize, f64)> {
        let plan = Plan::quick(&crate::engines::own(), &common()).unwrap();
        let job = |engine: usize| Job {
            order: engine as u32,
            ..job(&plan, "w", &plan.workloads[0].1, "memory", (1, 0))
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
    fn a_cell_whose_disk_moved_is_repeated_once_and_then_kept() {
        assert_eq!(run_on_disks(&[&[(100.0, 120.0)]]), [(1, 120.0)]);
        assert_eq!(run_on_disks(&[&[(100.0, 160.0), (100.0, 110.0)]]), [(2, 110.0)]);
        assert_eq!(run_on_disks(&[&[(100.0, 160.0), (100.0, 40.0)]]), [(2, 40.0)]);
    }

    #[test]
    fn a_cell_on_another_disk_than_most_is_repeated_once_and_then_kept() {
        let still = [(100.0, 100.0)];
        let lucky = [(30.0, 30.0), (110.0, 110.0)];
        assert_eq!(run_on_disks(&[&still, &lucky, &still]), [(1, 100.0), (2, 110.0), (1, 100.0)]);
        let twice = [(30.0, 30.0), (30.0, 30.0)];
        assert_eq!(run_on_disks(&[&still, &twice, &still]), [(1, 100.0), (2, 30.0), (1, 100.0)]);
        // It was repeated because its disk moved, and is not repeated again.
        let moved = [(30.0, 60.0), (30.0, 30.0)];
        assert_eq!(run_on_disks(&[&still, &moved, &still]), [(1, 100.0), (2, 30.0), (1, 100.0)]);
    }

    #[test]
    fn a_run_without_answers_does_not_say_that_they_were_right() {
        let row = |verified| Row { op: "all".into(), verified, ..Row::default() };
        assert!(!verdict(&[row(0)]).contains("answers right"));
        assert_eq!(verdict(&[row(12), row(0)]), "all 12 answers right");
    }

    #[test]
    fn nothing_is_said_to_be_right_of_cells_that_did_not_fit() {
        let killed = |block, phase: &str| Row {
            block,
            phase: phase.into(),
            op: "all".into(),
            did_not_fit: Some(true),
            ..Row::default()
        };
        let read = Row { op: "all".into(), verified: 12, engine: "other".into(), ..Row::default() };
        let text = verdict(&[killed(1, "load"), killed(1, "get"), killed(2, "load")]);
        let unchecked = "2 cells did not fit into their memory and were not checked";
        assert_eq!(text, format!("nothing was measured; {unchecked}"));
        assert!(
            verdict(&[read, killed(1, "load")]).starts_with("all 12 answers right; 1 cell did")
        );
    }
}
