//! A cell: one engine, one workload, one block, in one fresh process on one fresh directory.
//!
//! All data is made before the engine is opened, then the phases run in order, and at the end everything that the
//! engine holds is compared with the model.

mod final_check;
mod job;
mod measured;
mod phase_runner;
mod prepare;
mod run;

pub(crate) use job::Job;
pub(crate) use run::run;
