//! Where a block is in its file.

/// The place of a block. Encoded, it is the value of an entry of the directory, and a field of the footer.
///
/// | offset | width | field |
/// |---|---|---|
/// | 0 | 8 | offset of its body in the file |
/// | 8 | 4 | length of its body |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockHandle {
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl BlockHandle {
    /// Bytes of an encoded handle.
    pub(crate) const LEN: usize = 12;

    pub(crate) fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.len.to_le_bytes());
        debug_assert_eq!(Self::decode(&bytes), Some(self), "a handle reads back");
        bytes
    }

    /// The handle in `bytes`. `None`: they have another length.
    #[inline]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (offset, len) = bytes.split_first_chunk()?;
        let len = <[u8; 4]>::try_from(len).ok()?;
        Some(Self { offset: u64::from_le_bytes(*offset), len: u32::from_le_bytes(len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_has_one_length() {
        let handle = BlockHandle { offset: 0x0102_0304_0506_0708, len: 0x090a_0b0c };
        let bytes = handle.encode();
        assert_eq!(bytes, [8, 7, 6, 5, 4, 3, 2, 1, 0x0c, 0x0b, 0x0a, 9]);
        assert_eq!(BlockHandle::decode(&bytes), Some(handle));
        assert_eq!(BlockHandle::decode(&bytes[..11]), None);
        assert_eq!(BlockHandle::decode(&[0; 13]), None);
    }
}
