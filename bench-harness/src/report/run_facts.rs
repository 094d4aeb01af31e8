//! The facts about a run that its tables need besides the rows, from a plan or from the manifest of a finished run.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows_file;
use crate::failure::{Failure, Outcome};
use crate::plan::{EngineSettings, Plan};
use crate::quantity::show_bytes;
use crate::row::Row;
use crate::workload::Workload;

/// The plan of a run as its manifest keeps it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RunFacts {
    /// The name of the run.
    pub(crate) run_id: String,
    /// The engines, in the order of the registry.
    pub(crate) engines: Vec<String>,
    /// The workloads with the sizes of the run.
    pub(crate) workloads: Vec<(String, Workload)>,
    /// How often every engine ran every workload.
    pub(crate) blocks: u32,
    /// The seed of all randomness.
    pub(crate) seed: u64,
    /// The durability class that was asked for.
    pub(crate) durability: String,
    /// The memory budget of each engine.
    pub(crate) memory_budget_bytes: u64,
    /// The limit of the memory of cells; a manifest has it beside the plan.
    #[serde(default)]
    pub(crate) memory_limit: Option<MemoryLimit>,
    /// The engine that ratios refer to.
    pub(crate) baseline: Option<String>,
    /// How the engines were set up; a manifest has them beside the plan.
    #[serde(default)]
    pub(crate) engine_settings: Vec<EngineSettings>,
}

/// The limit of the memory of each cell's process, page cache included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryLimit {
    /// The limit that was asked for.
    pub(crate) limit_bytes: u64,
    /// The least and the most that it was raised by for a cell: the memory of the harness.
    pub(crate) raised_by_bytes: [u64; 2],
}

/// A run that ended, read from its folder.
#[derive(Clone, Debug)]
pub(crate) struct FinishedRun {
    /// Its plan.
    pub(crate) facts: RunFacts,
    /// The command line after the program's name.
    pub(crate) command: Vec<String>,
    /// Machine and build.
    pub(crate) environment: serde_json::Value,
    /// How it ended.
    pub(crate) outcome: String,
    /// Its rows.
    pub(crate) rows: Vec<Row>,
}

/// The parts of a manifest that are read back.
#[derive(Deserialize)]
struct Manifest {
    command: Vec<String>,
    plan: RunFacts,
    #[serde(default)]
    engines: Vec<EngineSettings>,
    #[serde(default)]
    memory_limit: Option<MemoryLimit>,
    environment: serde_json::Value,
    outcome: String,
}

impl RunFacts {
    /// The facts of a run that has left `rows`.
    pub(crate) fn of(plan: &Plan, rows: &[Row]) -> Self {
        let own = || rows.iter().filter_map(|row| row.harness_bytes);
        let memory_limit = plan.limit_memory_bytes.map(|limit_bytes| MemoryLimit {
            limit_bytes,
            raised_by_bytes: [own().min().unwrap_or_default(), own().max().unwrap_or_default()],
        });
        Self {
            run_id: plan.run_id.clone(),
            engines: plan.engines.iter().map(|engine| engine.name.to_string()).collect(),
            workloads: plan.workloads.clone(),
            blocks: plan.blocks,
            seed: plan.seed,
            durability: plan.durability.to_string(),
            memory_budget_bytes: plan.memory_budget_bytes,
            memory_limit,
            baseline: plan.baseline.clone(),
            engine_settings: plan.engine_settings(),
        }
    }

    /// The limit of the memory of cells as a part of a title; empty without one.
    pub(crate) fn show_limit(&self) -> String {
        self.memory_limit.map_or(String::new(), |limit| {
            let show = |bytes: u64| show_bytes(bytes as f64);
            let [least, most] = limit.raised_by_bytes.map(show);
            let raised = if least == most { least } else { format!("{least} to {most}") };
            let limit = show(limit.limit_bytes);
            format!(", memory of each process limited to {limit} with page cache, + {raised} for the harness")
        })
    }
}

impl FinishedRun {
    /// Reads the run in `folder`.
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let path = folder.join("manifest.json");
        let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not what a run leaves: {error}", path.display()))
        })?;
        let rows = rows_file::read(&folder.join("summary.csv"), &manifest.plan)?;
        Ok(Self {
            facts: RunFacts {
                engine_settings: manifest.engines,
                memory_limit: manifest.memory_limit,
                ..manifest.plan
            },
            command: manifest.command,
            environment: manifest.environment,
            outcome: manifest.outcome,
            rows,
        })
    }
}
