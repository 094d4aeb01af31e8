//! The names of a store's files. They are made from numbers only; nothing else is ever opened or removed.

use durable::store_dir::NamePattern;

/// `<id>.data`: records.
pub(crate) const DATA: NamePattern = NamePattern::new("", ".data");

/// `<id>.hint`: the keys of the data file with the same number.
pub(crate) const HINT: NamePattern = NamePattern::new("", ".hint");

/// `<id>.hint.tmp`: a hint file that was being written.
pub(crate) const HINT_TEMPORARY: NamePattern = NamePattern::new("", ".hint.tmp");
