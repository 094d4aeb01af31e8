//! Blocks of the index: separators, and where the blocks are that they lead to.
//!
//! A look-up passes two of them, and few of their cache lines are in the processor. So the format is made for one thing, to
//! touch few lines, one after the other:
//!
//! - The blocks that an index block leads to lie side by side in the file. So the ends of all of them, 4 bytes each, say where
//!   each of them begins, and how long it is.
//! - The separators are shortest stems, so nearly all of them are decided by their heads, which lie in one dense array.
//! - Every 16th head is a *fence*. The fences lie behind the header. They lead to 16 heads that lie side by side.
//!
//! A search asks for the ends of 16 blocks as soon as it knows their fence, and compares the heads meanwhile.
//!
//! The rest of a separator is read only if it has the head of the key that is sought. `FORMAT.md` has the tables of the fields.

mod builder;
mod layout;
mod search;

#[cfg(test)]
mod tests;

pub(crate) use builder::IndexBlockBuilder;
pub(crate) use layout::{IndexBlock, IndexBlockLayout};
