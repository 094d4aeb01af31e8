//! Kills at the k-th call: `strace` ends the process when it enters that call, so the call has no effect.
//!
//! `strace` counts the calls of each thread by itself. So the child does all work in one thread, background work included.

use std::process::{Command, Stdio};

use kv::Durability;

use super::super::lives::MortalStore as _;
use super::super::program::Program;
use super::Store;
use crate::line::Line;
use crate::pace::Pace;
use crate::random::sub_seed;
use crate::report::{Failure, Outcome, Report};
use crate::shard::Shard;

/// The calls that open or change files, each kind with all its names; a question mark lets a name be unknown on this machine.
const KINDS: [&str; 7] = [
    "?pwrite64",
    "?fdatasync,?fsync,?msync",
    "?rename,?renameat,?renameat2",
    "?unlink,?unlinkat",
    "?ftruncate",
    "?fallocate",
    "?openat",
];

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// The content of the writes follows from it.
    pub seed: u64,
    /// Batches of the one writer in a session.
    pub batches: u32,
    /// Sessions in a life.
    pub sessions: u16,
    /// From one k to the next; 1 for all of them.
    pub stride: u32,
    /// The part of the points to visit.
    pub shard: Shard,
    /// Called every 30 seconds, and after each kind of call, with a line of text that says how far the run has come.
    pub progress: fn(&str),
}

impl Default for Calls {
    /// The form that runs with every change.
    fn default() -> Self {
        Self { seed: 1, batches: 16, sessions: 2, stride: 41, shard: Shard::ALL, progress: |_| () }
    }
}

impl Calls {
    /// Every fourth call of a child that does more work.
    pub fn soak() -> Self {
        Self { batches: 30, sessions: 3, stride: 4, ..Self::default() }
    }
}

/// Runs children of the subject called `word`, for each kind of call and each option set. Each child has a new store and is
/// killed at a later call than the one before. The last one ends before its call comes.
///
/// All children of an option set do the same, step by step.
///
/// # Errors
/// The first broken invariant.
pub fn at_calls(program: &Program, word: &str, calls: &Calls) -> Result<Outcome, Failure> {
    if let Some(missing) = missing() {
        return Ok(Outcome::Skipped(missing));
    }
    let (mut report, mut pace) = (Report::default(), Pace::new());
    let option_sets = (program.subject)(word).option_sets();
    let sets = (0..option_sets).flat_map(|set| KINDS.map(|kind| (set, kind)));
    for ((option_set, kind), number) in sets.zip(0..) {
        let stride = calls.stride.max(1);
        // Strides begin at different places for different kinds and seeds.
        let first = 1 + (sub_seed(calls.seed, number) % u64::from(stride)) as u32;
        let ks = (first..).step_by(stride as usize);
        debug_assert!(1 <= first && first <= stride, "calls are counted from 1");
        for k in ks.filter(|k| calls.shard.takes(u64::from(k / stride))) {
            let life = one(program, word, calls, (option_set, kind, k)).map_err(|what| {
                let line = Line::new("kill", word).with("options", option_set);
                let line = line.with("seed", calls.seed).with("call", kind).with("k", k);
                Failure { what, replay: line.to_string(), report }
            });
            let (was_killed, judged) = life?;
            report += judged;
            if !was_killed || pace.is_due() {
                let place = format!("options {option_set}, {kind}, call {k}");
                (calls.progress)(&format!("kill at calls, {place}: {report}"));
            }
            if !was_killed {
                break;
            }
        }
    }
    Ok(Outcome::Passed(report))
}

/// The reason why calls cannot be traced, if there is one.
fn missing() -> Option<String> {
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=?pwrite64", "true"])
        .stdin(Stdio::null())
        .output();
    match traced {
        Err(error) => Some(format!("strace cannot be run: {error}")),
        Ok(output) if !output.status.success() => {
            Some(format!("strace does not work: {}", String::from_utf8_lossy(&output.stderr)))
        }
        Ok(_) => None,
    }
}

/// Runs one process, killed at call `k` of a kind if it gets that far, and judges the store. Returns whether it was killed.
fn one(
    program: &Program,
    word: &str,
    calls: &Calls,
    (option_set, kind, k): (usize, &str, u32),
) -> Result<(bool, Report), String> {
    let store = Store::new(program, word, calls.seed, (1, calls.batches));
    let mut store = store.map_err(|(what, _)| what)?;
    store.children = store.children.without_background_threads();
    let inject = format!("inject={kind}:signal=SIGKILL:when={k}");
    let trace = format!("trace={kind}");
    let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let under: Vec<String> = under.map(String::from).into();
    let mut running = store.children.start_under(calls.sessions, option_set, &under)?;
    let status = running.wait()?;
    let was_killed = !status.success();
    let told = if was_killed { running.kill()? } else { running.finish()? };
    store.judge.observe(&told)?;
    store.judge.record_crash(Durability::Buffered);
    store.look()?;
    Ok((was_killed, store.judge.report))
}
