//! A walk over the data blocks of a table, through the two levels of its index.

use kv::Result;

use crate::handle::BlockHandle;
use crate::index::LoadedIndexBlock;
use crate::key_layout::SplitKey;
use crate::table::Table;

/// Stands on a data block, or nowhere.
#[derive(Debug, Default)]
pub(crate) struct BlockWalk {
    place: Option<Place>,
}

/// The place of a data block in the index.
#[derive(Debug)]
struct Place {
    /// The number of the index block.
    number: usize,
    block: LoadedIndexBlock,
    /// Which of its data blocks it is.
    index: usize,
}

impl BlockWalk {
    /// Moves to the data block that has the first key not less than `key`, or to the one before. Moves to the first
    /// data block if all keys are greater. `None`: the table is empty.
    pub(crate) fn seek(&mut self, table: &Table, key: SplitKey<'_>) -> Result<Option<BlockHandle>> {
        let Some(above) = table.top().floor(table.source(), &key)? else {
            return self.first(table);
        };
        let block = read_index_block(table, above.handle)?;
        // The separator of the first entry is the one in the block above, so it is not greater than the key.
        let entry = block.floor(table.source(), &key)?;
        let index = entry.map_or(0, |entry| entry.index);
        self.stand_on(table, above.index, block, index)
    }

    /// Moves to the first data block.
    pub(crate) fn first(&mut self, table: &Table) -> Result<Option<BlockHandle>> {
        self.enter_forward(table, 0)
    }

    /// Moves to the last data block.
    pub(crate) fn last(&mut self, table: &Table) -> Result<Option<BlockHandle>> {
        self.enter_backward(table, table.top().count())
    }

    /// Moves to the next data block. `None`: there is none, and the walk stays.
    pub(crate) fn next(&mut self, table: &Table) -> Result<Option<BlockHandle>> {
        let Some(place) = &mut self.place else { return Ok(None) };
        debug_assert!(place.index < place.block.count(), "the walk is in a data block");
        if place.index + 1 < place.block.count() {
            place.index += 1;
            return place.handle(table).map(Some);
        }
        let number = place.number + 1;
        self.enter_forward(table, number)
    }

    /// Moves to the data block before. `None`: there is none, and the walk stays.
    pub(crate) fn prev(&mut self, table: &Table) -> Result<Option<BlockHandle>> {
        let Some(place) = &mut self.place else { return Ok(None) };
        debug_assert!(place.index < place.block.count(), "the walk is in a data block");
        if let Some(index) = place.index.checked_sub(1) {
            place.index = index;
            return place.handle(table).map(Some);
        }
        let number = place.number;
        self.enter_backward(table, number)
    }

    /// The data block before, if the same index block leads to it.
    pub(crate) fn before(&self, table: &Table) -> Option<BlockHandle> {
        let place = self.place.as_ref()?;
        let index = place.index.checked_sub(1)?;
        debug_assert!(place.index < place.block.count(), "the walk is in a data block");
        // Damage is reported when the walk comes there.
        place.block.handle(table.source(), index).ok()
    }

    /// Moves to the first data block of index block `number` or of one behind it. Index blocks lead to data blocks,
    /// except forged ones.
    fn enter_forward(&mut self, table: &Table, number: usize) -> Result<Option<BlockHandle>> {
        for number in number..table.top().count() {
            let block = index_block(table, number)?;
            if block.count() > 0 {
                return self.stand_on(table, number, block, 0);
            }
        }
        Ok(None)
    }

    /// Moves to the last data block of the index blocks before `number`.
    fn enter_backward(&mut self, table: &Table, number: usize) -> Result<Option<BlockHandle>> {
        debug_assert!(number <= table.top().count(), "an index block, or the end");
        for number in (0..number).rev() {
            let block = index_block(table, number)?;
            if let Some(last) = block.count().checked_sub(1) {
                return self.stand_on(table, number, block, last);
            }
        }
        Ok(None)
    }

    fn stand_on(
        &mut self,
        table: &Table,
        number: usize,
        block: LoadedIndexBlock,
        index: usize,
    ) -> Result<Option<BlockHandle>> {
        debug_assert!(number < table.top().count(), "an index block of the table");
        if index >= block.count() {
            // A forged index block that leads to no data block.
            return self.enter_forward(table, number + 1);
        }
        self.place.insert(Place { number, block, index }).handle(table).map(Some)
    }
}

impl Place {
    fn handle(&self, table: &Table) -> Result<BlockHandle> {
        self.block.handle(table.source(), self.index)
    }
}

/// Index block `number`.
pub(crate) fn index_block(table: &Table, number: usize) -> Result<LoadedIndexBlock> {
    assert!(number < table.top().count(), "an index block of the table");
    read_index_block(table, table.top().handle(table.source(), number)?)
}

fn read_index_block(table: &Table, handle: BlockHandle) -> Result<LoadedIndexBlock> {
    LoadedIndexBlock::read(table.source(), handle, table.key_layout().suffix_len())
}
