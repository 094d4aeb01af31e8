//! One table that is being written, and the facts that the manifest keeps of it.

use durable::FileWriter;
use durable::publish::PublishedFile;
use kv::{Error, Result};
use sstable::{BuildOptions, TableBuilder, TableId};

use super::origin::Origin;
use crate::compaction::is_dense_block;
use crate::internal_key::{self, Kind, LAYOUT};
use crate::range_tombstones::{self, Fragments};
use crate::state::{RangeFacts, TableFacts};
use crate::store::Store;

/// A table that is durable and that no manifest names yet.
pub(crate) type NewTable = (PublishedFile, TableFacts);

/// A table that is being written.
pub(super) struct Output {
    builder: TableBuilder,
    counts: Counts,
    /// The user key of the last entry.
    last_user: Vec<u8>,
}

/// Counts of the entries so far.
#[derive(Debug, Default)]
struct Counts {
    tombstones: u64,
    hidden: u64,
    oldest: Option<u64>,
    newest: u64,
    density: Density,
}

/// How many bytes are in stretches with many tombstones. A stretch has as many bytes of keys and values as a block.
#[derive(Debug, Default)]
struct Density {
    /// Of all stretches before.
    dense_bytes: u64,
    bytes: u64,
    /// Of this stretch.
    tombstones: u64,
    tombstone_bytes: u64,
    stretch_bytes: u64,
}

impl Output {
    /// Begins table `id` in the new file of `writer`.
    ///
    /// # Errors
    /// As [`TableBuilder::new`].
    pub(super) fn begin(
        store: &Store,
        id: u64,
        writer: FileWriter,
        build: BuildOptions,
    ) -> Result<Self> {
        let table_id = TableId::random(&*store.env.entropy);
        let build = BuildOptions { key_layout: LAYOUT, ..build };
        let mut builder = TableBuilder::new(writer, table_id, build)?;
        builder.collect(Box::new(Origin::of(store, id)));
        Ok(Self { builder, counts: Counts::default(), last_user: Vec::new() })
    }

    /// How long the table would be, about, if it were finished now.
    pub(super) fn len(&self) -> u64 {
        self.builder.estimated_len()
    }

    /// Whether an entry at `user` can begin the next table: no version of the key is in this one.
    pub(super) fn can_end_before(&self, user: &[u8]) -> bool {
        user != self.last_user
    }

    /// Adds an entry with an internal key. `block_bytes` is the size of a block.
    ///
    /// # Errors
    /// As [`TableBuilder::add`].
    pub(super) fn add(&mut self, key: &[u8], value: &[u8], block_bytes: usize) -> Result<()> {
        let (user, trailer) = internal_key::split(key).expect("an entry has an internal key");
        self.builder.add(key, value)?;
        let (counts, sequence) = (&mut self.counts, trailer.sequence());
        let is_tombstone = trailer.kind() == Some(Kind::Tombstone);
        counts.tombstones += u64::from(is_tombstone);
        counts.density.add(is_tombstone, (key.len() + value.len()) as u64, block_bytes as u64);
        counts.note_number(sequence);
        let is_first = self.builder.entries() == 1;
        counts.hidden += u64::from(!is_first && user == self.last_user);
        self.last_user.clear();
        self.last_user.extend_from_slice(user);
        Ok(())
    }

    /// Makes the table durable, with the range tombstones `fragments`.
    ///
    /// # Errors
    /// As [`TableBuilder::finish`]. A sync that failed has poisoned the store.
    pub(super) fn finish(mut self, store: &Store, fragments: &Fragments) -> Result<NewTable> {
        let ranges = self.add_ranges(fragments)?;
        let built = self.builder.finish(store.fs());
        let built = built
            .map_err(|error| if is_failed_sync(&error) { store.poison(error) } else { error })?;
        let properties = built.properties;
        let facts = TableFacts {
            len: built.file.len_bytes(),
            crc: built.crc,
            table_id: built.id.0,
            entries: properties.entries,
            tombstones: self.counts.tombstones,
            oldest: self.counts.oldest.unwrap_or_default(),
            newest: self.counts.newest,
            hidden: self.counts.hidden,
            dense_bytes: self.counts.density.finish(built.file.len_bytes()),
            created: store.env.clock.now().0,
            smallest: properties.smallest_key,
            largest: properties.largest_key,
            ranges,
        };
        assert!(facts.is_sound(), "a table was built from entries in order");
        Ok((built.file, facts))
    }

    fn add_ranges(&mut self, fragments: &Fragments) -> Result<Option<RangeFacts>> {
        let Some(hull) = fragments.hull() else { return Ok(None) };
        let block = range_tombstones::encode(fragments);
        self.builder.add_named_block(range_tombstones::BLOCK_NAME, block)?;
        for number in fragments.iter().flat_map(|fragment| fragment.numbers()) {
            self.counts.note_number(*number);
        }
        Ok(Some(RangeFacts { fragments: fragments.len() as u64, hull }))
    }
}

impl Counts {
    fn note_number(&mut self, sequence: u64) {
        self.oldest = Some(self.oldest.map_or(sequence, |oldest| oldest.min(sequence)));
        self.newest = self.newest.max(sequence);
    }
}

impl Density {
    fn add(&mut self, is_tombstone: bool, bytes: u64, block_bytes: u64) {
        self.stretch_bytes += bytes;
        if is_tombstone {
            self.tombstones += 1;
            self.tombstone_bytes += bytes;
        }
        if self.stretch_bytes >= block_bytes {
            self.end_stretch();
        }
    }

    fn end_stretch(&mut self) {
        debug_assert!(self.tombstone_bytes <= self.stretch_bytes, "tombstones are entries");
        if is_dense_block(self.tombstones, self.tombstone_bytes, self.stretch_bytes) {
            self.dense_bytes += self.stretch_bytes;
        }
        self.bytes += self.stretch_bytes;
        (self.tombstones, self.tombstone_bytes, self.stretch_bytes) = (0, 0, 0);
    }

    /// The bytes in dense stretches, as a part of the `len` bytes of the file.
    fn finish(&mut self, len: u64) -> u64 {
        self.end_stretch();
        let share = u128::from(len) * u128::from(self.dense_bytes) / u128::from(self.bytes.max(1));
        debug_assert!(share <= u128::from(len), "a part of the file");
        share as u64
    }
}

/// Whether the disk has failed to sync. For want of a file handle it was not asked to.
fn is_failed_sync(error: &Error) -> bool {
    let is_sync = matches!(error, Error::Io { op, .. } if op.starts_with("sync"));
    is_sync && !error.is_out_of_file_handles()
}

#[cfg(test)]
mod tests {
    use super::Density;

    #[test]
    fn stretches_with_many_tombstones_count_as_dense() {
        let mut density = Density::default();
        (0..10).for_each(|_| density.add(true, 20, 100));
        (0..30).for_each(|_| density.add(false, 20, 100));
        assert_eq!(density.finish(4000), 1000, "a quarter of the bytes");
        assert_eq!(Density::default().finish(4000), 0);
    }
}
