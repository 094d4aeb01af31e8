//! A cell: one engine, one workload, one block, in one fresh process on one fresh directory.
//!
//! All data is made before the engine is opened. Then the phases run in order. At the end, the whole content of the engine
//! is compared with the model. The content of an engine of class `none` is compared in its own process. The process of any other
//! is killed after its last acknowledged write, and a second process opens the store and compares it (`kill_check`).

mod draw;
mod expected;
mod final_check;
mod harness_share;
mod instruments;
mod job;
mod kill_check;
mod memory_use;
mod new_keys;
mod ops_over_time;
mod phase_clients;
mod phase_result;
mod phase_span;
mod phase_streams;
mod prepare;
mod reopen;
mod rows;
mod run;
mod settle;
mod sweep;
mod sync_count;
#[cfg(test)]
mod tests;
mod window_run;
mod workload_input;

pub(crate) use job::Job;
pub(crate) use kill_check::check_after_kill;
pub(crate) use run::{Ending, run};

/// The share of a phase's time that it runs before it is measured, if nothing but time ends it.
const WARM_UP: f64 = 0.1;
