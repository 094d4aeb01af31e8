//! The key of a cursor.

/// How many bytes a short copy moves, however few of them count. Copies of a fixed length need no call.
pub(super) const SHORT: usize = 16;

/// A key that is put together from its front to its back, again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyBuffer {
    /// The key, and at least [`SHORT`] more bytes.
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    /// The key.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn begins_with(&self, prefix: &[u8]) -> bool {
        self.bytes.starts_with(prefix)
    }

    /// Ends the key after `len` bytes, which are in place.
    #[inline]
    pub(super) fn end(&mut self, len: usize) {
        assert!(len <= self.bytes.len(), "the bytes of the key are in place");
        self.len = len;
    }

    /// Puts `part` at `at`, and ends the key there.
    #[inline]
    pub(super) fn set(&mut self, at: usize, part: &[u8]) {
        self.make_room(at + part.len());
        self.bytes[at..at + part.len()].copy_from_slice(part);
        self.len = at + part.len();
    }

    /// Puts `word` at `at`. Not all of its bytes may count, so the end is set by the next part.
    #[inline]
    pub(super) fn set_word(&mut self, at: usize, word: [u8; 8]) {
        self.make_room(at + word.len());
        self.bytes[at..at + word.len()].copy_from_slice(&word);
    }

    /// Puts `part` at `at`, and ends the key there. `with_more` begins with the same bytes.
    #[expect(
        clippy::inline_always,
        reason = "a step of a cursor is short, and calls are a third of it"
    )]
    #[inline(always)]
    pub(super) fn set_short(&mut self, at: usize, part: &[u8], with_more: &[u8]) {
        debug_assert!(with_more.starts_with(part), "the same bytes");
        match with_more.first_chunk::<SHORT>() {
            Some(chunk) if part.len() <= SHORT => {
                self.make_room(at + part.len());
                self.bytes[at..at + SHORT].copy_from_slice(chunk);
                self.len = at + part.len();
            }
            _ => self.set(at, part),
        }
    }

    /// Makes room for a key of `len` bytes.
    #[inline]
    fn make_room(&mut self, len: usize) {
        if self.bytes.len() < len + SHORT {
            self.grow(len);
        }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        self.bytes.resize((len + SHORT).next_multiple_of(64), 0);
        debug_assert!(self.bytes.len() >= len + SHORT, "a short copy has room");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_whatever_their_lengths() {
        let bytes: Vec<u8> = (0..200).collect();
        for first in [0, 1, 7, 15, 16, 17, 80] {
            for second in [0, 1, 15, 16, 17, 40] {
                let mut key = KeyBuffer::default();
                key.set(0, &bytes[..first]);
                assert_eq!(key.bytes(), &bytes[..first]);
                key.set_short(first, &bytes[50..50 + second], &bytes[50..]);
                assert_eq!(key.bytes(), [&bytes[..first], &bytes[50..50 + second]].concat());
                // At the end of a block there are no more bytes.
                key.set_short(first, &bytes[50..50 + second], &bytes[50..50 + second]);
                assert_eq!(key.bytes(), [&bytes[..first], &bytes[50..50 + second]].concat());
                key.set_word(0, *b"headhead");
                key.set(4, b"tail");
                assert_eq!(key.bytes(), b"headtail");
            }
        }
    }
}
