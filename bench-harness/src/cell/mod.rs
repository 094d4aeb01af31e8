//! A cell: one engine, one workload, one block, in one fresh process on one fresh directory.
//!
//! All data is made before the engine is opened. Then the phases run in order. At the end, the whole content of the engine
//! is compared with the model. What an engine of class `none` holds is compared in its own process. The process of any other
//! is killed after its last acknowledged write, and a second process opens the store and compares it (`survivor`).

mod clients;
mod crew;
mod expected;
mod final_check;
mod job;
mod measured;
mod memory_use;
mod prepare;
mod run;
mod series;
mod settle;
mod survivor;
mod sweep;
mod sync_count;
#[cfg(test)]
mod tests;

pub(crate) use job::Job;
pub(crate) use run::{Ending, run};
pub(crate) use survivor::check;
