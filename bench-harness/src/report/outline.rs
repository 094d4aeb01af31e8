//! What the tables need to know about a run beside its rows.

use crate::plan::{Plan, SetUp};
use crate::workload::Workload;

/// A run.
#[derive(Clone, Debug)]
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
    /// What each engine could use.
    pub(crate) memory_budget_bytes: u64,
    /// The engine that ratios refer to.
    pub(crate) baseline: Option<String>,
    /// How the engines were set up.
    pub(crate) set_ups: Vec<SetUp>,
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
