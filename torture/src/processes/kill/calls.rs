//! Killed exactly at the k-th call: `strace` ends the process when it enters that call, so the call has no effect.
//!
//! It counts the calls of each thread by itself. So all work is done in one, background work included.

use std::process::{Command, Stdio};

use kv::Durability;

use super::super::program::Program;
use super::{Options, Store};
use crate::line::Line;
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

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// What is written follows from it.
    pub seed: u64,
    /// Batches of the one writer in a session.
    pub batches: u32,
    /// Sessions in a life.
    pub sessions: u16,
    /// From one k to the next; 1 for all of them.
    pub stride: u32,
    /// The part of the points to visit.
    pub shard: Shard,
    /// Called after each kind of call with everything visited so far.
    pub progress: fn(&Report),
}

impl Default for Calls {
    /// What runs with every change.
    fn default() -> Self {
        Self { seed: 1, batches: 16, sessions: 2, stride: 41, shard: Shard::ALL, progress: |_| () }
    }
}

impl Calls {
    /// Every call of a longer life.
    pub fn soak() -> Self {
        Self { batches: 30, sessions: 3, stride: 1, ..Self::default() }
    }
}

/// For each kind of call lives of the subject that `word` means in `program`, each in a new store, killed at a later call
/// than the one before, until one is not killed any more.
///
/// All lives of an option set do the same, step by step.
///
/// # Errors
/// The first broken law.
pub fn at_calls(program: &Program, word: &str, calls: &Calls) -> Result<Outcome, Failure> {
    if let Some(missing) = missing() {
        return Ok(Outcome::Skipped(missing));
    }
    let mut report = Report::default();
    let option_sets = (program.subject)(word).option_sets();
    let sets = (0..option_sets).flat_map(|set| KINDS.map(|kind| (set, kind)));
    for ((option_set, kind), number) in sets.zip(0..) {
        let stride = calls.stride.max(1);
        // Strides begin at different places for different kinds and seeds.
        let first = 1 + (sub_seed(calls.seed, number) % u64::from(stride)) as u32;
        let ks = (first..).step_by(stride as usize);
        for k in ks.filter(|k| calls.shard.takes(u64::from(k / stride))) {
            let life = one(program, word, calls, (option_set, kind, k)).map_err(|what| {
                let line = Line::new("kill", word).with("options", option_set);
                let line = line.with("seed", calls.seed).with("call", kind).with("k", k);
                Failure { what, replay: line.to_string(), report }
            });
            let (was_killed, judged) = life?;
            report += judged;
            if !was_killed {
                break;
            }
        }
        (calls.progress)(&report);
    }
    Ok(Outcome::Passed(report))
}

/// What keeps calls from being traced.
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

/// One life, killed at call `k` of a kind if it gets that far, and a look at what is left. Whether it was killed.
fn one(
    program: &Program,
    word: &str,
    calls: &Calls,
    (option_set, kind, k): (usize, &str, u32),
) -> Result<(bool, Report), String> {
    let options = Options { writers: 1, batches: calls.batches, ..Options::default() };
    let mut store = Store::new(program, word, calls.seed, &options)?;
    store.config.background = 0;
    let inject = format!("inject={kind}:signal=SIGKILL:when={k}");
    let trace = format!("trace={kind}");
    let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let under: Vec<String> = under.map(String::from).into();
    let mut running = store.start(calls.sessions, option_set, &under)?;
    let status = running.wait()?;
    let was_killed = !status.success();
    let told = if was_killed { running.kill()? } else { running.finish()? };
    store.judge.observe(&told)?;
    store.judge.record_crash(Durability::Buffered);
    store.look()?;
    Ok((was_killed, store.judge.report))
}
