//! The names of a store's files.
//!
//! A name belongs to the store if a regular file has it, and if it follows one of these patterns to the letter. Its number is
//! below [`FILE_ID_LIMIT`]. Everything else in the directory is foreign: it is never opened, renamed or removed. If a
//! foreign entry has the name of a new data file, the new file gets the next number.

use durable::store_dir::NamePattern;

/// Ids of data files are below this. A store that begins 1,000 files a second reaches it after 8,900 years.
pub(crate) const FILE_ID_LIMIT: u64 = 1 << 48;

/// `<id>.data`: records.
pub(crate) const DATA: NamePattern = NamePattern::new("", ".data").below(FILE_ID_LIMIT);

/// `<id>.hint`: the keys of the data file with the same number.
pub(crate) const HINT: NamePattern = NamePattern::new("", ".hint").below(FILE_ID_LIMIT);

/// `<id>.hint.tmp`: a hint file that was being written.
pub(crate) const HINT_TEMPORARY: NamePattern =
    NamePattern::new("", ".hint.tmp").below(FILE_ID_LIMIT);
