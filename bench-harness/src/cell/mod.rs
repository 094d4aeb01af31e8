//! A cell: one engine, one workload, one block, in one fresh process on one fresh directory.
//!
//! All data is made before the engine is opened. Then the phases run in order. At the end, the whole content of the engine
//! is compared with the model.

mod clients;
mod crew;
mod final_check;
mod job;
mod measured;
mod memory_use;
mod prepare;
mod run;
mod series;
mod sweep;
#[cfg(test)]
mod tests;

pub(crate) use job::Job;
pub(crate) use run::run;
