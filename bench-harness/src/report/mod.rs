//! Tables from rows. The printed tables and `report.md` are the same tables; both come from the rows of
//! `summary.csv` alone.

mod columns;
mod comparison;
mod line;
mod markdown;
mod outline;
mod peers;
mod ranking;
mod rows_file;
mod summary;
mod text;

pub(crate) use comparison::{Comparison, compare};
pub(crate) use markdown::{LEGEND, render as render_markdown};
pub(crate) use outline::{FinishedRun, MemoryLimit, Outline};
pub(crate) use peers::render as render_peers;
pub(crate) use ranking::{Contestant, Ranking};
pub(crate) use summary::render as render_summary;
pub(crate) use text::{render as render_text, render_set_ups as render_set_ups_text, wrap};
