//! The suites with real processes, and the machinery that they share.
//!
//! A suite starts a child process, ends it at some moment, and judges the store that the child leaves.
//!
//! 1. The child is this very program, started again to run one of its tests ([`Program`]). It opens the engine on the
//!    real disk and writes from several threads, session after session. It closes or drops the engine after each.
//! 2. Before each write, and after each acknowledgement, the child appends a line to a journal. The journal is a file
//!    beside the store, on a file system of its own, so it survives the child and a power cut.
//! 3. At the start of each session the child writes the whole content that its opening found to the journal.
//! 4. The parent reads the journal and judges each opening by the crash invariant. The store holds all batches up to some
//!    sequence number, whole, and nothing else. That number is not below the last write that was promised to survive.
//! 5. A child that dies while it opens the store tells nothing. The next child's opening is judged in its place.
//!
//! Each value names the write that put it, and each batch follows from its name. So the journal need not hold values.
//!
//! The content of the writes follows from the seed. Their timing, and the moment at which the child ends, do not. A
//! failure cannot be repeated from a line; the files that it leaves have to explain it.

mod child;
mod config;
mod journal;
mod judgement;
pub mod kill;
mod ledger;
mod lives;
mod order;
mod parent;
pub mod power;
mod program;
mod work;

pub use program::Program;
