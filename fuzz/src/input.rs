//! Reading the bytes of an input as a script.

/// The rest of an input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'d>(&'d [u8]);

impl<'d> Input<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self(data)
    }

    /// The next byte, unless the script is over.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// The next two bytes as a number.
    pub(super) fn number(&mut self) -> Option<usize> {
        let (&bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(usize::from(u16::from_le_bytes(bytes)))
    }

    /// The next `len` bytes, or as many as there are.
    pub(super) fn bytes(&mut self, len: usize) -> &'d [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// The rest.
    pub(super) fn rest(self) -> &'d [u8] {
        self.0
    }
}

/// Inverts the bits `xor` of the byte at `at`, modulo the length.
pub(super) fn flip(bytes: &mut [u8], at: usize, xor: u8) {
    let len = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at % len) {
        *byte ^= xor;
    }
}
