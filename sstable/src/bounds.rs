//! The range of keys that a cursor may show.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

use kv::{Error, Result};

use crate::block::Block;
use crate::damage::Checked;
use crate::key_layout::{KeyLayout, SplitKey};

/// A range of keys, in the order of their layout.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    layout: KeyLayout,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl Bounds {
    /// # Errors
    /// `InvalidArgument` when the bounds are inverted, or a bound is shorter than a suffix.
    pub(crate) fn new(layout: KeyLayout, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Self> {
        let (start, end) = bounds;
        if let (Some(start), Some(end)) = (split(layout, start)?, split(layout, end)?)
            && start > end
        {
            return Err(Error::InvalidArgument("the range starts after its end".into()));
        }
        let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
        Ok(Self { layout, start: own(start), end: own(end) })
    }

    /// The key at the start, which itself may lie outside. `None`: there is no bound.
    pub(crate) fn start(&self) -> Option<SplitKey<'_>> {
        self.key(&self.start)
    }

    /// The key at the end, which itself may lie outside. `None`: there is no bound.
    pub(crate) fn end(&self) -> Option<SplitKey<'_>> {
        self.key(&self.end)
    }

    /// Where `key` lies: `Less` before the range, `Equal` inside, `Greater` behind it.
    pub(crate) fn place_of(&self, key: SplitKey<'_>) -> Ordering {
        let after_start = self.start().map(|start| key.cmp(&start));
        let after_end = self.end().map(|end| key.cmp(&end));
        match (after_start, after_end) {
            (Some(Ordering::Less), _) => Ordering::Less,
            (Some(Ordering::Equal), _) if matches!(self.start, Bound::Excluded(_)) => {
                Ordering::Less
            }
            (_, Some(Ordering::Greater)) => Ordering::Greater,
            (_, Some(Ordering::Equal)) if matches!(self.end, Bound::Excluded(_)) => {
                Ordering::Greater
            }
            _ => Ordering::Equal,
        }
    }

    /// The bounds as they were given.
    pub(crate) fn as_given(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.start.as_ref().map(Vec::as_slice), self.end.as_ref().map(Vec::as_slice))
    }

    fn key<'b>(&self, bound: &'b Bound<Vec<u8>>) -> Option<SplitKey<'b>> {
        let (Bound::Included(key) | Bound::Excluded(key)) = bound else { return None };
        self.layout.split(key)
    }

    /// The entries of `block` that lie in the range. So the bounds cost two searches a block, and nothing an entry.
    pub(crate) fn entries_in(&self, block: &Block<'_>) -> Checked<Range<usize>> {
        let mut entries = 0..block.count();
        if let Some(start) = self.start() {
            let found = block.search(start)?;
            let is_outside = found.is_equal && matches!(self.start, Bound::Excluded(_));
            entries.start = found.index + usize::from(is_outside);
        }
        if let Some(end) = self.end() {
            let found = block.search(end)?;
            let is_inside = found.is_equal && matches!(self.end, Bound::Included(_));
            entries.end = found.index + usize::from(is_inside);
        }
        entries.start = entries.start.min(entries.end);
        debug_assert!(entries.end <= block.count(), "entries of the block");
        debug_assert!(entries.start <= entries.end, "a range in order");
        Ok(entries)
    }
}

/// The key of `bound`. `None`: it is none.
fn split(layout: KeyLayout, bound: Bound<&[u8]>) -> Result<Option<SplitKey<'_>>> {
    let (Bound::Included(key) | Bound::Excluded(key)) = bound else { return Ok(None) };
    let split = layout.split(key);
    split.map(Some).ok_or_else(|| Error::InvalidArgument("a bound shorter than a suffix".into()))
}
