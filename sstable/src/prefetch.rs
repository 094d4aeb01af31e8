//! Loading parts of a data block ahead of its search.
//!
//! In a table larger than the caches of the processor, a search waits for main memory twice: for the header and the heads of the
//! block, and for the entry that they lead to. The hint of the filter tells about where the entry is. So both are asked for
//! before the search begins, and it waits once.

use durable::prefetch_lines;

use crate::filter::start_of;
use crate::handle::BlockHandle;
use crate::table::Table;

/// In most tables, the header, the heads and the ends of a block lie in so many bytes.
const HEADS_BYTES: usize = 256;

/// How many bytes are loaded from the place of a hint on.
const ENTRY_BYTES: usize = 128;

impl Table {
    /// Loads the first lines of the data block at `handle`, and those that the hint of the stem with `hash` names. To be called
    /// right after the filter was asked about that stem.
    #[inline]
    pub(crate) fn prefetch(&self, handle: BlockHandle, hash: u64) {
        let Some(mapped) = self.source().raw().mapped() else { return };
        let Some(block) = block_at(mapped, handle) else { return };
        prefetch_lines(&block[..block.len().min(HEADS_BYTES)]);
        let hint = self.filter().and_then(|filter| filter.hint(hash));
        if let Some(hint) = hint {
            let start = start_of(hint, block.len());
            let end = block.len().min(start + ENTRY_BYTES);
            prefetch_lines(&block[start..end]);
        }
    }
}

/// The block at `handle`. `None`: a forged handle that leads out of the file.
#[inline]
fn block_at(mapped: &[u8], handle: BlockHandle) -> Option<&[u8]> {
    let start = usize::try_from(handle.offset).ok()?;
    mapped.get(start..)?.get(..handle.len as usize)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use durable::{FileWriter, Fs as _, SimFs};

    use super::*;
    use crate::block::Block;
    use crate::filter::hash_stem;
    use crate::key_layout::SplitKey;
    use crate::options::{BuildOptions, ReadOptions};
    use crate::table_builder::TableBuilder;
    use crate::table_id::TableId;

    fn build(options: BuildOptions) -> Arc<Table> {
        let disk = SimFs::new();
        let path = Path::new("table");
        let writer = FileWriter::create(&disk, path).unwrap();
        let mut builder = TableBuilder::new(writer, TableId([1; 16]), options).unwrap();
        for number in 0..20_000_u32 {
            builder.add(&number.to_be_bytes(), &[number as u8; 100]).unwrap();
        }
        builder.finish(&disk).unwrap();
        Arc::new(Table::open(disk.open(path).unwrap(), &ReadOptions::default()).unwrap())
    }

    #[test]
    fn hints_lead_to_the_lines_of_the_entries() {
        let table = build(BuildOptions::default());
        let mapped = table.source().raw().mapped().unwrap();
        let is_near = |number: &u32| {
            let key = number.to_be_bytes();
            let sought = SplitKey { stem: &key, suffix: &[] };
            let handle = table.find_data_block(&sought).unwrap().unwrap();
            let bytes = block_at(mapped, handle).unwrap();
            let block = Block::parse(bytes, 0).unwrap();
            let at = block.start_of(block.search(sought).unwrap().index).unwrap();
            let hint = table.filter().unwrap().hint(hash_stem(&key)).unwrap();
            let start = start_of(hint, bytes.len());
            start <= at && at - start < 64
        };
        let near = (0..20_000).filter(is_near).count();
        assert!(near > 17_800, "{near} of 20,000");
    }

    #[test]
    fn without_hints_or_in_a_forged_place_nothing_is_read() {
        let table = build(BuildOptions { hints: false, ..BuildOptions::default() });
        let mapped = table.source().raw().mapped().unwrap();
        assert_eq!(table.filter().unwrap().hint(hash_stem(b"any")), None);
        for offset in [0, table.len_bytes() - 1, table.len_bytes(), u64::MAX] {
            let handle = BlockHandle { offset, len: 100 };
            assert_eq!(block_at(mapped, handle).is_some(), offset == 0);
            table.prefetch(handle, hash_stem(b"any"));
        }
    }
}
