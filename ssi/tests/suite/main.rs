//! Facts about the checker of histories.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod anomalies;
mod certifiers;
mod execution;
mod formats;
mod mutants;
mod oracle;
mod random_histories;
mod second_opinion;
mod story;
mod time;
