//! Building a table.
//!
//! Opening reads the end of a table alone, because its parts follow each other in this order:
//!
//! 1. data blocks, and zeros up to a cache line;
//! 2. lines of the filter;
//! 3. index blocks and named blocks;
//! 4. filter block and top block of the index;
//! 5. properties, directory and footer.

use std::collections::BTreeMap;

use durable::publish::PublishedFile;
use durable::{FileWriter, Fs};
use kv::{Error, MAX_KEY_LEN, Result};

use crate::block::{Block, BlockBuilder};
use crate::block_writer::BlockWriter;
use crate::compression::Compressor;
use crate::directory;
use crate::filter::{FilterBuilder, hash_stem};
use crate::footer::{FOOTER_LEN, Features, Footer};
use crate::handle::BlockHandle;
use crate::index_block::IndexBlockBuilder;
use crate::index_builder::IndexBuilder;
use crate::key_layout::{KeyLayout, SplitKey};
use crate::options::BuildOptions;
use crate::properties::{Properties, PropertyCollector, check_name};
use crate::stored_block::Seeds;
use crate::table_id::TableId;

/// The longest value. A block with it and a key stays below 4 GiB.
pub const MAX_VALUE_LEN: usize = (u32::MAX - (1 << 20)) as usize;

/// Builds a table from entries in ascending order.
///
/// Memory: one block, 256 KiB on their way to the file, the index (about 12 bytes for each data block), and 9 bytes for each stem.
/// Making the filter takes 5 more for each stem.
///
/// A builder that is dropped leaves a file without a footer, which no reader takes for a table.
#[expect(missing_debug_implementations, reason = "a collector is opaque")]
pub struct TableBuilder {
    out: BlockWriter,
    options: BuildOptions,
    id: TableId,
    data: BlockBuilder,
    /// The block that is being stored; kept for its memory.
    block: Vec<u8>,
    index: IndexBuilder,
    /// The separator in front of the current data block.
    separator: Vec<u8>,
    filter: FilterBuilder,
    last_key: Vec<u8>,
    properties: Properties,
    collector: Option<Box<dyn PropertyCollector>>,
    named: BTreeMap<String, BlockHandle>,
    named_blocks: Vec<(String, Vec<u8>)>,
}

/// A table that was built and made durable.
#[derive(Debug)]
pub struct BuiltTable {
    /// The proof for the manifest, with the length.
    pub file: PublishedFile,
    /// The CRC-32 of the whole file.
    pub crc: u32,
    /// The id in its footer.
    pub id: TableId,
    /// As they stand in the table.
    pub properties: Properties,
}

impl TableBuilder {
    /// A builder of a table in the new file of `writer`.
    ///
    /// # Errors
    /// `InvalidArgument` for an option out of range; `Unsupported` for a compression that this build does not have.
    ///
    /// # Panics
    /// When bytes were appended to the writer already.
    pub fn new(writer: FileWriter, id: TableId, options: BuildOptions) -> Result<Self> {
        assert_eq!(writer.len_bytes(), 0, "a table is a file of its own");
        options.check()?;
        let compressor = Compressor::new(options.compression)?;
        let layout = options.key_layout;
        Ok(Self {
            out: BlockWriter {
                writer,
                seeds: Seeds::of(id),
                compressor,
                required: Features::default(),
            },
            id,
            data: BlockBuilder::new(layout, options.restarts),
            block: Vec::new(),
            index: IndexBuilder::new(layout, options.index_block_bytes),
            separator: Vec::new(),
            filter: FilterBuilder::new(options.filter_bits_per_stem, options.has_hints()),
            last_key: Vec::new(),
            properties: Properties::default(),
            collector: None,
            named: BTreeMap::new(),
            named_blocks: Vec::new(),
            options,
        })
    }

