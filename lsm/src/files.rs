//! The names of a store's files.
//!
//! A name belongs to the store if a regular file has it, and if it follows one of these patterns to the letter. Its number
//! is below [`FILE_ID_LIMIT`]. Logs and tables share one sequence of numbers. Everything else in the directory is foreign:
//! it is never opened, renamed or removed. If a foreign entry has the name of a new file, the new file gets the next number.

use durable::store_dir::NamePattern;

/// Numbers of files are below this. A store that makes 1,000 files a second reaches it after 8,900 years.
pub(crate) const FILE_ID_LIMIT: u64 = 1 << 48;

/// `<number>.log`: a segment of the write-ahead log.
pub(crate) const LOG: NamePattern = NamePattern::new("", ".log").below(FILE_ID_LIMIT);

/// `<number>.table`: a sorted table.
pub(crate) const TABLE: NamePattern = NamePattern::new("", ".table").below(FILE_ID_LIMIT);
