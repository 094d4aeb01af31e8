//! Keys that separate the children of a node.

use std::cmp::Ordering;
use std::sync::Arc;

/// Key bytes that lie in the node itself, without a pointer to follow.
const INLINE_BYTES: usize = 24;

/// The first bytes of a key, padded with zeros. Two heads that differ compare like their keys.
type Head = [u8; INLINE_BYTES];

/// A key whose first bytes lie inline.
#[derive(Clone, Debug)]
pub(super) struct InlineKey {
    head: Head,
    /// How many bytes of the head belong to the key.
    head_len: u8,
    /// The whole key, where the head does not hold it.
    long: Option<Arc<[u8]>>,
}

impl InlineKey {
    pub(super) fn new(key: &[u8]) -> Self {
        let head_len = key.len().min(INLINE_BYTES) as u8;
        let long = (key.len() > INLINE_BYTES).then(|| key.into());
        let inline = Self { head: head_of(key), head_len, long };
        debug_assert_eq!(inline.bytes(), key, "a key reads back");
        inline
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.long.as_deref().unwrap_or(&self.head[..usize::from(self.head_len)])
    }
}

/// A key that is searched for: its head is made once.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoughtKey<'k> {
    head: Head,
    /// The whole key.
    pub(super) bytes: &'k [u8],
}

impl<'k> SoughtKey<'k> {
    pub(super) fn new(key: &'k [u8]) -> Self {
        Self { head: head_of(key), bytes: key }
    }

    /// Whether the key is at or after `separator`.
    pub(super) fn is_from(&self, separator: &InlineKey) -> bool {
        let by_head = self.head.cmp(&separator.head);
        by_head.then_with(|| self.bytes.cmp(separator.bytes())) != Ordering::Less
    }
}

fn head_of(key: &[u8]) -> Head {
    let mut head = [0; INLINE_BYTES];
    let len = key.len().min(INLINE_BYTES);
    head[..len].copy_from_slice(&key[..len]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_keys_compare_like_their_bytes() {
        let long = [b'a'; 40];
        let keys: [&[u8]; 9] =
            [b"", b"\0", b"\0\0", b"a", b"a\0", b"ab", &long[..24], &long[..25], &long];
        for left in keys {
            assert_eq!(InlineKey::new(left).bytes(), left);
            for right in keys {
                let is_from = SoughtKey::new(left).is_from(&InlineKey::new(right));
                assert_eq!(is_from, left >= right, "{left:?} {right:?}");
            }
        }
    }
}
