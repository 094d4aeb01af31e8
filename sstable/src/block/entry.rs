//! The entries of a group, one after the other.
//!
//! The first entry of a group is its restart point:
//!
//! | field | |
//! |---|---|
//! | length of the stem without the prefix of the block | varint |
//! | length of the value | varint; not in the last entry of a group |
//! | the bytes of the stem behind the head | |
//! | the value | in the last entry of a group, all bytes up to its end |
//!
//! The others take the beginning of their stem from the entry before:
//!
//! | field | |
//! |---|---|
//! | how many bytes behind the prefix of the block it shares with the stem before, all of them | varint |
//! | how many bytes follow them | varint |
//! | length of the value | varint; not in the last entry of a group |
//! | the bytes that follow | |
//! | the value | as above |

use std::ops::Range;

use durable::coding::split_varint;

use super::layout::Block;
use crate::damage::{Checked, Damage};

/// The damage of a length that leads out of a group.
const LONG_ENTRY: &str = "an entry longer than its group";

/// Reads a group front to back.
#[derive(Clone, Debug)]
pub(super) struct GroupReader<'b> {
    /// The bytes that were not read yet.
    rest: &'b [u8],
    /// Where the group ends in the block.
    end: usize,
    /// How many entries were not read yet.
    remaining: usize,
}

/// The first entry of a group. The head of its stem is in the array of heads.
#[derive(Clone, Debug)]
pub(super) struct Restart<'b> {
    /// The length of the stem without the prefix.
    pub(super) stem_len: usize,
    /// The bytes of the stem behind the head.
    pub(super) tail: &'b [u8],
    /// Where they are in the block.
    pub(super) tail_at: usize,
    /// Where the value is in the block.
    pub(super) value: Range<usize>,
}

/// An entry behind the first.
#[derive(Clone, Debug)]
pub(super) struct Follower<'b> {
    /// How many bytes behind the prefix it shares with the stem before.
    pub(super) shared: usize,
    /// The bytes of the stem that follow.
    pub(super) rest: &'b [u8],
    /// Where they are in the block.
    pub(super) rest_at: usize,
    /// Where the value is in the block.
    pub(super) value: Range<usize>,
}

impl<'b> GroupReader<'b> {
    /// A reader in front of the restart point of `group`.
    #[inline]
    pub(super) fn new(block: &Block<'b>, group: usize) -> Checked<Self> {
        let extent = block.extent(group)?;
        let before = group * block.interval();
        debug_assert!(before < block.count(), "a group has entries");
        let remaining = block.interval().min(block.count() - before);
        let end = extent.end;
        let rest = block.slice(extent).ok_or(Damage::new(end, LONG_ENTRY))?;
        Ok(Self { rest, end, remaining })
    }

    /// A reader of the last `remaining` entries of a group, which are at `extent` of the block.
    #[inline]
    pub(super) fn resume(
        block: &Block<'b>,
        extent: Range<usize>,
        remaining: usize,
    ) -> Checked<Self> {
        debug_assert!(remaining > 0, "the group has another entry");
        let end = extent.end;
        let rest = block.slice(extent).ok_or(Damage::new(end, LONG_ENTRY))?;
        Ok(Self { rest, end, remaining })
    }

    /// Where the group ends in the block.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// How many entries of the group were not read yet.
    #[inline]
    pub(super) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Reads the restart point of a block whose heads have `head_width` bytes.
    #[inline]
    pub(super) fn restart(&mut self, head_width: usize) -> Checked<Restart<'b>> {
        let stem_len = self.varint()?;
        let (tail, value) = self.key_and_value(|| stem_len.saturating_sub(head_width))?;
        Ok(Restart { stem_len, tail, tail_at: value.start - tail.len(), value })
    }

    /// Reads an entry behind the first.
    #[inline]
    pub(super) fn follower(&mut self) -> Checked<Follower<'b>> {
        let shared = self.varint()?;
        let rest_len = self.varint()?;
        let (rest, value) = self.key_and_value(|| rest_len)?;
        Ok(Follower { shared, rest, rest_at: value.start - rest.len(), value })
    }

    #[inline]
    fn key_and_value(
        &mut self,
        key_len: impl FnOnce() -> usize,
    ) -> Checked<(&'b [u8], Range<usize>)> {
        debug_assert!(self.remaining > 0, "the group has another entry");
        self.remaining -= 1;
        let value_len = if self.remaining > 0 { Some(self.varint()?) } else { None };
        let key = self.bytes(key_len())?;
        let start = self.end - self.rest.len();
        let value_len = value_len.unwrap_or(self.rest.len());
        self.bytes(value_len)?;
        debug_assert!(start + value_len <= self.end, "an entry lies in its group");
        Ok((key, start..start + value_len))
    }

    #[inline]
    fn varint(&mut self) -> Checked<usize> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(usize::from(byte));
        }
        let (value, rest) = split_varint(self.rest).map_err(|what| self.damage(what))?;
        self.rest = rest;
        Ok(value as usize)
    }

    #[inline]
    fn bytes(&mut self, len: usize) -> Checked<&'b [u8]> {
        debug_assert!(self.rest.len() <= self.end, "the rest of the group ends with it");
        let split = self.rest.split_at_checked(len);
        let (bytes, rest) = split.ok_or_else(|| self.damage(LONG_ENTRY))?;
        self.rest = rest;
        Ok(bytes)
    }

    #[cold]
    fn damage(&self, what: &'static str) -> Damage {
        Damage::new(self.end - self.rest.len(), what)
    }
}
