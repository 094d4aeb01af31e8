//! The job of a worker process.

use std::path::PathBuf;
use std::time::Duration;

use kv::Durability;
use serde::{Deserialize, Serialize};

use super::settle::LONGEST_WAIT;
use crate::engines::{EngineConfig, Registration};
use crate::row::{Row, SCHEMA_VERSION};
use crate::workload::{Phase, Workload};

/// Warm-ups take at most one part in this many of the time of their phases.
const WARM_UP_PART: u32 = 4;

/// All that a worker needs to know to run one cell. It goes to the worker as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The run that the rows belong to.
    pub(crate) run_id: String,
    /// Repetition, from 1.
    pub(crate) block: u32,
    /// Position within the block, from 1.
    pub(crate) order: u32,
    /// The engine's name.
    pub(crate) engine: String,
    /// The workload's name.
    pub(crate) workload_name: String,
    /// The workload with the sizes of this run.
    pub(crate) workload: Workload,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// The durability class to ask for, unless the workload has its own: by its name.
    pub(crate) durability: String,
    /// Operations a second that mixes shall make, on a schedule; as many as possible without.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    /// The memory budget of the engine.
    pub(crate) memory_budget_bytes: u64,
    /// The limit of the memory of the process, beyond that of the harness: the parent sets it when everything is prepared.
    #[serde(default)]
    pub(crate) limit_memory_bytes: Option<u64>,
    /// The fresh directory.
    #[serde(with = "os_path")]
    pub(crate) directory: PathBuf,
    /// The time in which the cell should end; phases are cut short to keep it.
    pub(crate) time_limit: Option<Duration>,
    /// The length of a stream of random operations, which then starts over.
    pub(crate) stream_steps: usize,
}

impl Job {
    /// The rows of a cell that was killed because it did not fit into its memory: every phase, without figures. Those of the
    /// phases that had ended count no more than the others, because nobody compared the content at the end.
    pub(crate) fn rows_without_figures(&self) -> Vec<Row> {
        let phases = self.workload.phase.iter().filter(|phase| phase.rest.is_none());
        let row = |phase: &Phase| Row {
            schema_version: SCHEMA_VERSION,
            run_id: self.run_id.clone(),
            block: self.block,
            order: self.order,
            engine: self.engine.clone(),
            workload: self.workload_name.clone(),
            threads: phase.threads.or(self.workload.threads).unwrap_or(1),
            durability: self.durability().to_string(),
            phase: phase.name.clone(),
            op: "all".into(),
            did_not_fit: Some(true),
            ..Row::default()
        };
        phases.map(row).collect()
    }

    /// The time that the phases ask for by themselves, warm-up included.
    pub(crate) fn asked_time(&self) -> Duration {
        let own_time =
            |phase: &Phase| phase.duration.or(phase.rest).map_or(Duration::ZERO, |span| span.0);
        let on_schedule = |phase: &Phase| {
            let seconds = phase.ops.zip(self.rate).map(|(ops, rate)| ops.0 as f64 / rate);
            let time = seconds.map(Duration::try_from_secs_f64);
            time.map_or(Duration::ZERO, |time| time.unwrap_or(Duration::MAX))
        };
        let phases = self.workload.phase.iter();
        let times = phases.map(|phase| own_time(phase).max(on_schedule(phase)));
        let sum = times.fold(Duration::ZERO, Duration::saturating_add);
        let is_in_sum = |phase: &Phase| own_time(phase) <= sum;
        assert!(self.workload.phase.iter().all(is_in_sum), "no phase is left out");
        sum.saturating_add(sum / WARM_UP_PART)
    }

    /// The most time in which the cell waits for the engine to rest. It counts against no limit.
    pub(crate) fn longest_waits(&self) -> Duration {
        LONGEST_WAIT.saturating_mul(self.workload.phase.len() as u32)
    }

    /// The configuration that the engine of `registration` is opened with, each time.
    pub(super) fn config(&self, registration: &Registration) -> EngineConfig {
        EngineConfig {
            memory_budget_bytes: self.memory_budget_bytes,
            durability: registration.effective_durability(self.durability()),
            value_bytes: self.workload.value_len(),
            limit_memory_bytes: self.limit_memory_bytes,
        }
    }

    /// The file with the expected content of the store: next to the engine's directory, not in it.
    pub(crate) fn expected_path(&self) -> PathBuf {
        self.directory.with_extension("expected")
    }

    /// The durability class that writes ask for.
    pub(crate) fn durability(&self) -> Durability {
        let asked = crate::durability::parse(&self.durability).unwrap_or_default();
        self.workload.durability.unwrap_or(asked)
    }
}

/// A path as its bytes: it need not be Unicode.
mod os_path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_bytes().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(OsString::from_vec(Vec::deserialize(from)?).into())
    }
}

#[cfg(test)]
impl Job {
    /// A job of tests: the first cell of a run, without a directory and without limits.
    pub(crate) fn of_tests(engine: &str, durability: &str, workload: &str) -> Self {
        Self {
            run_id: "run".into(),
            block: 1,
            order: 1,
            engine: engine.into(),
            workload_name: "w".into(),
            workload: serde_json::from_str(workload).unwrap(),
            seed: 1,
            durability: durability.into(),
            rate: None,
            memory_budget_bytes: 1 << 20,
            limit_memory_bytes: None,
            directory: PathBuf::new(),
            time_limit: None,
            stream_steps: 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(workload: &str) -> Job {
        Job::of_tests("memory", "none", workload)
    }

    const THREE_HOURS: &str = r#"{"about": "", "records": 10, "phase": [
        {"name": "load", "load": "random"}, {"name": "pause", "rest": "60m"},
        {"name": "get", "mix": {"get": 1}, "duration": "120m"},
        {"name": "put", "mix": {"put": 1}, "ops": 7200}]}"#;

    #[test]
    fn a_killed_cell_has_no_figures_in_any_phase() {
        let rows = job(THREE_HOURS).rows_without_figures();
        let phases: Vec<_> = rows.iter().map(|row| row.phase.as_str()).collect();
        assert_eq!(phases, ["load", "get", "put"]);
        for row in &rows {
            assert_eq!(
                (row.did_not_fit, row.throughput_ops_s, row.verified),
                (Some(true), None, 0)
            );
        }
    }

    #[test]
    fn a_cell_is_given_the_time_that_its_phases_ask_for() {
        let job = job(THREE_HOURS);
        let hours = |job: &Job| job.asked_time().as_secs_f64() / 3600.0;
        assert!((3.0..4.0).contains(&hours(&job)), "{}", hours(&job));
        // 7,200 operations, one a second.
        let slow = Job { rate: Some(1.0), ..job };
        assert!((5.0..7.0).contains(&hours(&slow)), "{}", hours(&slow));
        let endless = Job { rate: Some(f64::MIN_POSITIVE), ..slow };
        assert_eq!(endless.asked_time(), Duration::MAX);
    }
}