    /// Has `collector` see every entry that is added from now on.
    pub fn collect(&mut self, collector: Box<dyn PropertyCollector>) {
        self.collector = Some(collector);
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// - `InvalidArgument` for a key that is not greater than the one before or is shorter than a suffix, for a stem longer
    ///   than [`MAX_KEY_LEN`](kv::MAX_KEY_LEN), and for a value longer than [`MAX_VALUE_LEN`]. Nothing was added. The next
    ///   entry may be added.
    /// - `Io` when a block could not be written. The table cannot be finished.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let layout = self.options.key_layout;
        let split = checked(layout, key, value)?;
        let is_first = self.properties.entries == 0;
        let before = layout.split(&self.last_key).filter(|_| !is_first);
        if before.is_some_and(|before| before >= split) {
            let number = self.entries();
            let what = format!("entry {number}, from 0, has no greater key than the one before");
            return Err(Error::InvalidArgument(what));
        }
        let is_new_stem = before.is_none_or(|before| before.stem != split.stem);
        let added = self.data.estimated_len() + key.len() + value.len();
        if !self.data.is_empty() && added > self.options.block_bytes {
            self.finish_data_block()?;
        }
        if self.data.is_empty() {
            self.begin_data_block(key);
        }
        if is_new_stem && self.filter.is_wanted() {
            self.filter.add(hash_stem(split.stem), self.data.count());
        }
        self.data.add(key, value);
        self.note(key, value);
        Ok(())
    }

    /// Finds the separator between the entry before and the block that begins with `key`.
    fn begin_data_block(&mut self, key: &[u8]) {
        debug_assert!(self.data.is_empty(), "the block before was stored");
        let layout = self.options.key_layout;
        let before = layout.split(&self.last_key).filter(|_| self.properties.entries > 0);
        if let (Some(before), Some(key)) = (before, layout.split(key)) {
            layout.separator(before, key, &mut self.separator);
        } else {
            self.properties.smallest_key = key.to_vec();
            self.separator.clear();
            self.separator.extend_from_slice(key);
        }
    }

    fn note(&mut self, key: &[u8], value: &[u8]) {
        debug_assert!(!self.data.is_empty(), "the entry is in the block");
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.properties.entries += 1;
        self.properties.key_bytes += key.len() as u64;
        self.properties.value_bytes += value.len() as u64;
        if let Some(collector) = &mut self.collector {
            collector.add(key, value);
        }
    }

    fn finish_data_block(&mut self) -> Result<()> {
        debug_assert!(!self.data.is_empty(), "a data block has entries");
        self.block.clear();
        self.data.finish(&mut self.block);
        self.place_hints();
        let handle = self.out.store_compressed(&self.block)?;
        self.index.add(&self.separator, handle);
        self.properties.data_blocks += 1;
        Ok(())
    }

    /// Tells the filter where the entries of the finished data block are.
    fn place_hints(&mut self) {
        if !self.options.has_hints() {
            return;
        }
        let block = Block::parse(&self.block, self.options.key_layout.suffix_len());
        let block = block.expect("a block reads back");
        let start_of = |index| block.start_of(index).expect("a block reads back");
        self.filter.end_block(self.block.len(), start_of);
    }

    /// Adds a block of any content that a reader finds by `name`. It waits in memory until the table is finished.
    ///
    /// # Errors
    /// `InvalidArgument` when the name is taken or begins with `sstable.`, or the block is too long.
    pub fn add_named_block(&mut self, name: &str, block: Vec<u8>) -> Result<()> {
        check_name(name)?;
        if block.len() > MAX_VALUE_LEN || self.named_blocks.iter().any(|(other, _)| other == name) {
            let what = format!("{name:?} has a block already, or the block is too long");
            return Err(Error::InvalidArgument(what));
        }
        self.named_blocks.push((name.into(), block));
        Ok(())
    }

    /// How many entries were added.
    pub fn entries(&self) -> u64 {
        self.properties.entries
    }

    /// How long the file would be, about, if it were finished now. For a store that cuts its tables by length.
    pub fn estimated_len(&self) -> u64 {
        let filter = self.properties.entries * u64::from(self.options.filter_bits_per_stem) / 8;
        let filter = filter << u8::from(self.options.has_hints());
        let index = self.properties.data_blocks * 12;
        self.out.writer.len_bytes() + self.data.estimated_len() as u64 + filter + index
    }

