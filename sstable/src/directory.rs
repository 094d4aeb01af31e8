//! The directory: the block that names the parts of a table which a reader finds by name.

use std::collections::BTreeMap;

use crate::block::{Block, BlockBuilder, Restarts};
use crate::damage::{Checked, Damage};
use crate::handle::BlockHandle;
use crate::key_layout::{KeyLayout, SplitKey};

/// The name of the filter block. Absent in a table without a filter.
pub(crate) const FILTER: &str = "sstable.filter";
/// The name of the top block of the index.
pub(crate) const INDEX: &str = "sstable.index";
/// The name of the block of properties.
pub(crate) const PROPERTIES: &str = "sstable.properties";

/// The directory of the blocks in `named`.
pub(crate) fn encode(named: &BTreeMap<String, BlockHandle>) -> Vec<u8> {
    let mut builder = BlockBuilder::new(KeyLayout::PLAIN, Restarts::Every(1));
    for (name, handle) in named {
        builder.add(name.as_bytes(), &handle.encode());
    }
    let mut block = Vec::new();
    builder.finish(&mut block);
    debug_assert!(named.iter().all(|(name, handle)| find(&block, name) == Ok(Some(*handle))));
    block
}

/// The handle of the block with that name in the directory `bytes`.
pub(crate) fn find(bytes: &[u8], name: &str) -> Checked<Option<BlockHandle>> {
    let block = Block::parse(bytes, 0)?;
    let found = block.search(SplitKey { stem: name.as_bytes(), suffix: &[] })?;
    if !found.is_equal {
        return Ok(None);
    }
    let value = block.value_of(found.index)?;
    let handle = BlockHandle::decode(&bytes[value.clone()]);
    handle.map(Some).ok_or(Damage::new(value.start, "a handle of another length"))
}
