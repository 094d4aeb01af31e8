//! Facts about the checker of histories.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod anomalies;
mod formats;
mod oracle;
mod random_histories;
mod story;
mod time;
