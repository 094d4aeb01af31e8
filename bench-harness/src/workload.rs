//! Workloads are data: TOML files that name the records to load, the operations to mix, and the way to pick keys.
//!
//! The built-in ones are such files too, so each can be read, copied and changed.

mod catalog;
mod check;
mod fields;
mod file;
mod spec;

pub(crate) use catalog::Catalog;
pub(crate) use fields::{Bytes, Count, LengthRange, Span};
pub(crate) use spec::{LoadOrder, Mix, Phase, PhaseKind, SweepDirection, Workload};
