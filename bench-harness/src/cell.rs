//! A cell: one engine, one workload, one block, in one fresh process on one fresh directory.
//!
//! All data is made before the engine is opened. Then the phases run in order. At the end, the whole content of the engine
//! is compared with the model. The content of an engine of class `none` is compared in its own process. The process of any other
//! is killed after its last acknowledged write, and a second process opens the store and compares it (`survivor`).

mod baseline;
mod draw;
mod expected;
mod final_check;
mod instruments;
mod job;
mod memory_use;
mod new_keys;
mod ops_over_time;
mod phase_clients;
mod phase_result;
mod phase_streams;
mod prepare;
mod reopen;
mod rows;
mod run;
mod settle;
mod survivor;
mod sweep;
mod sync_count;
#[cfg(test)]
mod tests;
mod window_run;
mod workload_input;

pub(crate) use job::Job;
pub(crate) use run::{Ending, run};
pub(crate) use survivor::check;

/// The share of a phase's time that it runs before it is measured, if nothing but time ends it.
const WARM_UP: f64 = 0.1;
