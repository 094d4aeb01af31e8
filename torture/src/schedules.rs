//! Schedules of concurrent transactions, as readable text, run step by step in one thread.
//!
//! [`ISOLATION`] is the text; its head documents the notation. [`parse`] reads it, and [`Schedule::run`] runs one schedule on
//! any engine with transactions. The run checks each read and compares the transactions that lost with the ones that the text
//! names for one rule of isolation. It returns the conflicts, so that the caller can check more of them.
//!
//! ```
//! # fn check(store: &dyn Fn() -> Box<dyn kv::Transactional>) -> Result<(), String> {
//! for schedule in torture::schedules::parse(torture::schedules::ISOLATION)? {
//!     if schedule.has_verdict_for("si") {
//!         schedule.run(store().as_ref(), "si")?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod parse;
mod run;
mod step;

pub use parse::parse;
pub use run::{Lost, Ran};
pub use step::{Filter, Scan, Step};

/// The schedules of the anomalies in the literature, and further ones.
pub const ISOLATION: &str = include_str!("../schedules/isolation.txt");

/// The rules of isolation that the text knows.
pub const RULES: [&str; 8] = ["si", "rsv", "cahill", "ssi", "lazy", "ssn-rt", "pssi-rt", "pssi"];

/// One schedule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Schedule {
    /// Its name, unique in the text.
    pub name: String,
    /// What it shows, as a sentence.
    pub about: String,
    /// The entries that are committed before it begins.
    pub setup: Vec<(String, String)>,
    /// The steps, each with the number of its transaction.
    pub steps: Vec<(u64, Step)>,
    /// The rules whose verdict is known.
    rules: Vec<&'static str>,
    /// Which transactions lose under which rules.
    verdicts: Vec<Verdict>,
}

/// The transactions that lose under some rules.
#[derive(Clone, Debug)]
struct Verdict {
    victims: Vec<Victim>,
    rules: Vec<&'static str>,
}

/// A transaction that loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Victim {
    /// Its number in the schedule.
    pub transaction: u64,
    /// It loses because another transaction wrote first.
    pub is_write_conflict: bool,
}

impl Schedule {
    /// Whether the text says which transactions lose under `rule`.
    pub fn has_verdict_for(&self, rule: &str) -> bool {
        self.rules.contains(&rule)
    }

    /// The transactions that lose under `rule`, ascending.
    pub fn victims(&self, rule: &str) -> Vec<Victim> {
        let of_rule = self.verdicts.iter().filter(|verdict| verdict.rules.contains(&rule));
        let mut victims: Vec<_> = of_rule.flat_map(|verdict| verdict.victims.clone()).collect();
        victims.sort_unstable();
        victims
    }
}
