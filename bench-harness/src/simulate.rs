//! `kvbench simulate`: the compaction strategies of `lsm` on metadata alone, up to 10 billion keys.
//!
//! A simulation loads all keys in their order and writes a workload until the tree is in a steady state. Then it measures
//! write, read and space amplification. Each flush is followed by every compaction that is mandatory, one after the other.
//!
//! # The model
//!
//! No file has content. For amplification only sizes matter, that is how many different keys the union of some files has.
//! The model answers that from one number for each file, its **window**: how many operations on the whole key space the
//! file stands for. It rests on two facts:
//!
//! - Compactions keep the order of ages. So for each key, the entries of a run are those of one interval of time, and adjacent
//!   runs have adjacent intervals. A merge joins the intervals: **windows add up**.
//! - Popular keys are spread over the key space (they are hashed). So each range of keys has the same mixture, and the share of
//!   its keys with an entry depends on the window alone. This function is the **footprint** of the workload:
//!   - uniform: `1 - exp(-w / n)` of `n` keys, the expected size of a union of uniform samples (`footprint`);
//!   - zipfian: the sum of `1 - exp(-w p)` over all keys, by classes of similar `p` (`zipfian_footprint`, error below 0.1 %);
//!   - a trace: the exact average over all windows of the recorded operations, deletions and sizes included
//!     (`trace_footprint`). A larger store has more copies of the trace, each at a random place in it. The number of
//!     the copy is a part of the hashed key.
//!
//! A merge divides the key space where input files begin and end, and adds up the windows of each segment. The cutter of `lsm`
//! makes output files of them. Tombstones go where `lsm` says that they may.
//!
//! # Its errors
//!
//! - Sizes are expected values. The true ones of `k` entries vary by at most `sqrt(k)`: 0.14 % of a file of 500,000 entries.
//! - A file keeps one window, that of its average density, though its segments may have several. For uniform keys this is
//!   right to first order: the union with a file of density `d` is linear in its own density. For skewed ones it is not.
//! - A trace repeats, so that a window that is longer than the trace has every key of it.
//!
//! `tests` compares the model with the same simulation of real keys, where files have some hundred entries. Measured errors of
//! write amplification: uniform and zipfian keys at most 0.3 % for tiered strategies and 2.3 % for leveled; the trace 1.1 % and
//! 5.1 %. Space and runs: 0.3 % and 1.2 %. The model of leveled compaction writes more than the true one: real sizes
//! vary, and a strategy that looks for the smallest overlap gains from that. The tests allow 3 % (the trace 6 %) and 2 %.
//!
//! Output files end exactly where files of the next level begin: with pieces that went past such an edge by 1 / 32 of a file, the
//! model wrote 19 % too much. So a piece never goes past an edge.

mod bands;
mod chart;
mod drive;
#[cfg(test)]
mod exact_model;
mod footprint;
mod model;
mod parameters;
mod row;
mod run;
#[cfg(test)]
mod tests;
mod trace_footprint;
mod window_model;
mod workload;
mod zipfian_footprint;

pub(crate) use run::{Destination, SimulateArgs, simulate};
