//! Running a plan: block after block, each engine once for each workload, in a fresh order every time.
//!
//! The engines run a workload one after the other before the next workload begins: drift over time then hits
//! all of them alike, and the ratios of a block are between neighbours.

mod blocks;
mod check_summary;

use crate::failure::{Failure, FailureKind, Outcome};
use crate::memory_limit::CgroupFactory;
use crate::output;
use crate::plan::Plan;
use crate::report::{self, RunFacts};
use crate::row::Row;
use crate::run_clock::RunClock;
use crate::run_folder::RunFolder;
use crate::supervisor::Interrupt;
use crate::suspend;
use blocks::run_blocks;
use check_summary::{describe_checks, has_none_fitted};

/// Runs `plan`, writes its folder and prints its tables.
pub(crate) fn run(plan: Plan) -> Outcome<()> {
    if plan.dry_run {
        return output::result(&render_dry_run(&plan));
    }
    // If no cgroup can be made, nothing is measured and no folder is left.
    let cgroups = plan.limit_memory_bytes.map(|_| CgroupFactory::new()).transpose()?;
    suspend::listen();
    let interrupt = Interrupt::listen();
    let (mut folder, plan) = RunFolder::create(plan)?;
    let mut rows = Vec::new();
    let clock = RunClock::start();
    let outcome = run_blocks(&plan, (cgroups.as_ref(), &interrupt), &mut folder, &mut rows, clock);
    let seconds = clock.elapsed().as_secs_f64();
    let ended = match &outcome {
        Ok(()) => format!("complete after {seconds:.1} s"),
        Err(failure) => format!("{failure} after {seconds:.1} s"),
    };
    if outcome.as_ref().is_err_and(|failure| failure.kind == FailureKind::WrongData) {
        folder.withdraw(&ended)?;
        return outcome;
    }
    report_run(&plan, &mut folder, &rows, (outcome, &ended))
}

/// Writes the report and prints the results of a run that `ended` in this way.
fn report_run(
    plan: &Plan,
    folder: &mut RunFolder,
    rows: &[Row],
    (outcome, ended): (Outcome<()>, &str),
) -> Outcome<()> {
    let facts = RunFacts::of(plan, rows);
    folder.note_limit(facts.memory_limit.as_ref());
    let tables = report::compare(&facts, rows);
    folder.finish(ended, &report::render_markdown(&facts, &tables, ended))?;
    let has_result = outcome.as_ref().err().is_none_or(|f| f.kind == FailureKind::Interrupted);
    let printed = if has_result && !rows.is_empty() {
        output::result(&report::render_results(plan.format, &facts, &tables, rows, ended)?)
    } else {
        Ok(())
    };
    let path = folder.path().display();
    if let Err(Failure { kind, text }) = outcome {
        return Err(Failure { kind, text: format!("{text}; what was measured is in {path}") });
    }
    let checked = describe_checks(rows);
    if has_none_fitted(&tables) {
        printed?;
        return Err(Failure::engine(format!("{checked}; what was measured is in {path}")));
    }
    output::note(&format!("{path}: {ended}, {checked}"));
    printed
}

/// The text of a dry run.
fn render_dry_run(plan: &Plan) -> String {
    let names: Vec<_> = plan.engines.iter().map(|engine| engine.name).collect();
    let head = format!(
        "{} blocks of {} engines on {} workloads, {}, seed {}; about {:.0} s\nengines: {}",
        plan.blocks,
        plan.engines.len(),
        plan.workloads.len(),
        plan.durability,
        plan.seed,
        plan.estimated_s(),
        names.join(", "),
    );
    let lines = plan.workloads.iter().map(|(name, workload)| {
        let records = workload.records.map_or("all".into(), |records| records.0.to_string());
        let phases: Vec<_> = workload.phase.iter().map(|phase| phase.name.as_str()).collect();
        format!("{name}: {records} records; {} ({})", phases.join(", "), workload.about)
    });
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n") + "\n"
}
