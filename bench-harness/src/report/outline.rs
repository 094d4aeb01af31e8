//! The facts about a run that its tables need besides the rows, from a plan or from the manifest of a finished run.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Failure, Outcome};
use crate::plan::{Plan, SetUp};
use crate::row::Row;
use crate::workload::Workload;

/// The plan of a run as its manifest keeps it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outline {
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
    /// The promise that was asked for.
    pub(crate) durability: String,
    /// The memory budget of each engine.
    pub(crate) memory_budget_bytes: u64,
    /// The engine that ratios refer to.
    pub(crate) baseline: Option<String>,
    /// How the engines were set up; a manifest has them beside the plan.
    #[serde(default)]
    pub(crate) set_ups: Vec<SetUp>,
}

/// A run that ended, read from its folder.
#[derive(Clone, Debug)]
pub(crate) struct FinishedRun {
    /// Its plan.
    pub(crate) outline: Outline,
    /// The command line behind the program's name.
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
    plan: Outline,
    #[serde(default)]
    engines: Vec<SetUp>,
    environment: serde_json::Value,
    outcome: String,
}

impl Outline {
    /// The outline of a run about to begin.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            run_id: plan.run_id.clone(),
            engines: plan.engines.iter().map(|engine| engine.name.to_string()).collect(),
            workloads: plan.workloads.clone(),
            blocks: plan.blocks,
            seed: plan.seed,
            durability: plan.durability.to_string(),
            memory_budget_bytes: plan.memory_budget_bytes,
            baseline: plan.baseline.clone(),
            set_ups: plan.set_ups(),
        }
    }
}

impl FinishedRun {
    /// Reads the run in `folder`.
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let path = folder.join("manifest.json");
        let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let broken = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::usage(format!("{} is not what a run leaves: {error}", path.display()))
        };
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| broken(&path, &error))?;
        let path = folder.join("summary.csv");
        let rows =
            csv::Reader::from_path(&path).and_then(|reader| reader.into_deserialize().collect());
        Ok(Self {
            outline: Outline { set_ups: manifest.engines, ..manifest.plan },
            command: manifest.command,
            environment: manifest.environment,
            outcome: manifest.outcome,
            rows: rows.map_err(|error| broken(&path, &error))?,
        })
    }
}
