//! The rules for workloads beyond their form.

use super::{Mix, Phase, PhaseKind, Workload};
use crate::input;
use crate::values::HEADER_BYTES;

/// Ids are 31-bit numbers in the harness, with room for inserts.
const MAX_RECORDS: u64 = 1 << 30;
/// More threads than any machine that the harness will meet profits from.
const MAX_THREADS: u32 = 256;
/// More writes in a batch than any user would put there.
const MAX_BATCH: u32 = 100_000;
/// The longest scan: so many entries that the answers of one still fit in memory many times.
const MAX_SCAN_LENGTH: u32 = 1_000_000;
/// The largest value that the payload pool can fill.
const MAX_VALUE_BYTES: u64 = 4 << 20;

/// Checks `workload`. `Err` names the mistake.
pub(crate) fn check(workload: &Workload) -> Result<(), String> {
    if workload.about.contains(char::is_control) {
        return Err("about is one line".into());
    }
    let kind = workload.input.as_deref().map(input::kind_of).transpose()?;
    if let Some(records) = workload.records
        && !(1..=MAX_RECORDS).contains(&records.0)
    {
        return Err(format!("records = {} is not from 1 to {MAX_RECORDS}", records.0));
    }
    if workload.records.is_none() && workload.input.is_none() {
        return Err("needs records, or an input that brings its own".into());
    }
    if workload.input.is_some() && workload.key.is_some() {
        return Err("an input brings its own keys; leave out key".into());
    }
    if let Some(size) = workload.value_bytes
        && !(HEADER_BYTES as u64..=MAX_VALUE_BYTES).contains(&size.0)
    {
        return Err(format!(
            "value_bytes = {} is not from {HEADER_BYTES} (the header that proves a value) to {MAX_VALUE_BYTES}",
            size.0
        ));
    }
    if let Some(divisor) = workload.value_divisor
        && !(1..=u64::from(u32::MAX)).contains(&divisor.0)
    {
        return Err(format!("value_divisor = {} is not from 1 to {}", divisor.0, u32::MAX));
    }
    if workload.phase.is_empty() {
        return Err("has no phase".into());
    }
    check_threads(workload.threads)?;
    check_names(&workload.phase)?;
    workload.phase.iter().try_for_each(|phase| check_phase(phase, workload, kind))
}

/// Rows are found by the name of their phase, so each phase has a name of its own.
fn check_names(phases: &[Phase]) -> Result<(), String> {
    for (at, phase) in phases.iter().enumerate() {
        if phase.name.trim().is_empty() || phase.name.contains(is_unfit) {
            return Err(format!("phase {:?} needs a name of one line without |", phase.name));
        }
        if phases[..at].iter().any(|earlier| earlier.name == phase.name) {
            return Err(format!("has two phases with the name \"{}\"", phase.name));
        }
    }
    Ok(())
}

/// A table has one line for a phase, and `|` between its columns.
fn is_unfit(character: char) -> bool {
    character.is_control() || character == '|'
}

fn check_phase(
    phase: &Phase,
    workload: &Workload,
    input: Option<input::InputKind>,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("phase \"{}\" {what}", phase.name));
    check_threads(phase.threads)?;
    let kind = phase.kind()?;
    check_keys_are_used(phase, kind).or_else(|text| wrong(&text))?;
    match kind {
        PhaseKind::Mix(mix) => {
            let mixes = || std::iter::once(mix).chain(phase.background);
            if mixes().any(|mix| mix.total() == 0) {
                return wrong("has a mix without any weight");
            }
            if mixes().any(|mix| mix.insert > 0) && workload.input.is_some() {
                return wrong("inserts, but the keys of an input are finite; use put");
            }
            if mixes().any(|mix| mix.writes_loaded_keys()) && has_idle_writer(phase, workload) {
                return wrong("writes, and has more threads than records: each key has one writer");
            }
        }
        _ if phase.background.is_some() => return wrong("has a background, but does not mix"),
        PhaseKind::Replay if input != Some(input::InputKind::Trace) => {
            return wrong("replays, but the workload has no input that is a trace");
        }
        PhaseKind::Load(_) if input == Some(input::InputKind::Trace) => {
            return wrong("loads, but the records of a trace come with its replay");
        }
        _ => {}
    }
    if phase.ops.is_some_and(|ops| ops.0 == 0) {
        return wrong("has no operations");
    }
    if phase.scan_length.is_some_and(|length| length.most > MAX_SCAN_LENGTH) {
        return wrong("has a scan_length above 1,000,000");
    }
    check_batch(phase).or_else(wrong)
}

/// A key of a phase without effect would make the phase look like another one.
fn check_keys_are_used(phase: &Phase, kind: PhaseKind) -> Result<(), String> {
    let is_mix = matches!(kind, PhaseKind::Mix(_));
    let has_ops = is_mix || kind == PhaseKind::Replay;
    let has_duration = is_mix || matches!(kind, PhaseKind::Load(_));
    let keys = [
        ("threads", phase.threads.is_some(), is_mix, "a mix"),
        ("keys", phase.keys.is_some(), is_mix, "a mix"),
        ("scan_length", phase.scan_length.is_some(), is_mix, "a mix"),
        ("prefix_bytes", phase.prefix_bytes.is_some(), is_mix, "a mix"),
        ("ops", phase.ops.is_some(), has_ops, "a mix or a replay"),
        ("duration", phase.duration.is_some(), has_duration, "a mix or a load"),
    ];
    match keys.into_iter().find(|(_, is_given, is_used, _)| *is_given && !is_used) {
        Some((name, _, _, users)) => Err(format!("has {name}, which {users} alone uses")),
        None => Ok(()),
    }
}

/// Whether a thread of `phase` has no key of its own among the records of `workload`.
fn has_idle_writer(phase: &Phase, workload: &Workload) -> bool {
    let threads = phase.threads.or(workload.threads).unwrap_or(1);
    let clients = u64::from(threads) + u64::from(phase.background.is_some());
    workload.records.is_some_and(|records| records.0 < clients)
}

fn check_batch(phase: &Phase) -> Result<(), &'static str> {
    let Some(batch) = phase.batch else { return Ok(()) };
    let only_puts = Mix { put: phase.mix.map_or(0, |mix| mix.put), ..Mix::default() };
    match phase.kind() {
        Ok(PhaseKind::Mix(mix)) if mix != only_puts => {
            Err("has a batch and a mix that does more than put")
        }
        Ok(PhaseKind::Mix(_) | PhaseKind::Load(_)) if (1..=MAX_BATCH).contains(&batch) => Ok(()),
        Ok(PhaseKind::Mix(_) | PhaseKind::Load(_)) => {
            Err("has a batch that is not from 1 to 100,000")
        }
        _ => Err("has a batch, but neither loads nor mixes"),
    }
}

fn check_threads(threads: Option<u32>) -> Result<(), String> {
    match threads {
        Some(threads) if threads == 0 || threads > MAX_THREADS => {
            Err(format!("threads = {threads} is not from 1 to {MAX_THREADS}"))
        }
        _ => Ok(()),
    }
}
