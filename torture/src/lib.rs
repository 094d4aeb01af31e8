//! Suites that torture any engine behind the contract of `kv`.
//!
//! A test file implements [`Subject`] and calls the suites; each returns a [`Report`] of how much it visited, or a
//! [`Failure`] with a line that [`replay`] repeats.
#![forbid(unsafe_code)]

pub mod conformance;
mod generate;
pub mod histories;
mod line;
mod minimise;
mod observe;
mod oracle;
mod random;
mod replay;
mod report;
mod run;
mod script;
mod stepper;
mod subject;
pub mod toy;
mod universe;
mod walk;
mod world;

pub use replay::replay;
pub use report::{Failure, Report};
pub use subject::{Opened, Subject};
