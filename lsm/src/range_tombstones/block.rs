//! The block of a table that has its range tombstones.
//!
//! It is the named block `lsm.range-tombstones`. It holds the number of fragments, varint, at least 1; and of each fragment, in
//! order:
//!
//! | field | encoding |
//! |---|---|
//! | first key | behind its length, varint |
//! | 1, and the key behind the fragment; or 0: it ends behind all keys | a byte; the key behind its length, varint |
//! | the highest number of an entry of the table between these keys, or a higher one; 0: there is none | varint |
//! | how many range tombstones there are | varint |
//! | the number of the newest one, and by how much each further one is lower than the one before | varints |
//!
//! It belongs to the format of the state in the manifest.

use std::path::Path;
use std::sync::Arc;

use durable::coding::{Reader, put_prefixed, put_varint};
use kv::{MAX_KEY_LEN, Result};

use super::deleted_range::DeletedRange;
use super::fragment::Fragment;
use super::fragments::Fragments;
use crate::internal_key::SEQUENCE_LIMIT;

/// The name of the block.
pub(crate) const BLOCK_NAME: &str = "lsm.range-tombstones";

/// The fewest bytes of a fragment.
const LEAST_FRAGMENT_BYTES: usize = 5;

/// The block of `fragments`, of which there is at least one.
pub(crate) fn encode(fragments: &Fragments) -> Vec<u8> {
    debug_assert!(!fragments.is_empty(), "a table without range tombstones has no such block");
    let mut out = Vec::new();
    put_varint(&mut out, fragments.len() as u64);
    for fragment in fragments.iter() {
        put_range(&mut out, &fragment.range);
        put_varint(&mut out, fragment.newest_entry());
        put_varint(&mut out, fragment.numbers().len() as u64);
        put_varint(&mut out, fragment.numbers()[0]);
        for pair in fragment.numbers().windows(2) {
            put_varint(&mut out, pair[0] - pair[1]);
        }
    }
    let decoded = || decode(&out, Path::new("block")).ok();
    debug_assert_eq!(decoded().as_ref(), Some(fragments), "reads back");
    out
}

/// The fragments in `block` of the table at `path`.
///
/// # Errors
/// `Corruption`.
pub(crate) fn decode(block: &[u8], path: &Path) -> Result<Fragments> {
    let mut reader = Reader::new(block, path, 0);
    let mut all: Vec<Arc<Fragment>> = Vec::new();
    for _ in 0..reader.count(LEAST_FRAGMENT_BYTES)? {
        let fragment = decode_fragment(&mut reader)?;
        if all.last().is_some_and(|last| !last.range.ends_before(&fragment.range.start)) {
            return Err(reader.corruption("range tombstones out of order"));
        }
        all.push(Arc::new(fragment));
    }
    reader.finish()?;
    if all.is_empty() {
        return Err(reader.corruption("a block of range tombstones without any"));
    }
    Ok(Fragments::in_order(all))
}

fn decode_fragment(reader: &mut Reader<'_>) -> Result<Fragment> {
    let range = read_range(reader)?;
    let newest_entry = reader.varint()?;
    let count = reader.count(1)?;
    let mut numbers: Vec<u64> = Vec::with_capacity(count);
    for _ in 0..count {
        let field = reader.varint()?;
        let number = numbers.last().map_or(Some(field), |last| last.checked_sub(field));
        let is_lower = |number: &u64| numbers.last().is_none_or(|last| number < last);
        let number = number.filter(is_lower).filter(|number| (1..SEQUENCE_LIMIT).contains(number));
        numbers.push(number.ok_or_else(|| reader.corruption("numbers out of order"))?);
    }
    if range.is_empty() || numbers.is_empty() || newest_entry >= SEQUENCE_LIMIT {
        return Err(reader.corruption("a range tombstone that no store writes"));
    }
    Ok(Fragment::new(range, numbers, newest_entry))
}

/// Writes the two ends of `range`, as the table above says.
pub(crate) fn put_range(out: &mut Vec<u8>, range: &DeletedRange) {
    put_prefixed(out, &range.start);
    match &range.end {
        Some(end) => {
            out.push(1);
            put_prefixed(out, end);
        }
        None => out.push(0),
    }
}

/// Reads what [`put_range`] has written.
///
/// # Errors
/// `Corruption`.
pub(crate) fn read_range(reader: &mut Reader<'_>) -> Result<DeletedRange> {
    let start = reader.prefixed()?.to_vec();
    let end = match reader.u8()? {
        0 => None,
        1 => Some(reader.prefixed()?.to_vec()),
        _ => return Err(reader.corruption("an end that is neither a key nor none")),
    };
    if start.len().max(end.as_ref().map_or(0, Vec::len)) > MAX_KEY_LEN {
        return Err(reader.corruption("a range tombstone with too long a key"));
    }
    Ok(DeletedRange { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Fragments {
        let range = |start: &[u8], end: Option<&[u8]>| DeletedRange {
            start: start.to_vec(),
            end: end.map(<[u8]>::to_vec),
        };
        let one = Fragments::of(vec![range(b"a", Some(b"c")), range(b"x", None)], 9);
        let both = one.union(&Fragments::of(vec![range(b"b", Some(b"d"))], 300));
        both.at(b"b").unwrap().note_entry(5);
        both
    }

    #[test]
    fn the_encoding_is_the_one_of_the_table() {
        let expected = [
            &b"\x04"[..],
            b"\x01a\x01\x01b\0\x01\x09",
            b"\x01b\x01\x01c\x05\x02\xac\x02\xa3\x02",
            b"\x01c\x01\x01d\0\x01\xac\x02",
            b"\x01x\0\0\x01\x09",
        ];
        assert_eq!(encode(&some()), expected.concat());
        assert_eq!(decode(&expected.concat(), Path::new("table")).unwrap(), some());
    }

    #[test]
    fn no_cut_or_changed_byte_of_a_block_panics() {
        let block = encode(&some());
        let path = Path::new("table");
        (0..block.len()).for_each(|len| assert!(decode(&block[..len], path).is_err(), "{len}"));
        for at in 0..block.len() {
            for bit in 0..8 {
                let mut changed = block.clone();
                changed[at] ^= 1 << bit;
                let found = decode(&changed, path);
                assert!(found.is_err() || found.is_ok_and(|found| found != some()), "{at}.{bit}");
            }
        }
    }
}
