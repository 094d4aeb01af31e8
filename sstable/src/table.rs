//! An opened table.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::coding::Reader;
use durable::{File, prefetch_lines, read_whole};
use kv::{Error, Result};

use crate::block::Block;
use crate::block_source::BlockSource;
use crate::directory;
use crate::filter::{FilterDirectory, hash_stem};
use crate::filter_reader::FilterReader;
use crate::footer::{FOOTER_LEN, Footer};
use crate::handle::BlockHandle;
use crate::index::{LoadedIndexBlock, floor};
use crate::index_block::IndexBlock;
use crate::key_layout::{KeyLayout, SplitKey};
use crate::options::ReadOptions;
use crate::properties::Properties;
use crate::raw_file::{RawBytes, RawFile};
use crate::table_id::TableId;

/// In most tables, the header and the fences of an index block lie in so many bytes.
const FENCES_BYTES: usize = 128;

/// A table that is open for reading, by any number of threads.
///
/// A mapped table takes about one bit of memory for each KiB of its file, and another one for each KiB of its filter. Every
/// block is checked before any of its bytes is used, and damage is an error that names file and offset. So every method that
/// reads can return `Corruption` and `Io`.
pub struct Table {
    source: BlockSource,
    footer: Footer,
    directory: RawBytes,
    /// The block above the index blocks.
    top: LoadedIndexBlock,
    filter: Option<Box<FilterReader>>,
}

impl Table {
    /// Opens the table in `file`. Reads its footer, its directory, the top block of its index, and the description of its
    /// filter: the end of the file.
    ///
    /// Check the length of the file against the manifest first: a file that was cut looks like one that is no table.
    ///
    /// # Errors
    /// `Corruption` when it is no table, or a damaged one. `Unsupported` for a table of a newer format, or with a
    /// compression that this build does not have. `Io`.
    pub fn open(file: Arc<dyn File>, options: &ReadOptions) -> Result<Self> {
        let raw = RawFile::open(file, options.mode)?;
        let footer = read_footer(&raw)?;
        let mut table = Self::of(BlockSource::new(raw, &footer, options.cache.clone()), footer)?;
        table.source.raw_mut().release_tail();
        Ok(table)
    }

    /// The same table for one pass over the whole file: every read checks its block, and the page cache stays as it is.
    pub(crate) fn for_one_pass(&self) -> Result<Self> {
        let file = Arc::clone(self.source.raw().file());
        let raw = RawFile::of_mapping(Arc::clone(&file), read_whole(&*file)?);
        let footer = read_footer(&raw)?;
        Self::of(BlockSource::new(raw, &footer, None).checking_always(), footer)
    }

    fn of(source: BlockSource, footer: Footer) -> Result<Self> {
        debug_assert!(source.limit() < footer.file_len, "the footer is behind the blocks");
        let directory = source.read(footer.directory)?;
        let find = |name| find_in(&source, &footer, &directory, name);
        let missing = |name: &str| {
            let what = format!("the directory does not name {name}");
            Error::corruption(source.raw().file().path(), footer.directory.offset, what)
        };
        let top = find(directory::INDEX)?.ok_or_else(|| missing(directory::INDEX))?;
        let top = LoadedIndexBlock::read(&source, top, footer.key_layout.suffix_len())?;
        let filter = match find(directory::FILTER)? {
            Some(handle) => read_filter(&source, handle)?,
            None => None,
        };
        Ok(Self { source, footer, directory, top, filter })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.source.raw().file().path()
    }

    /// The id in the footer.
    pub fn id(&self) -> TableId {
        self.footer.id
    }

    /// How the keys are made up.
    pub fn key_layout(&self) -> KeyLayout {
        self.footer.key_layout
    }

    /// How many bytes the file has.
    pub fn len_bytes(&self) -> u64 {
        self.footer.file_len
    }

    /// The properties, read each time.
    ///
    /// # Errors
    /// `Corruption`, `Io`.
    pub fn properties(&self) -> Result<Properties> {
        let handle = self.find(directory::PROPERTIES)?.ok_or_else(|| {
            let what = "the directory does not name the properties";
            Error::corruption(self.path(), self.footer.directory.offset, what)
        })?;
        let found = self.source.read(handle)?;
        let properties = Properties::decode(self.source.bytes(&found));
        properties.map_err(|damage| self.source.corruption(handle.offset, damage))
    }

    /// The block that the builder was given under `name`.
    ///
    /// # Errors
    /// `InvalidArgument` when the name begins with `sstable.`; `Corruption`, `Io`.
    pub fn named_block(&self, name: &str) -> Result<Option<Vec<u8>>> {
        crate::properties::check_name(name)?;
        let Some(handle) = self.find(name)? else { return Ok(None) };
        let found = self.source.read(handle)?;
        Ok(Some(self.source.bytes(&found).to_vec()))
    }

    fn find(&self, name: &str) -> Result<Option<BlockHandle>> {
        find_in(&self.source, &self.footer, &self.directory, name)
    }

    /// Whether the table may have a key with this [hash](crate::hash_stem) of its stem. If not, it has none; one in a
    /// hundred times, with the default options, it has none all the same. Without a filter, it may have every key.
    ///
    /// # Errors
    /// `Corruption` when the part of the filter that tells is damaged; `Io`.
    #[inline]
    pub fn may_contain(&self, stem_hash: u64) -> Result<bool> {
        match &self.filter {
            Some(filter) => filter.may_contain(&self.source, stem_hash),
            None => Ok(true),
        }
    }

