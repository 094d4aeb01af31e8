//! The entries of a shard: what is known of a key and the key itself, side by side, in chunks that never move.
//!
//! Finding a key so costs one miss of the processor's cache besides the one in the index. An entry is addressed in
//! units of [`UNIT`] bytes, so that 25 bits reach 128 MiB. Its fields, little-endian: offset / 8, `u32`; length / 8,
//! `u32`; sequence number, 48 bits; file, `u16`; length of the key, one byte up to 127, else `0x80` and a `u16`; key. A
//! removed entry keeps its place, marked [`FREED`], until the owner copies what is left.

use super::{Location, Version};

/// Entries start on multiples of this many bytes.
const UNIT: usize = 4;

/// Chunks have this many bytes; a long key gets one that takes the place of several.
const CHUNK: usize = 4 << 10;

/// Bytes of an entry before the length of its key.
pub(super) const FIELDS: usize = 16;

/// The file number of a removed entry. Data files and deletions have smaller ones.
const FREED: u16 = u16::MAX;

/// The location of a deletion that is remembered while loading. Data files have smaller numbers.
pub(super) const DELETED: Location = Location { file: u16::MAX - 1, offset: 0, len: 0 };

/// Where an entry is, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

impl Place {
    /// One more than the largest place.
    const LIMIT: usize = (1 << 25) - 1;
}

/// From this many bytes on a shard counts as full. What is left takes the keys of the batch that filled it.
pub(super) const FULL_BYTES: usize = 96 << 20;

#[derive(Debug, Default)]
pub(super) struct Arena {
    /// Behind a chunk that takes the place of several stand empty ones.
    chunks: Vec<Box<[u8]>>,
    /// How much of the last chunk is used, in bytes.
    last_used: usize,
    used_bytes: usize,
    freed_bytes: usize,
}

fn stored_len(key_len: usize) -> usize {
    (FIELDS + if key_len < 0x80 { 1 } else { 3 } + key_len).next_multiple_of(UNIT)
}

pub(super) fn fields(version: Version) -> [u8; FIELDS] {
    let Version { location, sequence } = version;
    let mut fields = [0; FIELDS];
    fields[..4].copy_from_slice(&((location.offset / 8) as u32).to_le_bytes());
    fields[4..8].copy_from_slice(&((location.len / 8) as u32).to_le_bytes());
    fields[8..14].copy_from_slice(&sequence.to_le_bytes()[..6]);
    fields[14..].copy_from_slice(&location.file.to_le_bytes());
    fields
}

impl Arena {
    /// Stores an entry. `None`: the arena is full.
    pub(super) fn push(&mut self, key: &[u8], version: Version) -> Option<Place> {
        let len = stored_len(key.len());
        if self.chunks.last().is_none_or(|last| last.len() < self.last_used + len) {
            self.add_chunk(len)?;
        }
        let number = self.chunks.iter().rposition(|chunk| !chunk.is_empty())?;
        let at = self.last_used;
        let entry = &mut self.chunks[number][at..at + len];
        entry[..FIELDS].copy_from_slice(&fields(version));
        let key_at = if key.len() < 0x80 {
            entry[FIELDS] = key.len() as u8;
            FIELDS + 1
        } else {
            entry[FIELDS] = 0x80;
            entry[FIELDS + 1..FIELDS + 3].copy_from_slice(&(key.len() as u16).to_le_bytes());
            FIELDS + 3
        };
        entry[key_at..key_at + key.len()].copy_from_slice(key);
        self.last_used += len;
        self.used_bytes += len;
        Some(Place(((number * CHUNK + at) / UNIT) as u32))
    }

    /// Begins a chunk with room for `len` bytes.
    fn add_chunk(&mut self, len: usize) -> Option<()> {
        let chunks = len.div_ceil(CHUNK);
        if (self.chunks.len() + chunks) * CHUNK / UNIT > Place::LIMIT {
            return None;
        }
        self.chunks.push(vec![0; chunks * CHUNK].into());
        // Nothing more goes into a chunk that stands for several: its end could not be addressed.
        self.chunks.extend((1..chunks).map(|_| Box::default()));
        self.last_used = 0;
        Some(())
    }

    fn bytes(&self, place: Place) -> &[u8] {
        let at = place.0 as usize * UNIT;
        &self.chunks[at / CHUNK][at % CHUNK..]
    }

    fn fixed_mut(&mut self, place: Place) -> &mut [u8] {
        let at = place.0 as usize * UNIT;
        &mut self.chunks[at / CHUNK][at % CHUNK..][..FIELDS]
    }

    /// The version of an entry.
    pub(super) fn version(&self, place: Place) -> Version {
        version_of(self.bytes(place))
    }

