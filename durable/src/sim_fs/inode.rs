//! A file: the content of the disk, the content of the page cache, and the effects in between.
//!
//! A write is split into the 4 KiB pages that it touches, because the kernel writes pages back one by one and in any
//! order. Each piece is an effect that a crash keeps, loses or tears on its own.

use std::ops::Range;
use std::sync::Arc;

use super::SyncFailure;
use super::random::Random;

/// The unit in which the page cache is written back.
const PAGE: usize = 4096;

/// The unit that a disk writes as a whole.
pub(super) const SECTOR: usize = 512;

/// The number of a file, for the life of a simulated disk and its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InodeId(pub(super) usize);

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// The content that a running process sees, and that survives it.
    pub(super) cache: Arc<Vec<u8>>,
    /// The content that survives a power cut for certain.
    pub(super) durable: Arc<Vec<u8>>,
    /// The effects between the two, in order.
    pub(super) pending: Vec<DataEffect>,
    /// A failed sync has lost effects that the cache still shows.
    pub(super) diverged: bool,
}

/// A change of bytes or length that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum DataEffect {
    /// The part of a write that lies in one page.
    Write { op: usize, offset: usize, bytes: Arc<[u8]>, range: Range<usize> },
    /// A cut or an extension with zeros. Happens as a whole or not at all.
    SetLen { op: usize, len: usize },
}

/// The part of an effect that a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    Keep,
    Drop,
    /// The length grows, the bytes do not arrive.
    LengthOnly,
    /// The first bytes arrive; the length grows to their end, or to the end of the whole effect.
    Torn {
        len: usize,
        full_length: bool,
    },
    /// All but the first bytes arrive, and the length grows to the end.
    Headless {
        skip: usize,
    },
    /// The first bytes arrive, and the sector in which they end holds other bytes, also before the effect.
    Garbled {
        len: usize,
    },
}

impl Inode {
    /// A file whose bytes are on the disk.
    pub(super) fn durable(bytes: Arc<Vec<u8>>) -> Self {
        Self { cache: Arc::clone(&bytes), durable: bytes, pending: Vec::new(), diverged: false }
    }

    pub(super) fn write(&mut self, op: usize, offset: usize, bytes: &Arc<[u8]>) {
        overwrite(Arc::make_mut(&mut self.cache), offset, bytes, &mut None);
        let mut start = 0;
        while start < bytes.len() {
            let in_page = PAGE - (offset + start) % PAGE;
            let end = bytes.len().min(start + in_page);
            let effect = DataEffect::Write {
                op,
                offset: offset + start,
                bytes: Arc::clone(bytes),
                range: start..end,
            };
            self.pending.push(effect);
            start = end;
        }
        assert_eq!(start, bytes.len(), "every byte is in one piece");
        debug_assert!(self.cache.len() >= offset + bytes.len(), "the file holds what was written");
    }

    pub(super) fn set_len(&mut self, op: usize, len: usize) {
        resize(Arc::make_mut(&mut self.cache), len);
        self.pending.push(DataEffect::SetLen { op, len });
        debug_assert_eq!(self.cache.len(), len);
    }

    pub(super) fn sync(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        for effect in self.pending.drain(..) {
            effect.land(durable, Fate::Keep, &mut None);
        }
    }

    pub(super) fn fail_sync(&mut self, behaviour: SyncFailure) {
        match behaviour {
            SyncFailure::StaysDirty => {}
            SyncFailure::KeepsPart => self.persist_a_part(),
            SyncFailure::KeepsNew => {
                self.diverged |= !self.pending.is_empty();
                self.pending.clear();
            }
            SyncFailure::Reverts => {
                self.cache = Arc::clone(&self.durable);
                self.pending.clear();
                self.diverged = false;
            }
        }
    }

    /// Every second effect reaches the disk, the first one included; of a single write, the first half. The cache shows
    /// all of them and calls them clean.
    fn persist_a_part(&mut self) {
        let only_one = self.pending.len() == 1;
        self.diverged |= !self.pending.is_empty();
        let durable = Arc::make_mut(&mut self.durable);
        for (number, effect) in self.pending.drain(..).enumerate() {
            let half = Fate::Torn { len: effect.len() / 2, full_length: true };
            let fate = match number % 2 {
                0 if only_one => half,
                0 => Fate::Keep,
                _ => Fate::Drop,
            };
            effect.land(durable, fate, &mut None);
        }
    }

    /// The bytes after a power cut that leaves the part of each pending effect that is in `fates`. Shared where nothing is torn.
    pub(super) fn after_crash(&self, fates: &[Fate], stale: Option<u64>) -> Arc<Vec<u8>> {
        if fates.iter().all(|fate| *fate == Fate::Drop) {
            return Arc::clone(&self.durable);
        }
        if !self.diverged && stale.is_none() && fates.iter().all(|fate| *fate == Fate::Keep) {
            return Arc::clone(&self.cache);
        }
        debug_assert_eq!(fates.len(), self.pending.len(), "each pending effect has a fate");
        let mut content = Vec::clone(&self.durable);
        let mut stale = stale.map(Random::new);
        for (effect, fate) in self.pending.iter().zip(fates) {
            effect.land(&mut content, *fate, &mut stale);
        }
        Arc::new(content)
    }
}

