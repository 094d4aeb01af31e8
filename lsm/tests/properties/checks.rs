//! The properties of a plan, of plans beside each other, and of a tree at rest.

use std::collections::BTreeSet;

use lsm::compaction::{Action, File, FileId, Part, Plan, Reason, Strategy, Urgency};

use crate::world::World;

/// P4, without the help of [`Busy`](lsm::compaction::Busy).
pub(crate) fn beside(plan: &Plan<u64>, world: &World) -> Result<(), String> {
    for (other, _) in &world.in_flight {
        if let Some(file) = plan.files().find(|file| other.has_input(file.id)) {
            return Err(format!("P4: file {} is an input of two plans", file.id));
        }
        let overlaps = plan.smallest <= other.largest && other.smallest <= plan.largest;
        if plan.output == other.output && overlaps {
            return Err(format!("P4: two plans write to {:?}", plan.output));
        }
    }
    Ok(())
}

/// P10, P11 and P12.
pub(crate) fn plan(
    plan: &Plan<u64>,
    strategy: &dyn Strategy<u64>,
    world: &World,
) -> Result<(), String> {
    inputs(plan, strategy)?;
    stop(plan, strategy, world)?;
    let parts = plan.parts(plan.anchors(), world.threads, 1);
    if parts.len() > world.threads {
        return Err(format!("P12: {} parts for {} threads", parts.len(), world.threads));
    }
    parts_of(plan, &parts)
}

/// P10. Leveled plans have a limit in bytes; tiered ones take whole runs, at most `max_runs`.
fn inputs(plan: &Plan<u64>, strategy: &dyn Strategy<u64>) -> Result<(), String> {
    let Some(limit) = strategy.max_input_bytes() else { return Ok(()) };
    let is_single = plan.inputs.iter().filter(|input| input.place != plan.output).count() <= 1
        && plan.inputs[0].files.len() == 1;
    if plan.input_bytes() > limit && !is_single && plan.action == Action::Rewrite {
        return Err(format!("P10: {} bytes of at most {limit}: {plan:?}", plan.input_bytes()));
    }
    Ok(())
}

/// P11.
fn stop(plan: &Plan<u64>, strategy: &dyn Strategy<u64>, world: &World) -> Result<(), String> {
    let level = plan.output.level;
    let comes_from_above = plan.inputs.iter().any(|input| input.place.level < level);
    let is_limited = matches!(plan.reason, Reason::Size | Reason::Runs | Reason::IntraL0);
    if comes_from_above && is_limited && strategy.is_stopped(&world.tree, level) {
        return Err(format!("P11: level {level} is stopped, and takes {:?}", plan.inputs));
    }
    Ok(())
}

/// P12 for `parts`.
pub(crate) fn parts_of(plan: &Plan<u64>, parts: &[Part<u64>]) -> Result<(), String> {
    let ends_meet = parts.windows(2).all(|pair| pair[0].to == Some(pair[1].from));
    let begins = parts.first().is_some_and(|part| part.from == plan.smallest);
    let ends = parts.last().is_some_and(|part| part.to.is_none() && part.from <= plan.largest);
    let rises = parts.iter().all(|part| part.to.is_none_or(|to| part.from < to));
    if ends_meet && begins && ends && rises {
        return Ok(());
    }
    Err(format!("P12: {parts:?} of {} to {}", plan.smallest, plan.largest))
}

/// P5 and the live half of P6, for a tree without snapshots.
pub(crate) fn rest(
    strategy: &dyn Strategy<u64>,
    world: &World,
    urgency: Urgency,
) -> Result<(), String> {
    let scores = strategy.scores(&world.tree);
    if let Some(score) = scores.iter().find(|score| score.value >= urgency.threshold()) {
        return Err(format!("P5: {score:?} at rest, {urgency:?}"));
    }
    for (place, run) in world.tree.runs() {
        for file in run.files() {
            let text = |fact: &str| Err(format!("P6: {fact} at {place:?}: {file:?}"));
            if is_dense(file, world.tree.now()) {
                return text("dead entries stay");
            }
            let mut older = world.tree.runs().filter(|(other, _)| *other > place);
            let is_oldest =
                older.all(|(_, run)| run.overlapping(&file.smallest, &file.largest).is_empty());
            if urgency == Urgency::Eligible && is_oldest && has_obsolete(file) {
                return text("obsolete entries stay");
            }
        }
    }
    deleted_files(world)
}

/// P13 for a tree without snapshots, after the compaction of `smallest..=largest`.
pub(crate) fn range(world: &World, smallest: u64, largest: u64) -> Result<(), String> {
    let has_keys = |file: &File<u64>| file.smallest <= largest && smallest <= file.largest;
    compacted(world, has_keys)
}

/// P13 for a tree without snapshots, after the compaction of `ids`.
pub(crate) fn files(world: &World, ids: &BTreeSet<FileId>) -> Result<(), String> {
    compacted(world, |file| ids.contains(&file.id))
}

/// Whether the files that were to be compacted, as far as they are still there, have nothing to remove.
fn compacted(world: &World, is_chosen: impl Fn(&File<u64>) -> bool) -> Result<(), String> {
    for (place, run) in world.tree.runs() {
        for file in run.files().iter().filter(|file| is_chosen(file)) {
            if file.tombstones + file.reclaimable.hidden > 0 {
                return Err(format!("P13: obsolete entries stay at {place:?}: {file:?}"));
            }
            let mut older = world.tree.runs().filter(|(other, _)| *other > place);
            if older.any(|(_, run)| !run.overlapping(&file.smallest, &file.largest).is_empty()) {
                return Err(format!("P13: {place:?} and an older run have keys of {file:?}"));
            }
        }
    }
    Ok(())
}

/// Percentages above each `dense_percent`, `dense_block_percent` and `elide_percent` of the presets.
const DENSE_PERCENT: u64 = 90;
const ELIDE_PERCENT: u64 = 50;

/// Whether most entries are dead, or most bytes are those of dense blocks.
fn is_dense(file: &File<u64>, now: u64) -> bool {
    let past = file.reclaimable.expiry.filter(|expiry| expiry.latest <= now);
    let dead = file.tombstones + past.map_or(0, |expiry| expiry.entries);
    let has_blocks = file.reclaimable.dense_bytes * 100 >= file.bytes * DENSE_PERCENT;
    dead * 100 >= file.entries * DENSE_PERCENT || has_blocks
}

/// Whether many entries are needed by nobody, given that nothing older lies below the file.
fn has_obsolete(file: &File<u64>) -> bool {
    let gone = file.tombstones + file.reclaimable.hidden;
    !file.reclaimable.range_tombstones.is_empty() || gone * 100 >= file.entries * ELIDE_PERCENT
}

/// No file has only entries that a range tombstone deletes.
fn deleted_files(world: &World) -> Result<(), String> {
    let files = || world.tree.runs().flat_map(|(_, run)| run.files());
    for range in files().flat_map(|file| &file.reclaimable.range_tombstones) {
        let is_deleted = |file: &&File<u64>| {
            range.contains(&file.smallest, &file.largest) && file.newest < range.sequence
        };
        if let Some(file) = files().find(is_deleted) {
            return Err(format!("P6: {range:?} deletes all of {file:?}"));
        }
    }
    Ok(())
}
