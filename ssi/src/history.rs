//! The checker of recorded histories.
//!
//! A history is a list of events. A client calls its store to begin a transaction. Later the transaction ends, committed or not,
//! with the operations that it made and the values that it read. [`check`] builds the dependency graph of the transactions
//! (Adya 1999), finds its cycles, and says which isolation levels the store kept:
//!
//! ```
//! use ssi::history::{AnomalyKind, IsolationLevel, check, read_json_lines};
//! let skewed = r#"{"type":"invoke","process":0}
//! {"type":"invoke","process":1}
//! {"type":"ok","process":0,"commit":1,"value":[["r","x",null],["r","y",null],["w","x",1]]}
//! {"type":"ok","process":1,"commit":2,"value":[["r","x",null],["r","y",null],["w","y",1]]}"#;
//! let report = check(&read_json_lines("skewed.jsonl", skewed.as_bytes())?)?;
//! assert_eq!(report.count(AnomalyKind::G2Item), 1);
//! assert!(report.holds(IsolationLevel::SnapshotIsolation));
//! assert!(!report.holds(IsolationLevel::Serializable));
//! assert_eq!(report.anomalies[0].to_string().lines().collect::<Vec<_>>(), [
//!     "G2-item: each transaction missed a write of the next one (write skew)",
//!     r#"  transaction 0 read no "y" before transaction 1 wrote "y" = 1"#,
//!     r#"  transaction 1 read no "x" before transaction 0 wrote "x" = 1"#,
//! ]);
//! # Ok::<_, kv::Error>(())
//! ```
//!
//! # How a check works
//!
//! 1. `write_index`, `installed`: who wrote each value, and whose writes count. A transaction of unknown outcome counts if a
//!    committed one read a value of it.
//! 2. `placement`, `versions`, `version_order`: the versions of each key and their order.
//! 3. `observation`: the reads of a transaction that are not of its own writes.
//! 4. `dependencies`, `scan_index`, `time_order`: edges of the graph. ww from a version to the next one; wr from a writer to
//!    its readers; rw from the readers of a version to the writer of the next; the same for keys that a scan did not find;
//!    sessions and real time. Auxiliary nodes keep the graph linear in the size of the history.
//! 5. `components`: the strongly connected components (Tarjan 1972) of four parts of the graph. All edges of writes and
//!    reads decide read committed. All dependencies of operations decide serializability, and with the edges of time strict
//!    serializability. Snapshot isolation allows exactly those cycles that have two anti-dependencies in a row (Cerone and
//!    Gotsman 2016). So `View::separated` walks all edges, and never takes two anti-dependencies in a row.
//! 6. `cycle_search`, `cycle`, `explain`: a short cycle of each component, its name and its story.
//!
//! # The format
#![doc = include_str!("../HISTORY.md")]

mod anomaly;
mod anomaly_text;
mod builder;
mod check;
mod components;
mod cycle;
mod cycle_search;
mod dependencies;
mod edn;
mod edn_source;
mod event;
mod explain;
mod graph;
mod installed;
mod json_lines;
mod kinds;
mod level;
mod list_reads;
mod model;
mod observation;
mod placement;
mod read_fault;
mod reader;
mod report;
mod scan_index;
mod text_table;
mod time_order;
mod version_order;
mod versions;
mod view;
mod write_index;
mod writer;

pub use anomaly::{Anomaly, AnomalyKind, BadRead, Dependency, Evidence, TimeOrder, TransactionRef};
pub use builder::{Completion, HistoryBuilder};
pub use check::check;
pub use edn::read_edn;
pub use json_lines::read_json_lines;
pub use kinds::DependencyKind;
pub use level::IsolationLevel;
pub use model::{History, Operation, Outcome, Scalar};
pub use reader::read;
pub use report::Report;
pub use writer::write_json_lines;
