//! Workloads are data: TOML files that say what to load, which operations to mix, and how to pick keys.
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