impl DataEffect {
    /// The number of the operation that it is a part of.
    pub(super) fn op(&self) -> usize {
        match self {
            Self::Write { op, .. } | Self::SetLen { op, .. } => *op,
        }
    }

    /// How many bytes it writes.
    fn len(&self) -> usize {
        match self {
            Self::Write { range, .. } => range.len(),
            Self::SetLen { .. } => 0,
        }
    }

    /// The plainest fate that leaves the same of the effect in a file of `len` bytes, and whether the file grows without
    /// its bytes. Moves `len` on.
    pub(super) fn simplify(&self, fate: Fate, len: &mut usize) -> (Fate, bool) {
        let before = *len;
        let (offset, end) = match self {
            Self::SetLen { len: to, .. } => {
                let changes = fate != Fate::Drop && *to != before;
                *len = if changes { *to } else { before };
                return (if changes { Fate::Keep } else { Fate::Drop }, false);
            }
            Self::Write { offset, range, .. } => (*offset, offset + range.len()),
        };
        let landed = match fate {
            Fate::Drop => return (Fate::Drop, false),
            Fate::LengthOnly => 0,
            Fate::Keep => end - offset,
            Fate::Torn { len, .. } => len,
            Fate::Headless { skip } => {
                assert!(skip < end - offset, "some bytes arrive");
                *len = before.max(end);
                return (fate, offset + skip > before);
            }
            Fate::Garbled { len: landed } => {
                *len = before.max(offset + landed);
                return (fate, offset > before);
            }
        };
        let full_length = !matches!(fate, Fate::Torn { full_length: false, .. });
        *len = before.max(if full_length { end } else { offset + landed });
        let hole = *len > before && (offset > before || offset + landed < *len);
        let fate = match landed {
            0 if *len == before => Fate::Drop,
            0 => Fate::Torn { len: 0, full_length },
            _ if landed == end - offset => Fate::Keep,
            _ => Fate::Torn { len: landed, full_length: full_length && *len > before },
        };
        (fate, hole)
    }

    /// Applies the part of the effect that `fate` leaves. Where a file grows without its bytes, `stale` gives the bytes.
    fn land(&self, content: &mut Vec<u8>, fate: Fate, stale: &mut Option<Random>) {
        let (offset, bytes) = match self {
            Self::SetLen { len, .. } => {
                if fate != Fate::Drop {
                    resize(content, *len);
                }
                return;
            }
            Self::Write { offset, bytes, range, .. } => (*offset, &bytes[range.clone()]),
        };
        match fate {
            Fate::Drop => {}
            Fate::Keep => overwrite(content, offset, bytes, stale),
            Fate::LengthOnly => grow(content, offset + bytes.len(), stale),
            Fate::Headless { skip } => overwrite(content, offset + skip, &bytes[skip..], stale),
            Fate::Garbled { len } => {
                assert!(len <= bytes.len(), "a part of the bytes arrives");
                overwrite(content, offset, &bytes[..len], stale);
                let sector = (offset + len) / SECTOR * SECTOR;
                let end = content.len().min(sector + SECTOR);
                let mut random = Random::new(sector as u64);
                // A tear at the end of a sector interrupts the next one, which the file may not have yet.
                content[sector.min(end)..end].fill_with(|| random.next() as u8);
            }
            Fate::Torn { len, full_length } => {
                assert!(len <= bytes.len(), "a part of the bytes arrives");
                overwrite(content, offset, &bytes[..len], stale);
                if full_length {
                    grow(content, offset + bytes.len(), stale);
                }
            }
        }
    }
}

fn overwrite(content: &mut Vec<u8>, offset: usize, bytes: &[u8], stale: &mut Option<Random>) {
    grow(content, offset, stale);
    let over = bytes.len().min(content.len() - offset);
    content[offset..offset + over].copy_from_slice(&bytes[..over]);
    content.extend_from_slice(&bytes[over..]);
    debug_assert!(content.len() >= offset + bytes.len());
}

fn grow(content: &mut Vec<u8>, len: usize, stale: &mut Option<Random>) {
    let before = content.len();
    if before >= len {
        return;
    }
    resize(content, len);
    if let Some(random) = stale {
        content[before..].fill_with(|| random.next() as u8);
    }
}

fn resize(content: &mut Vec<u8>, len: usize) {
    if content.is_empty() {
        // Zeros from the allocator cost nothing until they are touched; logs are mostly such zeros.
        *content = vec![0; len];
    } else {
        content.resize(len, 0);
    }
    assert_eq!(content.len(), len);
}