    /// Writes the rest of the table and makes the file and its name durable.
    ///
    /// # Errors
    /// `Io`: how much of the file a crash leaves is unknown. `InvalidArgument` for a name of the collector.
    pub fn finish(mut self, fs: &dyn Fs) -> Result<BuiltTable> {
        if !self.data.is_empty() {
            self.finish_data_block()?;
        }
        debug_assert!(self.data.is_empty(), "all entries were stored");
        debug_assert_eq!(self.properties.entries == 0, self.properties.data_blocks == 0);
        self.properties.largest_key = std::mem::take(&mut self.last_key);
        self.finish_collector()?;
        let filter = std::mem::replace(&mut self.filter, FilterBuilder::new(0, false));
        let filter = self.out.store_filter(filter)?;
        let index = std::mem::replace(&mut self.index, IndexBuilder::new(KeyLayout::PLAIN, 0));
        let top = self.store_index(index)?;
        for (name, block) in std::mem::take(&mut self.named_blocks) {
            let handle = self.out.store(&block)?;
            self.named.insert(name, handle);
        }
        if let Some(filter) = filter {
            let handle = self.out.store(&filter)?;
            self.named.insert(directory::FILTER.into(), handle);
        }
        let handle = self.out.store(&top)?;
        self.named.insert(directory::INDEX.into(), handle);
        let handle = self.out.store(&self.properties.encode())?;
        self.named.insert(directory::PROPERTIES.into(), handle);
        let handle = self.out.store(&directory::encode(&self.named))?;
        self.finish_file(fs, handle)
    }

    fn finish_collector(&mut self) -> Result<()> {
        let Some(mut collector) = self.collector.take() else { return Ok(()) };
        for (name, value) in collector.finish() {
            check_name(&name)?;
            let what = format!("the property {name:?} was collected before");
            if self.properties.collected.insert(name, value).is_some() {
                return Err(Error::InvalidArgument(what));
            }
        }
        Ok(())
    }

    /// Stores the blocks of `index`, and returns the block above them.
    fn store_index(&mut self, index: IndexBuilder) -> Result<Vec<u8>> {
        let mut top = IndexBlockBuilder::new(self.options.key_layout);
        for index in index.finish() {
            let handle = self.out.store(&index.block)?;
            if !top.reaches(handle) {
                return Err(Error::InvalidArgument("an index of more than 4 GiB".into()));
            }
            top.add(&index.separator, handle);
        }
        debug_assert_eq!(
            top.is_empty(),
            self.properties.entries == 0,
            "an entry has an index block"
        );
        let mut block = Vec::new();
        top.finish(&mut block);
        Ok(block)
    }

    fn finish_file(mut self, fs: &dyn Fs, directory: BlockHandle) -> Result<BuiltTable> {
        let file_len = self.out.writer.len_bytes() + FOOTER_LEN as u64;
        let footer = Footer {
            directory,
            key_layout: self.options.key_layout,
            id: self.id,
            file_len,
            required: self.out.required,
        };
        self.out.writer.append(&footer.encode())?;
        let written = self.out.writer.finish(fs)?;
        assert_eq!(written.file.len_bytes(), file_len, "the footer states the length");
        Ok(BuiltTable {
            file: written.file,
            crc: written.crc,
            id: self.id,
            properties: self.properties,
        })
    }
}

/// The parts of a key that can stand in a table, beside `value`.
fn checked<'k>(layout: KeyLayout, key: &'k [u8], value: &[u8]) -> Result<SplitKey<'k>> {
    let invalid = |what: &str| Error::InvalidArgument(what.into());
    let split = layout.split(key).ok_or_else(|| invalid("a key shorter than its suffix"))?;
    if split.stem.len() > MAX_KEY_LEN {
        return Err(invalid("a key longer than a table can hold"));
    }
    if value.len() > MAX_VALUE_LEN {
        return Err(invalid("a value longer than a table can hold"));
    }
    Ok(split)
}
