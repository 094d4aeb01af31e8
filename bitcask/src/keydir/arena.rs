//! Key bytes, packed into chunks that never move. A key is found again by a 4-byte reference.
//!
//! A key lies behind its length, which takes one byte up to 127 and two bytes (high bit set, big-endian) above. Chunks
//! grow with the arena, from 1 to 64 KiB, so that a small keydir stays small. Bytes of removed keys are counted, and
//! the owner rebuilds the arena when they are the greater half.

/// Chunks are addressed by 16 bits, and so are the bytes in one.
const LARGEST_CHUNK: usize = 1 << 16;
const SMALLEST_CHUNK: usize = 1 << 10;

/// Where a key lies: chunk number in the high half, offset in the low half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyRef(pub(super) u32);

#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    used: usize,
    garbage: usize,
}

fn stored_len(key: &[u8]) -> usize {
    key.len() + if key.len() < 0x80 { 1 } else { 3 }
}

impl Arena {
    /// Stores `key`. `None`: the arena is full, at 65,536 chunks.
    pub(super) fn push(&mut self, key: &[u8]) -> Option<KeyRef> {
        let needed = stored_len(key);
        if self.chunks.last().is_none_or(|chunk| chunk.capacity() - chunk.len() < needed) {
            if self.chunks.len() == 1 << 16 {
                return None;
            }
            let len = (self.used / 16).next_power_of_two().clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
            self.chunks.push(Vec::with_capacity(len.max(needed)));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let at = chunk.len();
        if key.len() < 0x80 {
            chunk.push(key.len() as u8);
        } else {
            let len = (key.len() as u16).to_be_bytes();
            chunk.extend_from_slice(&[0x80, len[0], len[1]]);
        }
        chunk.extend_from_slice(key);
        self.used += needed;
        Some(KeyRef((number as u32) << 16 | at as u32))
    }

    /// The key that was stored under `at`.
    pub(super) fn get(&self, at: KeyRef) -> &[u8] {
        let chunk = &self.chunks[(at.0 >> 16) as usize][(at.0 & 0xffff) as usize..];
        match chunk[0] {
            0x80 => {
                let len = usize::from(u16::from_be_bytes([chunk[1], chunk[2]]));
                &chunk[3..3 + len]
            }
            len => &chunk[1..=usize::from(len)],
        }
    }

    /// Counts the bytes of `key`, which nobody will ask for again.
    pub(super) fn forget(&mut self, key_len: usize) {
        self.garbage += key_len + if key_len < 0x80 { 1 } else { 3 };
    }

    /// Whether rebuilding would give back the greater half.
    pub(super) fn is_mostly_garbage(&self) -> bool {
        self.garbage > SMALLEST_CHUNK && self.garbage > self.used / 2
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Vec::capacity).sum();
        chunks + self.chunks.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_read_back() {
        let mut arena = Arena::default();
        let keys: Vec<Vec<u8>> =
            [0, 1, 127, 128, 300, 65_535].iter().map(|&len| vec![len as u8; len]).collect();
        let refs: Vec<KeyRef> = keys.iter().map(|key| arena.push(key).unwrap()).collect();
        for (key, at) in keys.iter().zip(refs) {
            assert_eq!(arena.get(at), key);
        }
    }
}
