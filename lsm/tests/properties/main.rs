//! The properties of every strategy, on trees of real keys, and the mistakes that prove that each can fail.
//!
//! | property | statement |
//! |---|---|
//! | P1 | without writes there are only so many compactions, at each urgency |
//! | P2 | the files of a run do not overlap, and the runs of a level are in the order of their ages |
//! | P3 | the first run that has a key has its newest entry, now and for a snapshot |
//! | P4 | plans in flight share no input and no range of an output run |
//! | P5 | if a score reaches the threshold and nothing is in flight, there is a plan |
//! | P6 | what goes (tombstones, expired entries, deleted ranges, files without being read) brings nothing back; it does go |
//! | P7 | the debt changes by at most a constant factor of the bytes added and removed |
//! | P8 | a change of the strategy writes less than the tree has bytes; from size-tiered to leveled, twice as much |
//! | P9 | write, read and space amplification of uniform overwrites lie within their bands |
//! | P10 | a plan reads no more than its limit, unless one file with its overlaps has more |
//! | P11 | no plan for sizes or runs moves entries into a level that is stopped |
//! | P12 | the parts of a plan follow each other from its first key to its last; their outputs are the outputs of the plan |
//! | P13 | a compacted range has its keys in one run, without obsolete entries |
//!
//! A history is a seed: it repeats when a failed test prints it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod bands;
mod checks;
mod contents;
mod debts;
mod elision;
mod histories;
mod history;
mod lifetimes;
mod oracle;
mod parts;
mod plans;
mod planted;
mod presets;
mod random;
mod reclaim;
mod restore;
mod slow_device;
mod stop;
mod switching;
mod world;
