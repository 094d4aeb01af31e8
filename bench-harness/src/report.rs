//! Tables from rows. The printed tables and `report.md` are the same tables; both come from the rows of
//! `summary.csv` alone.

mod alignment;
mod columns;
mod engine_line;
mod markdown;
mod peer_table;
mod phase_table;
mod ranking;
mod results;
mod rows_file;
mod run_facts;
mod summary;
mod text;

pub(crate) use markdown::render as render_markdown;
pub(crate) use peer_table::render as render_peer_tables;
pub(crate) use phase_table::{PhaseTable, compare};
pub(crate) use ranking::{Contestant, Ranking};
pub(crate) use results::render as render_results;
pub(crate) use run_facts::{FinishedRun, MemoryLimit, RunFacts};
pub(crate) use text::wrap;