    /// Replaces the version of an entry.
    pub(super) fn set_version(&mut self, place: Place, version: Version) {
        self.fixed_mut(place).copy_from_slice(&fields(version));
    }

    /// The key of an entry.
    pub(super) fn key(&self, place: Place) -> &[u8] {
        key_of(self.bytes(place))
    }

    /// Reads the two cache lines that an entry with a short key can lie in.
    pub(super) fn touch(&self, place: Place) -> u32 {
        let entry = self.bytes(place);
        let second = entry.get(2 * FIELDS).copied().unwrap_or_default();
        u32::from(entry[0]) ^ u32::from(second)
    }

    /// Removes an entry.
    pub(super) fn free(&mut self, place: Place) {
        self.freed_bytes += stored_len(self.key(place).len());
        self.fixed_mut(place)[14..].copy_from_slice(&FREED.to_le_bytes());
    }

    /// Whether copying the entries that are left would give back the greater half.
    pub(super) fn is_mostly_freed(&self) -> bool {
        self.freed_bytes > CHUNK && self.freed_bytes > self.used_bytes / 2
    }

    /// The entries that were not removed, in the order of their places.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Place, &[u8], Version)> {
        let chunks = self.chunks.iter().enumerate().filter(|(_, chunk)| !chunk.is_empty());
        let last = self.chunks.iter().rposition(|chunk| !chunk.is_empty());
        chunks.flat_map(move |(number, chunk)| {
            let used = if Some(number) == last { self.last_used } else { chunk.len() };
            Entries { chunk: &chunk[..used], base: number * CHUNK, at: 0 }
        })
    }

    /// Whether no more keys should come.
    pub(super) fn is_full(&self) -> bool {
        self.used_bytes >= FULL_BYTES
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        chunks + self.chunks.capacity() * size_of::<Box<[u8]>>()
    }
}

pub(super) fn version_of(entry: &[u8]) -> Version {
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
    let high = u64::from(u16::from_le_bytes([entry[12], entry[13]]));
    let location = Location {
        file: u16::from_le_bytes([entry[14], entry[15]]),
        offset: u64::from(u32_at(0)) * 8,
        len: u64::from(u32_at(4)) * 8,
    };
    Version { location, sequence: high << 32 | u64::from(u32_at(8)) }
}

fn key_of(entry: &[u8]) -> &[u8] {
    match entry[FIELDS] {
        0x80 => {
            let len = usize::from(u16::from_le_bytes([entry[FIELDS + 1], entry[FIELDS + 2]]));
            &entry[FIELDS + 3..FIELDS + 3 + len]
        }
        len => &entry[FIELDS + 1..=FIELDS + usize::from(len)],
    }
}

/// The entries of one chunk.
struct Entries<'c> {
    chunk: &'c [u8],
    base: usize,
    at: usize,
}

impl<'c> Iterator for Entries<'c> {
    type Item = (Place, &'c [u8], Version);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = self.chunk.get(self.at..).filter(|rest| rest.len() > FIELDS)?;
            // The rest of a chunk that had no room for the next entry is zeros: an entry has a length of its frame.
            if entry[4..8] == [0; 4] && entry[8..FIELDS] == [0; 8] {
                return None;
            }
            let place = Place(((self.base + self.at) / UNIT) as u32);
            let (key, version) = (key_of(entry), version_of(entry));
            self.at += stored_len(key.len());
            if version.location.file != FREED {
                return Some((place, key, version));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(sequence: u64) -> Version {
        Version { location: Location { file: 7, offset: 64, len: 8 * sequence }, sequence }
    }

    #[test]
    fn entries_with_keys_of_every_length_read_back() {
        let mut arena = Arena::default();
        let lens = [0, 1, 127, 128, 300, 4_076, 4_077, 4_080, 65_535, 5];
        let keys: Vec<Vec<u8>> = lens.iter().map(|&len| vec![len as u8; len]).collect();
        let mut places = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            places.push(arena.push(key, version(at as u64 + 1)).unwrap());
        }
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(arena.key(places[at]), key);
            assert_eq!(arena.version(places[at]), version(at as u64 + 1));
        }
        arena.free(places[3]);
        arena.set_version(places[4], version(99));
        let left: Vec<_> =
            arena.entries().map(|(place, _, version)| (place, version.sequence)).collect();
        let expected = [1, 2, 3, 99, 6, 7, 8, 9, 10];
        assert_eq!(left.iter().map(|(_, sequence)| *sequence).collect::<Vec<_>>(), expected);
        assert!(left.iter().all(|(place, _)| places.contains(place)));
    }
}
