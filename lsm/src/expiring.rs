//! Values that expire.
//!
//! An expiring put is an entry of a kind of its own. In memtables and tables the moment of its end stands before the value: 8
//! bytes, little-endian, in milliseconds since 1970. From that moment on it acts as a tombstone with its own number. No reader
//! sees the entry that it has replaced.
//!
//! A snapshot and a cursor fix the time at which they read. A look-up reads the clock when it finds such an entry. The clock of
//! the store never goes back ([`durable::MonotonicClock`]).

use durable::MonotonicClock;

/// Bytes before the value.
pub(crate) const END_BYTES: usize = 8;

/// The moment at which a reader reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadTime<'c> {
    /// This one, in milliseconds since 1970.
    At(u64),
    /// When the entry is found.
    Now(&'c MonotonicClock),
}

impl ReadTime<'_> {
    #[cold]
    fn get(self) -> u64 {
        match self {
            Self::At(time) => time,
            Self::Now(clock) => clock.now().0,
        }
    }

    /// The value in the bytes of an expiring entry. `None`: it has expired, or the bytes are too few.
    #[cold]
    pub(crate) fn value_in(self, bytes: &[u8]) -> Option<&[u8]> {
        let (end, value) = split(bytes)?;
        (end > self.get()).then_some(value)
    }
}

/// The end and the value in the bytes of an expiring entry. `None`: they are too few.
pub(crate) fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (end, value) = bytes.split_first_chunk::<END_BYTES>()?;
    Some((u64::from_le_bytes(*end), value))
}

/// The bytes of an expiring entry.
pub(crate) fn join(end: u64, value: &[u8]) -> Vec<u8> {
    let bytes = [&end.to_le_bytes()[..], value].concat();
    debug_assert_eq!(split(&bytes), Some((end, value)), "the bytes read back");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_there_before_its_end_and_not_at_it() {
        let bytes = join(0x0102, b"value");
        assert_eq!(bytes, b"\x02\x01\0\0\0\0\0\0value");
        assert_eq!(ReadTime::At(0x0101).value_in(&bytes), Some(&b"value"[..]));
        assert_eq!(ReadTime::At(0x0102).value_in(&bytes), None);
        assert_eq!(split(&bytes[..7]), None);
    }
}
