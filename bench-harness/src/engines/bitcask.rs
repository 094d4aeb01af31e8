//! `bitcask`: with its defaults. It has no cache that a memory budget could limit; the size of its keydir follows from the keys.

use bitcask::{Bitcask, Options};
use kv::Durability;

use super::Registration;

pub(super) const REGISTRATION: Registration = Registration {
    name: "bitcask",
    about: "append-only data files, a key directory in memory, hint files",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |directory, _| Ok(Box::new(Bitcask::open(directory, Options::new())?)),
    settings: |_| {
        "defaults; no cache to divide: the key directory takes 28 bytes and the key for each entry"
            .into()
    },
};
