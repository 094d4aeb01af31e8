//! The job of a worker process.

use std::path::PathBuf;
use std::time::Duration;

use kv::Durability;
use serde::{Deserialize, Serialize};

use crate::row::{Row, SCHEMA_VERSION};
use crate::workload::{Phase, Workload};

/// The whole order for one cell. It goes to the worker as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The run that the rows belong to.
    pub(crate) run_id: String,
    /// Repetition, from 1.
    pub(crate) block: u32,
    /// Place within the block, from 1.
    pub(crate) order: u32,
    /// The engine's name.
    pub(crate) engine: String,
    /// The workload's name.
    pub(crate) workload_name: String,
    /// The workload with the sizes of this run.
    pub(crate) workload: Workload,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// The promise to ask for, unless the workload has its own: by its name.
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
    pub(crate) limit: Option<Duration>,
    /// The length of a stream of random operations, which then starts over.
    pub(crate) stream_steps: usize,
}

impl Job {
    /// The rows of the phases for which `rows` has none: those of a cell that was killed because it did not fit into its
    /// memory.
    pub(crate) fn rows_without_figures(&self, rows: &[Row]) -> Vec<Row> {
        let is_measured = |name: &str| rows.iter().any(|row| row.phase == name);
        let phases = self.workload.phase.iter();
        let phases = phases.filter(|phase| phase.rest.is_none() && !is_measured(&phase.name));
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

    /// The promise that writes ask for.
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