    /// Calls `read` with the value of `key`, and returns whether there is one.
    ///
    /// # Errors
    /// `InvalidArgument` when the key is shorter than a suffix.
    #[inline]
    pub fn get_with(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        // Not `self.split(key)?`: a result of this size goes through memory, in pieces of several widths. A read of bytes that
        // were written in other pieces waits for all instructions before, and so for the line of the look-up before.
        let Some(split) = self.footer.key_layout.split(key) else { return Err(short_key()) };
        let hash = hash_stem(split.stem);
        if self.denies(hash) {
            return Ok(false);
        }
        self.find_value(key, hash, read)
    }

    /// Whether the filter denies a stem with this hash without a check. To be asked first: this is so short that the processor
    /// begins the next look-up before it has the line of this one.
    #[inline]
    pub(crate) fn denies(&self, hash: u64) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.denies(hash))
    }

    /// Whether the table may have a stem with this hash that [`Table::denies`] did not deny.
    #[inline]
    pub(crate) fn may_contain_undenied(&self, hash: u64) -> Result<bool> {
        match &self.filter {
            Some(filter) if !filter.is_checked() => filter.may_contain(&self.source, hash),
            _ => Ok(true),
        }
    }

    /// As [`Table::get_with`], for a key whose stem has `hash` and was not denied.
    #[inline(never)]
    fn find_value(&self, key: &[u8], hash: u64, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if !self.may_contain_undenied(hash)? {
            return Ok(false);
        }
        let Some(key) = self.footer.key_layout.split(key) else { return Err(short_key()) };
        let Some(handle) = self.find_data_block(&key)? else { return Ok(false) };
        self.prefetch(handle, hash);
        let mut room = None;
        let bytes = self.source.look(handle, &mut room)?;
        let block = Block::parse(bytes, self.footer.key_layout.suffix_len());
        let value = block.and_then(|block| block.find(&key));
        let value = value.map_err(|damage| self.source.corruption(handle.offset, damage))?;
        if let Some(value) = value.clone() {
            read(&bytes[value]);
        }
        Ok(value.is_some())
    }

    /// A copy of the value of `key`.
    ///
    /// # Errors
    /// As [`Table::get_with`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = None;
        self.get_with(key, &mut |bytes| value = Some(bytes.to_vec()))?;
        Ok(value)
    }

    /// The data block that has `key`, if any has. `None`: the key is less than all keys of the table.
    #[inline]
    pub(crate) fn find_data_block(&self, key: &SplitKey<'_>) -> Result<Option<BlockHandle>> {
        let Some(entry) = self.top.floor(&self.source, key)? else { return Ok(None) };
        let mut room = None;
        let bytes = self.source.look(entry.handle, &mut room)?;
        prefetch_lines(&bytes[..bytes.len().min(FENCES_BYTES)]);
        let block = IndexBlock::parse(bytes, self.footer.key_layout.suffix_len());
        let below = block.and_then(|block| floor(&block, key));
        let below = below.map_err(|damage| self.source.corruption(entry.handle.offset, damage))?;
        Ok(below.map(|entry| entry.handle))
    }

    #[inline]
    pub(crate) fn split<'k>(&self, key: &'k [u8]) -> Result<SplitKey<'k>> {
        self.footer.key_layout.split(key).ok_or_else(short_key)
    }

    pub(crate) fn source(&self) -> &BlockSource {
        &self.source
    }

    pub(crate) fn top(&self) -> &LoadedIndexBlock {
        &self.top
    }

    pub(crate) fn filter(&self) -> Option<&FilterReader> {
        self.filter.as_deref()
    }

    /// Whether the directory names a filter, which may be of a kind that this build does not know.
    pub(crate) fn names_filter(&self) -> Result<bool> {
        self.find(directory::FILTER).map(|handle| handle.is_some())
    }

    pub(crate) fn directory(&self) -> (BlockHandle, &[u8]) {
        (self.footer.directory, self.source.bytes(&self.directory))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("path", &self.path())
            .field("id", &self.footer.id)
            .finish_non_exhaustive()
    }
}

#[cold]
pub(crate) fn short_key() -> Error {
    Error::InvalidArgument("a key shorter than its suffix".into())
}

fn read_footer(raw: &RawFile) -> Result<Footer> {
    let path = raw.file().path();
    let Some(start) = raw.len().checked_sub(FOOTER_LEN as u64) else {
        return Err(Error::corruption(path, 0, "a file shorter than the footer of a table"));
    };
    let found = raw.read(start..raw.len())?;
    let bytes = raw.bytes(&found).first_chunk();
    let bytes = bytes.expect("the range has the length of a footer");
    Footer::decode(bytes, path, raw.len())
}

fn find_in(
    source: &BlockSource,
    footer: &Footer,
    directory: &RawBytes,
    name: &str,
) -> Result<Option<BlockHandle>> {
    let found = directory::find(source.bytes(directory), name);
    found.map_err(|damage| source.corruption(footer.directory.offset, damage))
}

fn read_filter(source: &BlockSource, handle: BlockHandle) -> Result<Option<Box<FilterReader>>> {
    let found = source.read(handle)?;
    let path = source.raw().file().path();
    let reader = Reader::new(source.bytes(&found), path, handle.offset);
    let directory = FilterDirectory::decode(reader, source.limit())?;
    Ok(directory.map(|directory| Box::new(FilterReader::new(directory, source))))
}
